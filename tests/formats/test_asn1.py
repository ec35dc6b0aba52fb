"""The bounded ASN.1 reader: X.690, and what it refuses before anything is built from it."""

from __future__ import annotations

import pytest

from stores.formats import limits
from stores.formats.asn1 import (
    ELEMENTS,
    INTEGER,
    NULL,
    OCTET_STRING,
    OID,
    SEQUENCE,
    Asn1Error,
    encode,
    encode_integer,
    named,
    oid,
    parse,
    scan,
    to_der,
)
from stores.formats.errors import ReadingError


def nested(levels: int) -> bytes:
    found = b""
    for _ in range(levels):
        found = encode(SEQUENCE, found)
    return found


def test_elements_are_taken_in_order() -> None:
    fields = parse(
        encode(SEQUENCE, encode_integer(-129), encode(NULL), encode(OCTET_STRING, b"x" * 300))
    ).fields("a test")
    assert fields.take(INTEGER, "a number").integer() == -129
    assert fields.maybe(OID) is None
    assert fields.maybe(NULL) is not None
    assert fields.take(OCTET_STRING, "octets").octets() == b"x" * 300
    fields.done()


def test_a_missing_element_is_named_with_its_place() -> None:
    fields = parse(encode(SEQUENCE, encode(NULL))).fields("the certificate")
    with pytest.raises(Asn1Error, match="at octet 2 the serial number is expected"):
        fields.take(INTEGER, "the serial number")


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (b"\x30", "in the middle of an element"),
        (b"\x30\x05\x02\x01\x01", "claims 5 octets, but only 3 follow"),
        (b"\x30\x84\xff\xff\xff\xff", "claims 4,294,967,295 octets"),
        (b"\x30\x89" + b"\xff" * 9, "the length at octet 1 is damaged"),
        (b"\x30\x81\x02\x05\x00", "not written in its shortest form"),
        (b"\x30\x80\x00\x00", "indefinite length"),
        (b"\x3f\xff\x7f\x00", "tag at octet 0"),
        (b"\x30\x00\x00\x00", "2 more octets"),
    ],
)
def test_what_is_not_der_is_refused(octets: bytes, text: str) -> None:
    with pytest.raises(Asn1Error, match=text):
        parse(octets)


def test_nesting_is_bounded_where_the_limit_says() -> None:
    scan(nested(limits.NESTING))
    for octets in (nested(limits.NESTING + 1), nested(50_000)):
        with pytest.raises(Asn1Error, match="nested deeper than 32"):
            scan(octets)
        with pytest.raises(Asn1Error, match="nested deeper than 32"):
            to_der(octets)


def test_floods_of_elements_are_too_large() -> None:
    flood = encode(SEQUENCE, b"\x05\x00" * (ELEMENTS + 1))
    for walk in (scan, to_der, lambda octets: parse(octets).children()):
        with pytest.raises(Asn1Error) as caught:
            walk(flood)
        assert caught.value.code == "too_large"


def test_indefinite_lengths_and_strings_in_pieces_become_der() -> None:
    pieces = (
        b"\x24\x80" + encode(OCTET_STRING, b"ab") + b"\x24\x04" + encode(OCTET_STRING, b"cd") + b"\x00\x00"
    )
    whole = b"\x30\x80" + pieces + encode_integer(5) + b"\x00\x00"
    assert to_der(whole) == encode(SEQUENCE, encode(OCTET_STRING, b"abcd"), encode_integer(5))


def test_der_comes_through_unchanged() -> None:
    der = encode(SEQUENCE, encode_integer(1 << 4000), encode(SEQUENCE, encode(OCTET_STRING, bytes(70_000))))
    assert to_der(der) == der


@pytest.mark.parametrize(
    "octets", [b"\x30\x80" * 1000, b"\x30\x80\x02\x80\x01\x00\x00", b"\x24\x80\x02\x01\x05\x00\x00", b""]
)
def test_damaged_ber_is_refused(octets: bytes) -> None:
    with pytest.raises(Asn1Error):
        parse(octets, ber=True)


def test_object_identifiers_are_read_and_bounded() -> None:
    assert oid(bytes.fromhex("2a864886f70d010701")) == "1.2.840.113549.1.7.1"
    assert oid(bytes.fromhex("883703")) == "2.999.3"
    for wrong in (b"", b"\x2a\xff", b"\x55\x80\x03", b"\x2a" * 65):
        with pytest.raises(Asn1Error):
            oid(wrong)
        with pytest.raises(Asn1Error):
            scan(encode(OID, wrong))


def test_an_error_gets_the_name_of_the_file_and_the_field() -> None:
    with pytest.raises(ReadingError) as caught, named("certificate 2 in orders.pem", "key_file"):
        parse(b"\x30")
    assert caught.value.code == "malformed"
    assert caught.value.field == "key_file"
    assert caught.value.sentence.startswith(
        "Certificate 2 in orders.pem cannot be read: it ends in the middle"
    )
