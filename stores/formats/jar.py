"""Key store JARs: an archive with a chain and a key in PEM, and a descriptor that says which file is which."""

from __future__ import annotations

import re

from stores.formats import jar_signature, pem
from stores.formats.archive import MAKE_AGAIN, unpack
from stores.formats.errors import ReadingError
from stores.formats.limits import Budget
from stores.formats.parsed import Parsed, Upload
from stores.formats.text import listed, visible

DESCRIPTOR = "META-INF/descriptor.properties"
CHAIN, KEY = "certFile", "keyFile"
_DESCRIPTOR_BYTES = 64 << 10
_PAIR = re.compile(r"((?:[^\\=: \t\f]|\\.)*)[ \t\f]*[=:]?[ \t\f]*(.*)", re.DOTALL)
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_ESCAPED = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_LINES = "certFile=main.pem\\nkeyFile=privateKey.pem\\n"
_ADD_DESCRIPTOR = f"mkdir -p META-INF && printf '{_LINES}' > {DESCRIPTOR} && jar -uf FILE {DESCRIPTOR}"
"""Writes the descriptor of a JAR with the usual names."""


def read(upload: Upload, content: bytes, source: str, budget: Budget) -> Parsed:
    """Reads a key store JAR; a signature that is there must verify and cover what the descriptor names.

    Raises ReadingError: format_not_for_store, malformed, too_large, too_costly, jar_unsafe, jar_signature_invalid,
    descriptor_missing, descriptor_invalid, descriptor_file_missing, and what is wrong with the PEM files inside.
    """
    if upload.store == "trust":
        text = f"{source} is a JAR, which holds a private key; a trust store takes certificates only. Upload them as PEM."
        raise ReadingError("format_not_for_store", text)
    files = unpack(content, source)
    covered = jar_signature.verify(files, source)
    names = _described(files, source)
    if covered is not None:
        jar_signature.require(covered, (DESCRIPTOR, *names), source)
    return _inside(upload, files, names, source, budget)


def _inside(
    upload: Upload, files: dict[str, bytes], names: tuple[str, str], source: str, budget: Budget
) -> Parsed:
    """The chain of the one file, the keys of both: a certificate beside the key says nothing new."""
    chain, *rest = (
        pem.read(upload, files[name], f"{visible(name)} in {source}", budget) for name in dict.fromkeys(names)
    )
    keys = (*chain.keys, *(key for part in rest for key in part.keys))
    findings = (*chain.findings, *(finding for part in rest for finding in part.findings))
    return Parsed("jar", chain.certificates, keys, findings, chain.weaknesses)


def _described(files: dict[str, bytes], source: str) -> tuple[str, str]:
    """Names of the chain file and of the key file, both inside the archive."""
    if DESCRIPTOR not in files:
        raise _without_descriptor(files, source)
    values: dict[str, list[str]] = {CHAIN: [], KEY: []}
    for key, value in _properties(_text(files[DESCRIPTOR], source), source):
        if key in values:
            values[key].append(value)
    for key, found in values.items():
        if len(found) != 1:
            raise _invalid(
                source, f"has no line {key}=…" if not found else f"has {len(found):,} lines {key}=…"
            )
        if not found[0]:
            raise _invalid(source, f"names no file after {key}=")
    for key, found in values.items():
        if found[0] not in files or found[0].endswith("/"):
            raise _not_inside(files, key, found[0], source)
    return values[CHAIN][0], values[KEY][0]


def _without_descriptor(files: dict[str, bytes], source: str) -> ReadingError:
    near = next((name for name in files if name.casefold().rpartition("/")[2] == "descriptor.properties"), "")
    instead = f" Instead there is “{visible(near)}”." if near else ""
    return ReadingError(
        "descriptor_missing",
        f"{source} has no {DESCRIPTOR}, which says which file is the chain and which the key.{instead} "
        "Add it, with the two lines certFile=… and keyFile=….",
        command=_ADD_DESCRIPTOR,
    )


def _invalid(source: str, how: str) -> ReadingError:
    text = f"{DESCRIPTOR} in {source} {how}. Write the two lines certFile=… and keyFile=…, once each."
    return ReadingError("descriptor_invalid", text, command=_ADD_DESCRIPTOR)


def _not_inside(files: dict[str, bytes], key: str, name: str, source: str) -> ReadingError:
    inside = [visible(name) for name in files if not name.endswith("/") and not name.startswith("META-INF/")]
    return ReadingError(
        "descriptor_file_missing",
        f"{DESCRIPTOR} in {source} says {key}={visible(name)}, but there is no such file inside (there: {listed(inside) or 'none'}). "
        "Put it in, or correct the name; letter case counts.",
        command=MAKE_AGAIN,
    )


def _text(content: bytes, source: str) -> str:
    """A descriptor in UTF-8, else in Latin-1, which is what Java writes."""
    if len(content) > _DESCRIPTOR_BYTES:
        raise _invalid(
            source, f"has {len(content):,} octets; {_DESCRIPTOR_BYTES >> 10} KiB are more than enough"
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _properties(text: str, source: str) -> list[tuple[str, str]]:
    """Keys and values as `java.util.Properties.load` reads them; blanks behind a value are dropped."""
    pairs = []
    for line in _logical_lines(text):
        found = _PAIR.match(line)
        if found:
            pairs.append((_unescaped(found[1], source), _unescaped(found[2], source).rstrip()))
    return pairs


def _logical_lines(text: str) -> list[str]:
    """Lines joined where a backslash ends them, without comments and blank ones."""
    lines: list[str] = []
    parts: list[str] = []
    for line in (line.lstrip(" \t\f") for line in re.split(r"\r\n|\r|\n", text)):
        if not parts and (not line or line[0] in "#!"):
            continue
        goes_on = (len(line) - len(line.rstrip("\\"))) % 2 == 1
        parts.append(line[:-1] if goes_on else line)
        if not goes_on:
            lines.append("".join(parts))
            parts = []
    return [*lines, "".join(parts)] if parts else lines


def _unescaped(text: str, source: str) -> str:
    def plain(found: re.Match[str]) -> str:
        code = found[1]
        if code == "u":
            raise _invalid(
                source,
                "has a broken \\u escape; a backslash in front of every “\\u” that is meant as it stands helps",
            )
        return chr(int(code[1:], 16)) if len(code) == 5 else _ESCAPED.get(code, code)

    return _ESCAPE.sub(plain, text)
