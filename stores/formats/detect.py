"""What an upload is, by its octets alone; its name only decides whether a finding says that it is misleading."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable

from stores.formats import asn1, jks, keys, strangers
from stores.formats.asn1 import INTEGER, OID, SEQUENCE, Asn1Error, Node
from stores.formats.certificates import is_certificate
from stores.formats.errors import ReadingError
from stores.formats.parsed import Format

_BLANK = b" \t\r\n\v\f"
_BASE64 = re.compile(rb"[A-Za-z0-9+/=\s]+")
_ZIP = (b"PK\3\4", b"PK\5\6")
_PKCS7_ARC = bytes.fromhex("2a864886f70d0107")
_EXTENSIONS: dict[str, tuple[Format, ...]] = {
    "pem": ("pem",), "crt": ("pem",), "key": ("pem",), "txt": ("pem",), "cer": ("pem", "der"), "der": ("der",),
    "p12": ("pkcs12",), "pfx": ("pkcs12",), "pkcs": ("pkcs12",), "p7b": ("pkcs7",), "p7c": ("pkcs7",),
    "jar": ("jar",), "jks": ("jks",),
}  # fmt: skip
FORMAT_NAMES: dict[Format, str] = {
    "pem": "PEM", "der": "DER", "pkcs12": "PKCS#12", "pkcs7": "PKCS#7", "jar": "JAR", "jks": "a Java key store",
}  # fmt: skip
"""What formats are called in sentences."""


def detect(content: bytes, source: str) -> tuple[Format, bytes]:
    """The format, and the octets to read: those of the file, or what its bare base64 stands for.

    Raises ReadingError empty_file, malformed, or unsupported_format that says what the file is instead.
    """
    if is_blank(content):
        raise ReadingError("empty_file", f"{source} is empty. Choose the file again, or export it again.")
    if content.startswith(_ZIP):
        return "jar", content
    if content.startswith(jks.MAGIC) or jks.other_store(content):
        return "jks", content
    if content[0] == SEQUENCE and not _is_text(content):
        return _of_asn1(content, source), content
    if b"-----BEGIN " in content:
        return "pem", content
    if not _is_text(content) or strangers.has_mark(content):
        raise strangers.of_bytes(content, source)
    return _of_base64(content, source)


def is_blank(content: bytes) -> bool:
    """No content but white space and a byte-order mark."""
    return not content.removeprefix(b"\xef\xbb\xbf").strip(_BLANK)


def _is_text(content: bytes) -> bool:
    """Whether the beginning has no control characters; with a mark of UTF-16, or as UTF-16 without one, it has."""
    start = content[:4096]
    if start.startswith((b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")) or b"\0-\0-\0-\0-" in start:
        return True
    return not start.translate(None, delete=_PRINTED)


_PRINTED = _BLANK + bytes(range(0x20, 0x7F)) + bytes(range(0x80, 0x100))


def _of_base64(content: bytes, source: str) -> tuple[Format, bytes]:
    """Bare base64: of a certificate it is read as a PEM without its lines, of other formats as those."""
    if not _BASE64.fullmatch(content):
        return "pem", content
    try:
        inside = base64.b64decode(content.translate(None, delete=_BLANK), validate=True)
    except binascii.Error:
        return "pem", content
    if inside[:1] != b"\x30":
        return "pem", content
    kind = _of_asn1(inside, source)
    return ("pem", content) if kind == "der" and not _is_key(inside) else (kind, inside)


def _is_key(der: bytes) -> bool:
    with asn1.named("the file"):
        return keys.is_private_key(asn1.parse(der))


def _of_asn1(content: bytes, source: str) -> Format:
    """Which of our formats has this outline. BER is only tried where DER is not met: it costs more."""
    with asn1.named(source):
        try:
            node = asn1.parse(content)
        except Asn1Error:
            node = asn1.parse(content, ber=True)
        found = next((name for name, fits in _OUTLINES if fits(node)), None)
    if found is None:
        raise strangers.of_asn1(node, source)
    return found


def _is_pkcs12(node: Node) -> bool:
    """Version, ContentInfo, perhaps MacData (RFC 7292, section 4)."""
    children = node.children()[:3]
    tags = [child.tag for child in children]
    return tags[:2] == [INTEGER, SEQUENCE] and tags[2:] in ([], [SEQUENCE]) and _is_content(children[1])


def _is_content(node: Node) -> bool:
    """ContentInfo of PKCS#7 and CMS: an object identifier of RSA's PKCS and what it names."""
    first = node.children()[:1] if node.tag == SEQUENCE else []
    return bool(first) and first[0].tag == OID and first[0].content.startswith((_PKCS7_ARC, _SMIME_ARC))


_SMIME_ARC = bytes.fromhex("2a864886f70d010910")
_OUTLINES: tuple[tuple[Format, Callable[[Node], bool]], ...] = (
    ("der", is_certificate), ("pkcs12", _is_pkcs12), ("der", keys.is_private_key), ("pkcs7", _is_content),
)  # fmt: skip


def misleading(name: str, found: Format) -> bool:
    """Whether the extension of a file name promises another format than what was found."""
    extension = name.rpartition(".")[2].lower() if "." in name else ""
    return extension in _EXTENSIONS and found not in _EXTENSIONS[extension]
