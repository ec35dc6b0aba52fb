"""Names in certificates as text: distinguished names (RFC 4514) and general names (RFC 5280, 4.2.1.6)."""

from __future__ import annotations

import ipaddress

from stores.formats.asn1 import BMP_STRING, OID, SEQUENCE, SET, UTF8_STRING, Asn1Error, Fields, Node, oid
from stores.formats.text import visible

SUBJECT_CHARACTERS = 1_000
_MOST_ATTRIBUTES = 100
"""Shown of one name; no honest one has more."""

_SHORT = {
    "2.5.4.3": "CN", "2.5.4.4": "SN", "2.5.4.5": "serialNumber", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST",
    "2.5.4.9": "street", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.12": "title", "2.5.4.15": "businessCategory",
    "2.5.4.17": "postalCode", "2.5.4.42": "GN", "2.5.4.46": "dnQualifier", "2.5.4.65": "pseudonym",
    "2.5.4.97": "organizationIdentifier", "0.9.2342.19200300.100.1.1": "UID", "0.9.2342.19200300.100.1.25": "DC",
    "1.2.840.113549.1.9.1": "emailAddress", "1.3.6.1.4.1.311.60.2.1.1": "jurisdictionL",
    "1.3.6.1.4.1.311.60.2.1.2": "jurisdictionST", "1.3.6.1.4.1.311.60.2.1.3": "jurisdictionC",
}  # fmt: skip
_ENCODINGS = {
    UTF8_STRING: "utf-8", 0x12: "ascii", 0x13: "ascii", 0x14: "latin-1", 0x16: "ascii", 0x1A: "ascii",
    BMP_STRING: "utf-16-be", 0x1C: "utf-32-be",
}  # fmt: skip
_SPECIAL = str.maketrans({character: "\\" + character for character in '\\"+,;<>'})


def string(node: Node) -> str | None:
    """The text of a string of any ASN.1 type, octets that do not fit replaced; None when it is no string."""
    encoding = _ENCODINGS.get(node.tag)
    return None if encoding is None else node.content.decode(encoding, "replace")


def attributes(name: Node) -> list[list[tuple[str, Node]]]:
    """The relative names of a Name in order, each with its attributes: type and value. Raises Asn1Error."""
    return [
        [_attribute(pair) for pair in relative.expect(SET, "a relative name").children()]
        for relative in name.expect(SEQUENCE, "a name").children()
    ]


def _attribute(pair: Node) -> tuple[str, Node]:
    fields = pair.fields("an attribute of a name")
    found = fields.take(OID, "the type of an attribute").oid(), fields.any("the value of an attribute")
    fields.done()
    return found


def distinguished(name: list[list[tuple[str, Node]]]) -> str:
    """RFC 4514: most specific first, special characters escaped, nothing invisible; at most 1,000 characters."""
    relative = [
        "+".join(map(_pair, pairs[:_MOST_ATTRIBUTES])) for pairs in reversed(name[-_MOST_ATTRIBUTES:])
    ]
    return visible(",".join(relative), SUBJECT_CHARACTERS)


def _pair(pair: tuple[str, Node]) -> str:
    kind, value = pair
    text = string(value)
    if text is None:
        return f"{_SHORT.get(kind, kind)}=#{value.content[:32].hex()}"
    shown = visible(text).translate(_SPECIAL)
    if shown[:1] in (" ", "#"):
        shown = "\\" + shown
    if shown.endswith(" ") and not shown.endswith("\\ "):
        shown = shown[:-1] + "\\ "
    return f"{_SHORT.get(kind, kind)}={shown}"


def common_name(name: list[list[tuple[str, Node]]]) -> str:
    """The last common name that is not blank, else ""."""
    found = [string(value) for pairs in name for kind, value in pairs if kind == "2.5.4.3"]
    return next((visible(text.strip()) for text in reversed(found) if text and text.strip()), "")


def general(node: Node) -> str:
    """A GeneralName as "DNS:orders.example.org", "IP:192.0.2.1", "email:...", "URI:...". Raises Asn1Error."""
    number = node.number if node.tag_class == 2 else -1
    if number in _TEXT_KINDS:
        return f"{_TEXT_KINDS[number]}:{visible(node.content.decode('ascii', 'replace'))}"
    if number == 7:
        return f"IP:{_address(node.content)}"
    if number == 4:
        return f"directory:{distinguished(attributes(node.only('a directory name')))}"
    if number == 8:
        return f"OID:{oid(node.content)}"
    if number == 0:
        return f"other:{Fields(node, 'another name').take(OID, 'its kind').oid()}"
    return f"kind {node.number}"


_TEXT_KINDS = {1: "email", 2: "DNS", 6: "URI"}


def _address(octets: bytes) -> str:
    if len(octets) not in (4, 16):
        raise Asn1Error(f"an IP address has {len(octets)} octets; it must have 4 or 16")
    return str(ipaddress.ip_address(octets))
