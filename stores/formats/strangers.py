"""Files that are none of ours: what they are instead, and what to upload or to type in their place."""

from __future__ import annotations

import re

from stores.formats.asn1 import BIT_STRING, INTEGER, OID, SEQUENCE, Asn1Error, Node
from stores.formats.errors import ReadingError
from stores.formats.text import visible

_REQUEST = (
    "a certificate request; send it to the certificate authority and upload the certificate that comes back"
)
_CRL = "a revocation list (CRL), which names revoked certificates; upload the certificate itself"
_PUBLIC = "a public key; upload the certificate that holds it"
_SSH = "an SSH key; gateways need a PEM key and its certificate, as from `openssl req -newkey rsa:3072`"
_OPENSSH = (
    "a private key in OpenSSH's own form; turn a copy of it into PEM with `ssh-keygen -p -m PKCS8 -f FILE`"
)
_PUTTY = "a PuTTY key; export it in PuTTYgen by Conversions, Export OpenSSH key, then `ssh-keygen -p -m PKCS8 -f FILE`"
_PGP = "an OpenPGP file, which has nothing to do with certificates for TLS"
_PARAMETERS = "a file of parameters without a key; upload the certificate and its private key"
_PAGE = "a web page, perhaps an error or sign-in page saved in place of the file; download it again"
_ARCHIVE = "a packed archive; unpack it and upload what is inside"

_LABELS = {
    "CERTIFICATE REQUEST": _REQUEST, "NEW CERTIFICATE REQUEST": _REQUEST, "X509 CRL": _CRL, "CRL": _CRL,
    "PUBLIC KEY": _PUBLIC, "RSA PUBLIC KEY": _PUBLIC, "EC PUBLIC KEY": _PUBLIC, "DSA PUBLIC KEY": _PUBLIC,
    "OPENSSH PRIVATE KEY": _OPENSSH, "SSH2 ENCRYPTED PRIVATE KEY": _SSH,
    "PGP PUBLIC KEY BLOCK": _PGP, "PGP PRIVATE KEY BLOCK": _PGP, "PGP MESSAGE": _PGP, "PGP SIGNATURE": _PGP,
    "DH PARAMETERS": _PARAMETERS, "X9.42 DH PARAMETERS": _PARAMETERS, "EC PARAMETERS": _PARAMETERS,
    "DSA PARAMETERS": _PARAMETERS, "ATTRIBUTE CERTIFICATE": "an attribute certificate, which holds no key",
}  # fmt: skip
_MAGIC = (
    (b"\x89PNG", "a picture (PNG)"), (b"\xff\xd8\xff", "a picture (JPEG)"), (b"GIF8", "a picture (GIF)"),
    (b"%PDF", "a PDF document"), (b"\x1f\x8b", f"{_ARCHIVE} (gzip)"), (b"\xfd7zXZ\0", f"{_ARCHIVE} (xz)"),
    (b"BZh", f"{_ARCHIVE} (bzip2)"), (b"7z\xbc\xaf", f"{_ARCHIVE} (7-Zip)"), (b"Rar!", f"{_ARCHIVE} (RAR)"),
    (b"\x28\xb5\x2f\xfd", f"{_ARCHIVE} (Zstandard)"), (b"\x7fELF", "a program"), (b"MZ", "a program for Windows"),
    (b"\xd0\xcf\x11\xe0", "an old Office document"), (b"SQLite format 3", "an SQLite database"),
    (b"Salted__", "a file encrypted by `openssl enc`; decrypt it with `openssl enc -d` first"),
    (b"\0asm", "a program (WebAssembly)"), (b"\xca\xfe\xba\xbe", "a compiled Java class"),
)  # fmt: skip
_OPENINGS = (
    ("<!doctype html", _PAGE), ("<html", _PAGE), ("<svg", "a picture (SVG)"), ("<?xml", "an XML document"),
    ("{", "a JSON document; upload the file itself, or paste what stands under its certificate field"),
    ("putty-user-key-file", _PUTTY), ("---- begin ssh2", _SSH), ("ssh-", _SSH), ("ecdsa-sha2", _SSH), ("sk-", _SSH),
    ("#!", "a script"), ("mime-version:", "an e-mail; save its attachment and upload that"),
    ("content-type:", "an e-mail; save its attachment and upload that"), ("received:", "an e-mail; save its attachment"),
)  # fmt: skip
_OURS = "What can be read: PEM, DER, PKCS#12 (.p12, .pfx), PKCS#7 (.p7b), JAR and JKS."
_COMMAND = re.compile(r"`([^`]* FILE)`")


def of_label(label: str, source: str) -> ReadingError:
    """The error for a PEM file whose blocks are of this kind."""
    return _unsupported(
        source,
        _LABELS.get(label, f"a PEM file with {visible(label) or 'nothing'} inside, which is not known here"),
    )


def of_text(text: str, source: str) -> ReadingError:
    """The error for a text that has no block."""
    start = text[:200].lstrip("\ufeff \t\n").lower()
    found = next((what for opening, what in _OPENINGS if start.startswith(opening)), None)
    return _unsupported(
        source, found or "a text without any PEM block (a line -----BEGIN CERTIFICATE----- and what follows)"
    )


def has_mark(content: bytes) -> bool:
    """Whether it begins with the mark of a format that is none of ours; some of these look like text."""
    return content.startswith(tuple(mark for mark, _ in _MAGIC))


def of_bytes(content: bytes, source: str) -> ReadingError:
    """The error for octets that begin like none of ours."""
    if content[257:262] == b"ustar":
        return _unsupported(source, f"{_ARCHIVE} (tar)")
    found = next((what for magic, what in _MAGIC if content.startswith(magic)), None)
    return _unsupported(source, found or "none of the formats that are read here")


def of_asn1(node: Node, source: str) -> ReadingError:
    """The error for well-formed ASN.1 that is none of ours."""
    try:
        found = _asn1_kind(node)
    except Asn1Error:
        found = None
    return _unsupported(source, found or "ASN.1 of a kind that is not known here")


def _asn1_kind(node: Node) -> str | None:
    children = node.children() if node.tag == SEQUENCE else []
    tags = [child.tag for child in children]
    if tags == [SEQUENCE, BIT_STRING] or tags == [INTEGER, INTEGER]:
        return _PUBLIC if tags[0] == SEQUENCE else f"{_PUBLIC}, or a file of parameters"
    if tags != [SEQUENCE, SEQUENCE, BIT_STRING]:
        return "ASN.1 with an object identifier in front" if tags[:1] == [OID] else None
    inner = [child.tag for child in children[0].children()]
    if inner[:3] == [INTEGER, SEQUENCE, SEQUENCE] and 0xA0 in inner:
        return _REQUEST
    return _CRL


def _unsupported(source: str, what: str) -> ReadingError:
    what, _, advice = what.partition("; ")
    advice = advice[:1].upper() + advice[1:] + ". " if advice else ""
    command = _COMMAND.search(advice)
    return ReadingError(
        "unsupported_format", f"{source} is {what}. {advice}{_OURS}", command=command[1] if command else ""
    )
