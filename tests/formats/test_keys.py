"""Private keys in every form, locked and open."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from stores.formats.asn1 import BIT_STRING, NULL, OCTET_STRING, OID, SEQUENCE, encode, encode_integer
from stores.formats.errors import ReadingError
from stores.formats.keys import read_key
from stores.formats.limits import PRIVATE_KEYS, Budget
from stores.formats.parsed import PrivateKey
from tests.material import Key, key

PASSWORD = "Grüße, пароль 🔑"


def spki_sha256(own: Key) -> str:
    return hashlib.sha256(
        own.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    ).hexdigest()


def read(der: bytes, password: str | None = None, budget: Budget | None = None) -> PrivateKey:
    return read_key(der, "the private key in orders.pem", password=password, budget=budget or Budget())


def refused(der: bytes, password: str | None = None) -> ReadingError:
    with pytest.raises(ReadingError) as caught:
        read(der, password)
    assert password is None or password not in caught.value.sentence
    return caught.value


@pytest.mark.parametrize("kind", ["rsa2048", "p256", "p384", "ed25519", "ed448"])
def test_pkcs8_is_taken_as_it_is(kind: str) -> None:
    own = key(f"own {kind}", kind)
    der = own.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    found = read(der)
    assert (found.pkcs8, found.spki_sha256) == (der, spki_sha256(own))


@pytest.mark.parametrize("kind", ["rsa2048", "p256", "dsa"])
def test_old_forms_become_pkcs8(kind: str) -> None:
    own = key(f"own {kind}", kind)
    found = read(own.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    assert found.spki_sha256 == spki_sha256(own)
    assert read(found.pkcs8).spki_sha256 == spki_sha256(own)


def test_a_locked_key_opens_with_its_password_only() -> None:
    own = key("own p256")
    der = own.private_bytes(Encoding.DER, PrivateFormat.PKCS8, BestAvailableEncryption(PASSWORD.encode()))
    budget = Budget()
    assert read(der, PASSWORD, budget).spki_sha256 == spki_sha256(own)
    assert budget.password_used
    assert refused(der, "something else").code == "wrong_password"
    missing = refused(der)
    assert (missing.code, missing.field) == ("password_required", "password")


def test_the_empty_password_is_tried_where_none_is_given() -> None:
    derivation = encode(SEQUENCE, encode(OCTET_STRING, b"saltsalt"), encode_integer(1))
    secret = hashlib.pbkdf2_hmac("sha1", b"", b"saltsalt", 1, 16)
    plain = key("own p256").private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    assert read(_locked(derivation, secret, plain)).spki_sha256 == spki_sha256(key("own p256"))


def _locked(derivation: bytes, secret: bytes, plain: bytes) -> bytes:
    """PBES2 with PBKDF2 and AES-128-CBC by hand."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    size = 16 - len(plain) % 16
    encryptor = Cipher(algorithms.AES(secret), modes.CBC(bytes(16))).encryptor()
    pbkdf2 = encode(SEQUENCE, encode(OID, bytes.fromhex("2a864886f70d01050c")), derivation)
    aes = encode(SEQUENCE, encode(OID, bytes.fromhex("60864801650304 0102")), encode(OCTET_STRING, bytes(16)))
    pbes2 = encode(SEQUENCE, encode(OID, bytes.fromhex("2a864886f70d01050d")), encode(SEQUENCE, pbkdf2, aes))
    return encode(SEQUENCE, pbes2, encode(OCTET_STRING, encryptor.update(plain + bytes([size]) * size)))


@pytest.mark.parametrize(
    ("salt", "numbers", "code"),
    [
        (b"saltsalt", (2**31 - 1,), "too_costly"), (b"saltsalt", (2**64 + 1,), "too_costly"), (b"saltsalt", (0,), "malformed"),
        (b"saltsalt", (-1,), "malformed"), (b"saltsalt", (1000, 2**31 - 1), "too_costly"), (b"saltsalt", (1000, 24), "malformed"),
        (bytes(900_000), (1000,), "malformed"),
    ],
)  # fmt: skip
def test_costly_or_senseless_parameters_are_refused_before_the_work(
    salt: bytes, numbers: tuple[int, ...], code: str
) -> None:
    derivation = encode(SEQUENCE, encode(OCTET_STRING, salt), *map(encode_integer, numbers))
    assert refused(_locked(derivation, bytes(16), b"x"), PASSWORD).code == code


def test_all_keys_of_an_upload_share_one_budget() -> None:
    derivation = encode(SEQUENCE, encode(OCTET_STRING, b"saltsalt"), encode_integer(6_000_000))
    budget = Budget()
    budget.charge(4_000_001, "another key")
    with pytest.raises(ReadingError, match="more than 10,000,000 rounds"):
        read(_locked(derivation, bytes(16), b"x"), PASSWORD, budget)


def test_keys_are_counted() -> None:
    der = key("own p256").private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    budget = Budget()
    for _ in range(PRIVATE_KEYS):
        read(der, budget=budget)
    with pytest.raises(ReadingError) as caught:
        read(der, budget=budget)
    assert caught.value.code == "too_large"


def test_a_key_that_does_not_fit_together_is_malformed_and_not_shown() -> None:
    own = key("own rsa2048", "rsa2048")
    assert isinstance(own, rsa.RSAPrivateKey)
    numbers = own.private_numbers()
    factors = numbers.p, numbers.q, numbers.dmp1 + 2, numbers.dmq1, numbers.iqmp
    wrong = 0, numbers.public_numbers.n, 65537, numbers.d, *factors
    error = refused(encode(SEQUENCE, *map(encode_integer, wrong)))
    assert error.code == "malformed"
    assert str(numbers.d)[:20] not in error.sentence


def test_long_rsa_keys_are_refused_by_their_length_alone() -> None:
    numbers = (0, 1 << 16_000 | 1, 65537, 1, 1, 1, 1, 1, 1)
    error = refused(encode(SEQUENCE, *map(encode_integer, numbers)))
    assert error.code == "too_large"
    assert "16,001 bits" in error.sentence


def test_a_weak_key_is_read_so_that_its_certificate_can_be_refused() -> None:
    own = key("weak", "rsa1024")
    found = read(own.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
    assert (found.key_type, found.spki_sha256) == ("RSA 1024", spki_sha256(own))


def test_an_unknown_algorithm_is_named() -> None:
    algorithm = encode(SEQUENCE, encode(OID, bytes.fromhex("2b656e")), encode(NULL))
    error = refused(encode(SEQUENCE, encode_integer(0), algorithm, encode(OCTET_STRING, b"x")))
    assert error.code == "unsupported_format"
    assert "X25519" in error.sentence


@pytest.mark.parametrize(
    "der", [b"", b"\x30\x00", encode(BIT_STRING, b"\0"), encode(SEQUENCE, encode_integer(0))]
)
def test_what_is_no_key_is_malformed(der: bytes) -> None:
    assert refused(der).code == "malformed"
