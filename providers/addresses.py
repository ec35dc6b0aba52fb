"""Host names, ports, paths and key pins as people type them: read strictly, kept in one form. Knows no Django.

Each reader gives the form that is kept, or raises ValueError with the sentence for the person who typed it.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Collection, Iterable

import idna

LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
"""RFC 1123, section 2.1: letters, digits and inner hyphens, 1 to 63 octets."""
LONGEST_HOST_NAME = 253
PATH = re.compile(r"(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*)+")
"""RFC 3986, section 3.3: an absolute path."""
PIN_START = re.compile(r"(?:pin-)?sha256(?://|/|=|:)")
PIN_OCTETS = 32
MOST_PINS = 20
BACKUP_COMMANDS = (
    "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out backup.key",
    "openssl pkey -in backup.key -pubout -outform DER | openssl dgst -sha256 -binary | base64",
)
"""Make a key for later and print its pin."""
MAKE_ONE = f" Make one with: {' && '.join(BACKUP_COMMANDS)}"
"""How the sentence on a missing backup ends where the commands stand nowhere else."""
DEFAULT_PORTS = {"https": 443, "http": 80}


def host(text: str) -> str:
    """A host name in lower case with A-labels, or an address without brackets."""
    text = text.strip()
    if "://" in text or "/" in text:
        bare = re.sub(r"^[a-z+.-]*://", "", text, flags=re.IGNORECASE).split("/")[0]
        raise ValueError(f"Give the host alone, without https:// and path{f': {bare}' if bare else ''}.")
    return _ip_address(text) or host_name(text)


def _ip_address(text: str) -> str | None:
    inner = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        return str(ipaddress.ip_address(inner)) if "%" not in inner else None
    except ValueError:
        return None


def is_ip_address(text: str) -> bool:
    """Whether a host, as kept, is an address and not a name."""
    return _ip_address(text) is not None


def host_name(text: str) -> str:
    """A name of RFC 1123; international ones become A-labels (IDNA 2008 after the mapping of UTS 46)."""
    shown = text.strip()
    name = shown.removesuffix(".").lower()
    if _ip_address(name):
        raise ValueError(f"“{shown}” is an address, but a name is needed here, as in orders.example.org.")
    if re.search(r":\d+$", name):
        raise ValueError("The port has a field of its own: give the host name alone.")
    if not name.isascii():
        name = _a_labels(name, shown)
    labels = name.split(".")
    if len(name) > LONGEST_HOST_NAME or labels[-1].isdigit() or not all(map(LABEL.fullmatch, labels)):
        raise ValueError(
            f"“{shown[:80]}” is no host name: it has letters, digits and inner hyphens between its dots, "
            "as in orders.example.org."
        )
    return name


def _a_labels(name: str, shown: str) -> str:
    try:
        return idna.encode(name, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        raise ValueError(f"“{shown[:80]}” is no valid international host name.") from None


def path(text: str) -> str:
    """An absolute path, exactly as typed."""
    if not text.startswith("/"):
        raise ValueError("Begin with a slash, as in /sap/opu/odata.")
    if not PATH.fullmatch(text):
        raise ValueError(
            "A path has no blanks, question marks or other special characters: write them percent-encoded, a blank as %20."
        )
    if {".", ".."} & set(text.split("/")):
        raise ValueError("Write the path without . and .. steps.")
    return text


def pins(lines: Iterable[str]) -> list[str]:
    """SHA-256 digests of public keys (RFC 7469, section 2.4) as base64, each once, in their order."""
    found: dict[str, None] = {}
    for number, line in enumerate(lines, 1):
        if text := line.strip().rstrip(";"):
            found[_pin(text, number)] = None
    if len(found) > MOST_PINS:
        raise ValueError(f"Keep at most {MOST_PINS} pins; these are {len(found)}.")
    return list(found)


def pin_of(spki_sha256: str) -> str:
    """The pin of a key, from the digest of its SubjectPublicKeyInfo in hex."""
    return base64.b64encode(bytes.fromhex(spki_sha256)).decode()


def with_backup(kept: list[str], seen: Collection[str]) -> list[str]:
    """The same pins, when one of them is not in the chain `seen` last (RFC 7469, section 4.3).

    Else a server that has to change its key at once could not be called any more.
    """
    if not kept or (len(kept) > 1 and not set(kept) <= set(seen)):
        return kept
    raise ValueError(
        "A backup pin is missing, of a key that the server does not use yet: without one it cannot change its key and still be "
        f"called.{MAKE_ONE}"
    )


def _pin(text: str, number: int) -> str:
    bare = PIN_START.sub("", text, count=1).strip('"') if PIN_START.match(text) else text
    try:
        digest = base64.b64decode(bare, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != PIN_OCTETS:
        raise ValueError(
            f"Line {number} is no pin: give the base64 of a SHA-256 digest, 44 characters that end with “=”."
        )
    return base64.b64encode(digest).decode()


def url(scheme: str, host: str, port: int, *paths: str) -> str:
    """The address made of its parts; a default port is left out, and paths are joined by one slash."""
    joined = ""
    for part in paths:
        joined = joined.removesuffix("/") + part if part else joined
    return f"{scheme}://{host_and_port(host, port, DEFAULT_PORTS[scheme])}{joined}"


def host_and_port(host: str, port: int, default: int | None = None) -> str:
    """As people write it: orders.example.org:443, [2001:db8::1]:443; without the port where it is the default."""
    shown = f"[{host}]" if ":" in host else host
    return shown if port == default else f"{shown}:{port}"
