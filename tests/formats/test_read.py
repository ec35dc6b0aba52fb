"""Whole uploads: what a file is, two files together, misleading names, passwords that nothing needs."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    pkcs7,
    pkcs12,
)

from stores.formats import limits, read
from stores.formats.errors import ReadingError
from stores.formats.parsed import Format, Parsed, Upload
from tests.material import Minted, mint

ROOT = mint("Root", ca=True)
LEAF = mint("orders.example", ROOT)
CHAIN = LEAF.pem + ROOT.pem
PKCS12 = pkcs12.serialize_key_and_certificates(
    b"orders",
    LEAF.key,
    LEAF.certificate,
    [ROOT.certificate],
    BestAvailableEncryption(b"changeit"),
)
BAG = pkcs7.serialize_certificates([LEAF.certificate, ROOT.certificate], Encoding.DER)


def offer(name: str, content: bytes, **more: Any) -> Parsed:
    return read(Upload(name, content, "key", **more))


def refused(name: str, content: bytes, **more: Any) -> ReadingError:
    with pytest.raises(ReadingError) as caught:
        offer(name, content, **more)
    return caught.value


def codes(parsed: Parsed) -> list[str]:
    return [finding.code for finding in parsed.findings]


def kept(*minted: Minted) -> set[str]:
    return {one.sha256 for one in minted}


FORMATS: list[tuple[str, bytes, Format]] = [
    ("orders.pem", CHAIN, "pem"), ("orders.der", LEAF.der, "der"), ("orders.p12", PKCS12, "pkcs12"), ("orders.p7b", BAG, "pkcs7"),
    ("orders.p7b", pkcs7.serialize_certificates([LEAF.certificate], Encoding.PEM), "pkcs7"), ("orders.cer", LEAF.der, "der"),
    ("orders.p12", base64.encodebytes(PKCS12), "pkcs12"), ("orders.p7b", base64.b64encode(BAG), "pkcs7"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "expected"), FORMATS)
def test_the_format_follows_from_the_content(name: str, content: bytes, expected: Format) -> None:
    found = offer(name, content, password="changeit" if expected == "pkcs12" else None)
    assert found.format == expected
    assert LEAF.sha256 in {certificate.sha256 for certificate in found.certificates}
    assert codes(found) == []


@pytest.mark.parametrize("name", ["orders.p12", "orders.der", "ORDERS.P7B", "orders.jks"])
def test_a_misleading_name_is_told(name: str) -> None:
    assert codes(offer(name, CHAIN)) == ["extension_mismatch"]


@pytest.mark.parametrize("name", ["orders", "orders.backup", "", "orders.PEM", "..."])
def test_a_name_that_promises_nothing_else_is_no_finding(name: str) -> None:
    assert codes(offer(name, CHAIN)) == []


def test_a_password_that_nothing_needs_is_told() -> None:
    assert codes(offer("orders.pem", CHAIN, password="x")) == ["password_not_needed"]
    assert codes(offer("orders.pem", CHAIN, password="")) == []
    assert codes(offer("orders.p12", PKCS12, password="changeit")) == []


@pytest.mark.parametrize("swapped", [False, True])
def test_chain_and_key_come_in_two_files_in_either_order(swapped: bool) -> None:
    first, second = (LEAF.key_der, CHAIN) if swapped else (CHAIN, LEAF.key_der)
    found = offer("a", first, key_name="b", key_content=second)
    assert found.format == "pem"
    assert {certificate.sha256 for certificate in found.certificates} == kept(LEAF, ROOT)
    assert [key.pkcs8 for key in found.keys] == [LEAF.key_der]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty_file"),
        (b"<html>", "unsupported_format"),
        (LEAF.key_der[:-3], "malformed"),
        (PKCS12, "unsupported_format"),
    ],
)
def test_what_is_wrong_with_the_second_file_belongs_to_its_field(content: bytes, code: str) -> None:
    error = refused("orders.pem", CHAIN, key_name="orders.key", key_content=content)
    assert (error.code, error.field) == (code, "key_file")
    assert "orders.key" in error.sentence


def test_the_password_field_is_at_fault_for_a_locked_second_file() -> None:
    locked = LEAF.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, BestAvailableEncryption(b"changeit"))
    error = refused("orders.pem", CHAIN, key_name="orders.key", key_content=locked)
    assert (error.code, error.field) == ("password_required", "password")
    found = offer("orders.pem", CHAIN, key_name="orders.key", key_content=locked, password="changeit")
    assert len(found.keys) == 1
    assert codes(found) == []


def test_both_files_together_are_limited() -> None:
    half = CHAIN + b"\n" * (limits.UPLOAD_BYTES - len(CHAIN) - len(LEAF.key_pem))
    assert offer("a.pem", half, key_content=LEAF.key_pem).format == "pem"
    assert refused("a.pem", half, key_content=LEAF.key_pem + b"\n").code == "too_large"


STRANGERS = [
    (b"", "empty_file", "is empty"), (b"\xef\xbb\xbf \r\n", "empty_file", "is empty"),
    (b"\x89PNG\r\n\x1a\n\0", "unsupported_format", "PNG"),
    (b"<!DOCTYPE html><title>403", "unsupported_format", "a web page"), (b'{"a": 1}', "unsupported_format", "a JSON document"),
    (b"ssh-rsa AAAA me@host", "unsupported_format", "an SSH key"), (b"%PDF-1.7\n", "unsupported_format", "a PDF document"),
    (b"\x1f\x8b\x08\0", "unsupported_format", "gzip"), (b"\xce\xce\xce\xce\0", "unsupported_format", "JCEKS"),
    (b"just words", "unsupported_format", "without any PEM block"), (b"\0" * 99, "unsupported_format", "none of the formats"),
    (b"\x30\x82\x01\x00\x00", "malformed", "claims 256 octets"), (b"\x30\x03\x02\x01\x05", "unsupported_format", "ASN.1"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "code", "said"), STRANGERS)
def test_what_is_none_of_ours_is_called_what_it_is(content: bytes, code: str, said: str) -> None:
    error = refused("../../<b>a\u202eb.bin", content)
    assert error.code == code
    assert said in error.sentence
    assert "<b>a\\u202eb.bin" in error.sentence
    assert ".." not in error.sentence
