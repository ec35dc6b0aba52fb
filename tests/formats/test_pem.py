"""PEM as people send it, and what cannot be mended."""

from __future__ import annotations

import base64
import time

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from stores.formats import limits, pem
from stores.formats.errors import ReadingError
from stores.formats.limits import Budget
from stores.formats.parsed import Parsed, Upload
from tests.material import mint

ROOT = mint("Root", ca=True)
LEAF = mint("orders.example", ROOT)
WHOLE = LEAF.key_pem + LEAF.pem + ROOT.pem


def read(content: bytes, password: str | None = None) -> Parsed:
    return pem.read(Upload("orders.pem", content, "key", password), content, "orders.pem", Budget())


def refused(content: bytes, password: str | None = None) -> ReadingError:
    with pytest.raises(ReadingError) as caught:
        read(content, password)
    return caught.value


SHAPES = {
    "plain": WHOLE,
    "crlf": WHOLE.replace(b"\n", b"\r\n"),
    "cr": WHOLE.replace(b"\n", b"\r"),
    "utf-8 mark": b"\xef\xbb\xbf" + WHOLE,
    "utf-16 little": b"\xff\xfe" + WHOLE.decode().encode("utf-16-le"),
    "utf-16 big": b"\xfe\xff" + WHOLE.decode().encode("utf-16-be"),
    "utf-16 unmarked": WHOLE.decode().encode("utf-16-be"),
    "utf-32": WHOLE.decode().encode("utf-32"),
    "spaces": b"\n".join(b" \t" + line + b"  " for line in WHOLE.splitlines()),
    "text": b"Bag Attributes\n    friendlyName: a-b -- c\n"
    + WHOLE.replace(b"-----BEGIN C", b"subject=CN = a\n-----BEGIN C"),
    "latin-1": "Schlüssel\n".encode("latin-1") + WHOLE,
    "labels": WHOLE.replace(b" CERTIFICATE-", b" X509 CERTIFICATE-"),
    "no newline": WHOLE.rstrip(),
    "parameters": b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" + WHOLE,
}


@pytest.mark.parametrize("content", SHAPES.values(), ids=SHAPES)
def test_every_shape_is_read_the_same(content: bytes) -> None:
    found = read(content)
    assert [certificate.sha256 for certificate in found.certificates] == [LEAF.sha256, ROOT.sha256]
    assert [key.pkcs8 for key in found.keys] == [LEAF.key_der]
    assert found.format == "pem"


def test_bare_base64_of_a_certificate_is_read() -> None:
    found = read(base64.encodebytes(ROOT.der))
    assert [certificate.sha256 for certificate in found.certificates] == [ROOT.sha256]


def test_a_key_that_is_there_twice_is_read_once() -> None:
    assert len(read(LEAF.key_pem + WHOLE).keys) == 1


def test_the_old_encryption_of_openssl_opens() -> None:
    lock = BestAvailableEncryption(b"changeit")
    locked = LEAF.key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, lock) + LEAF.pem
    assert b"Proc-Type: 4,ENCRYPTED" in locked
    (found,) = read(locked, "changeit").keys
    assert found.spki_sha256 == read(WHOLE).keys[0].spki_sha256
    assert refused(locked).code == "password_required"
    assert refused(locked, "change-it").code == "wrong_password"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (ROOT.pem[:200], "without its END line: it is cut off (line 1)"),
        (b"# a\n" + ROOT.pem.replace(b"END CERT", b"END X509 CERT"), "names something else (line 2)"),
        (ROOT.pem[:100] + b"*" + ROOT.pem[101:], "the character *, which is no base64"),
        (b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", "nothing inside"),
        (b"-----BEGIN CERTIFICATE----\nAAAA\n-----END CERTIFICATE-----\n", "BEGIN line that is damaged"),
        (ROOT.pem.partition(b"\n")[2], "the BEGIN line before it is missing"),
        (
            b"".join(line for number, line in enumerate(ROOT.pem.splitlines(keepends=True)) if number != 3),
            "claims",
        ),
        (ROOT.pem + LEAF.pem.replace(b"MII", b"MIJ", 1), "Certificate 2 in orders.pem"),
    ],
)
def test_damage_is_told_with_its_place(content: bytes, said: str) -> None:
    error = refused(content)
    assert error.code == "malformed"
    assert said in error.sentence


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ("CERTIFICATE REQUEST", "a certificate request"), ("X509 CRL", "a revocation list"), ("PUBLIC KEY", "a public key"),
        ("OPENSSH PRIVATE KEY", "ssh-keygen -p -m PKCS8"), ("PGP MESSAGE", "OpenPGP"), ("SHOPPING LIST", "SHOPPING LIST"),
    ],
)  # fmt: skip
def test_other_blocks_are_called_by_their_name(label: str, said: str) -> None:
    error = refused(f"-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n".encode())
    assert error.code == "unsupported_format"
    assert said in error.sentence


def test_a_stranger_beside_certificates_is_passed_over_unless_it_is_a_key() -> None:
    public = b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"
    assert len(read(public + ROOT.pem).certificates) == 1
    assert refused(public.replace(b"PUBLIC", b"OPENSSH PRIVATE") + ROOT.pem).code == "unsupported_format"


def test_certificates_are_counted_before_they_are_read() -> None:
    error = refused(
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" * (limits.CERTIFICATES + 1)
    )
    assert error.code == "too_large"
    assert "1,001 certificates; at most 1,000" in error.sentence


@pytest.mark.parametrize(
    "piece",
    [
        b"-----BEGIN ",
        b"-----BEGIN CERTIFICATE-----\n",
        b"-----END CERTIFICATE-----\n",
        b"-----BEGIN A-----\n-----END A-----\n",
        b"- ",
    ],
)
def test_floods_are_refused_at_once(piece: bytes) -> None:
    begin = time.process_time()
    error = refused(piece * (limits.UPLOAD_BYTES // len(piece)))
    assert error.code in ("malformed", "unsupported_format")
    assert time.process_time() - begin < 1
