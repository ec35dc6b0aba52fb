"""The containers of PKCS#12 (RFC 7292, section 4): safes, bags and their attributes. Nothing here is decrypted."""

from __future__ import annotations

from typing import NamedTuple

from stores.formats.asn1 import INTEGER, OCTET_STRING, OID, SEQUENCE, SET, Asn1Error, Fields, Node, parse
from stores.formats.errors import ReadingError

DATA, SIGNED, ENVELOPED, ENCRYPTED = (f"1.2.840.113549.1.7.{number}" for number in (1, 2, 3, 6))
_BAG = "1.2.840.113549.1.12.10.1."
PLAIN_KEY, SHROUDED_KEY, CERTIFICATE, _NESTED = (_BAG + number for number in "1236")
KEYS = (PLAIN_KEY, SHROUDED_KEY)
_KINDS = {_BAG + number for number in "123456"}
"""Bags that RFC 7292 names; revocation lists (4) and secrets (5) are passed over."""
_X509 = "1.2.840.113549.1.9.22.1"
_FRIENDLY_NAME, _LOCAL_KEY_ID = "1.2.840.113549.1.9.20", "1.2.840.113549.1.9.21"
_VERSION = 3


class Safe(NamedTuple):
    """A SafeContents, encrypted with `algorithm` unless that is None."""

    content: bytes
    algorithm: Node | None = None


class Bag(NamedTuple):
    """A SafeBag with the attributes that tell which certificate belongs to which key."""

    kind: str
    value: Node
    name: str = ""
    local_id: bytes = b""


def outer(content: bytes, source: str) -> tuple[list[Safe], bytes, Node | None]:
    """The safes, the octets that the MAC protects, and the MAC. Raises Asn1Error, ReadingError unsupported_format."""
    fields = parse(content, ber=True).fields("a PKCS#12 file")
    version = fields.take(INTEGER, "its version").integer()
    if version != _VERSION:
        raise Asn1Error(f"a PKCS#12 file has the version {_VERSION}")
    kind, inside = _content_info(fields.take(SEQUENCE, "its content"))
    mac = fields.maybe(SEQUENCE)
    fields.done()
    if kind == SIGNED:
        text = f"{source} is protected by a signature in place of a password, which no tool in use reads. Export it with a password."
        raise ReadingError("unsupported_format", text)
    if kind != DATA:
        raise Asn1Error("its content is no data")
    contents = inside.expect(OCTET_STRING, "its content").content
    safes = parse(contents, ber=True).expect(SEQUENCE, "the list of its parts").children()
    return [_safe(safe, source) for safe in safes], contents, mac


def _content_info(node: Node) -> tuple[str, Node]:
    fields = node.fields("a part")
    kind = fields.take(OID, "the type of a part").oid()
    return kind, fields.take(0xA0, "the content of a part").only("the content of a part")


def _safe(node: Node, source: str) -> Safe:
    kind, inside = _content_info(node)
    if kind == DATA:
        return Safe(inside.expect(OCTET_STRING, "the content of a part").content)
    if kind == ENVELOPED:
        text = f"{source} is encrypted for the key of a certificate, not with a password. Export it with a password."
        raise ReadingError("unsupported_format", text)
    if kind != ENCRYPTED:
        raise Asn1Error(f"a part is of the unknown type {kind}")
    data = inside.fields("an encrypted part")
    data.take(INTEGER, "its version")
    info = data.take(SEQUENCE, "its content").fields("the content of an encrypted part")
    info.take(OID, "its type")
    algorithm = info.take(SEQUENCE, "its algorithm")
    return Safe(_implicit(info), algorithm)


def _implicit(info: Fields) -> bytes:
    """Octets tagged [0], in one piece or, in BER, in several."""
    node = info.any("the encrypted octets")
    if node.tag not in (0x80, 0xA0):
        raise Asn1Error("the encrypted octets are missing")
    return node.octets()


def bags(content: bytes, source: str) -> list[Bag]:
    """The bags of a SafeContents, those inside nested ones as well. Raises Asn1Error, ReadingError unsupported_format."""
    return _flat(parse(content, ber=True), source)


def _flat(contents: Node, source: str) -> list[Bag]:
    """Nesting was limited when the octets were parsed."""
    found = []
    for node in contents.expect(SEQUENCE, "the list of bags").children():
        bag = _bag(node, source)
        found += _flat(bag.value, source) if bag.kind == _NESTED else [bag]
    return found


def _bag(node: Node, source: str) -> Bag:
    fields = node.fields("a bag")
    kind = fields.take(OID, "the type of a bag").oid()
    if kind not in _KINDS:
        text = f"{source} holds a bag of the type {kind}, which RFC 7292 does not know. Export it again with openssl or keytool."
        raise ReadingError("unsupported_format", text)
    value = fields.take(0xA0, "the content of a bag").only("the content of a bag")
    attributes = _attributes(fields.maybe(SET))
    fields.done()
    return Bag(kind, value, _name(attributes.get(_FRIENDLY_NAME)), _octets(attributes.get(_LOCAL_KEY_ID)))


def _attributes(node: Node | None) -> dict[str, Node]:
    """The first value of each attribute; those without a value are left out."""
    found: dict[str, Node] = {}
    for attribute in node.children() if node else ():
        fields = attribute.fields("an attribute")
        kind = fields.take(OID, "the type of an attribute").oid()
        values = fields.take(SET, "the values of an attribute").children()
        if values:
            found.setdefault(kind, values[0])
    return found


def _name(node: Node | None) -> str:
    """A friendly name: BMPString, where tools write characters beyond U+FFFF as surrogates."""
    return node.content.decode("utf-16-be", "replace").rstrip("\0") if node else ""


def _octets(node: Node | None) -> bytes:
    return node.content if node else b""


def certificate(bag: Bag, source: str) -> bytes:
    """The certificate in a CertBag, in DER. Raises Asn1Error, ReadingError unsupported_format."""
    fields = bag.value.fields("a certificate bag")
    kind = fields.take(OID, "the type of a certificate").oid()
    if kind != _X509:
        raise ReadingError(
            "unsupported_format", f"{source} is of the type {kind}; only X.509 certificates are read."
        )
    return (
        fields.take(0xA0, "the certificate")
        .only("the certificate")
        .expect(OCTET_STRING, "the certificate")
        .content
    )
