"""Writes PKCS#12 (RFC 7292) by hand: parameters may be claimed that nobody could have computed."""

from __future__ import annotations

import hashlib
import hmac

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from stores.formats.asn1 import (
    BMP_STRING,
    INTEGER,
    NULL,
    OCTET_STRING,
    OID,
    SEQUENCE,
    SET,
    encode,
    encode_integer,
)
from tests.formats.tools import PASSWORD
from tests.material import Minted

SALT, IV = b"saltsalt", bytes(range(16))
DATA, SIGNED, ENVELOPED, ENCRYPTED = (f"1.2.840.113549.1.7.{kind}" for kind in (1, 2, 3, 6))
PLAIN_KEY, SHROUDED, CERTIFICATE, CRL, SECRET, NESTED = (
    f"1.2.840.113549.1.12.10.1.{kind}" for kind in range(1, 7)
)
HMAC_SHA256 = "1.2.840.113549.2.9"


def oid(dotted: str) -> bytes:
    first, second, *rest = map(int, dotted.split("."))
    octets = bytearray()
    for arc in (40 * first + second, *rest):
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(arc & 0x7F | 0x80)
        octets += bytes(reversed(groups))
    return encode(OID, bytes(octets))


def algorithm(dotted: str, parameters: bytes = encode(NULL)) -> bytes:
    return encode(SEQUENCE, oid(dotted), parameters)


def pbkdf2(rounds: int, key_length: int | None = None, prf: str = HMAC_SHA256, salt: bytes = SALT) -> bytes:
    size = b"" if key_length is None else encode_integer(key_length)
    parameters = encode(SEQUENCE, encode(OCTET_STRING, salt), encode_integer(rounds), size, algorithm(prf))
    return algorithm("1.2.840.113549.1.5.12", parameters)


def pbes2(rounds: int) -> bytes:
    cipher = algorithm("2.16.840.1.101.3.4.1.42", encode(OCTET_STRING, IV))
    return algorithm("1.2.840.113549.1.5.13", encode(SEQUENCE, pbkdf2(rounds), cipher))


def encrypted(plain: bytes, password: str = PASSWORD, rounds: int = 2) -> bytes:
    """AES-256-CBC by PBKDF2 with HMAC-SHA-256, as `pbes2(rounds)` says."""
    key = hashlib.pbkdf2_hmac("sha256", password.encode(), SALT, rounds, 32)
    padder = padding.PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(IV)).encryptor()
    return encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()


def name(text: str) -> bytes:
    """The attribute friendlyName."""
    value = encode(BMP_STRING, text.encode("utf-16-be", "surrogatepass"))
    return encode(SEQUENCE, oid("1.2.840.113549.1.9.20"), encode(SET, value))


def local_id(octets: bytes) -> bytes:
    return encode(SEQUENCE, oid("1.2.840.113549.1.9.21"), encode(SET, encode(OCTET_STRING, octets)))


def bag(kind: str, value: bytes, *attributes: bytes) -> bytes:
    return encode(SEQUENCE, oid(kind), encode(0xA0, value), encode(SET, *attributes) if attributes else b"")


def certificate(minted: Minted, *attributes: bytes, kind: str = "1.2.840.113549.1.9.22.1") -> bytes:
    value = encode(SEQUENCE, oid(kind), encode(0xA0, encode(OCTET_STRING, minted.der)))
    return bag(CERTIFICATE, value, *attributes)


def key(minted: Minted, *attributes: bytes, password: str = PASSWORD, rounds: int = 2) -> bytes:
    """An encrypted key bag."""
    sealed = encode(OCTET_STRING, encrypted(minted.key_der, password, rounds))
    return bag(SHROUDED, encode(SEQUENCE, pbes2(rounds), sealed), *attributes)


def costly_key(rounds: int) -> bytes:
    """An encrypted key bag that claims this many rounds, with octets that nothing opens."""
    return bag(SHROUDED, encode(SEQUENCE, pbes2(rounds), encode(OCTET_STRING, bytes(32))))


def open_safe(*bags: bytes) -> bytes:
    return content(DATA, encode(OCTET_STRING, encode(SEQUENCE, *bags)))


def sealed_safe(*bags: bytes, password: str = PASSWORD, rounds: int = 2) -> bytes:
    return sealed_octets(encrypted(encode(SEQUENCE, *bags), password, rounds), rounds)


def sealed_octets(ciphertext: bytes, rounds: int) -> bytes:
    info = encode(SEQUENCE, oid(DATA), pbes2(rounds), encode(0x80, ciphertext))
    return content(ENCRYPTED, encode(SEQUENCE, encode_integer(0), info))


def content(kind: str, inside: bytes) -> bytes:
    return encode(SEQUENCE, oid(kind), encode(0xA0, inside))


def kdf(password: bytes, rounds: int) -> bytes:
    """A MAC key of 32 octets by SHA-256 (RFC 7292, appendix B); short passwords and salts only, so one block each."""
    block = (
        b"\3" * 64 + (SALT * 64)[:64] + ((password * 64)[: 64 * -(-len(password) // 64)] if password else b"")
    )
    for _ in range(rounds):
        block = hashlib.sha256(block).digest()
    return block


def mac(contents: bytes, password: bytes = (PASSWORD + "\0").encode("utf-16-be"), rounds: int = 2) -> bytes:
    return claimed_mac(rounds, hmac.digest(kdf(password, rounds), contents, "sha256"))


def claimed_mac(
    rounds: int, digest: bytes = bytes(32), kind: str = "2.16.840.1.101.3.4.2.1", salt: bytes = SALT
) -> bytes:
    info = encode(SEQUENCE, algorithm(kind), encode(OCTET_STRING, digest))
    return encode(SEQUENCE, info, encode(OCTET_STRING, salt), encode_integer(rounds))


def pbmac1(
    contents: bytes, password: str = PASSWORD, rounds: int = 2, size: int = 32, *, said: int | None = None
) -> bytes:
    """RFC 9579: PBKDF2 and HMAC with SHA-256 in the MAC; `said` is the key length that is written."""
    derived = hashlib.pbkdf2_hmac("sha256", password.encode(), SALT, rounds, size)
    derivation = pbkdf2(rounds, size if said is None else said)
    how = algorithm("1.2.840.113549.1.5.14", encode(SEQUENCE, derivation, algorithm(HMAC_SHA256)))
    info = encode(SEQUENCE, how, encode(OCTET_STRING, hmac.digest(derived, contents, "sha256")))
    return encode(SEQUENCE, info, encode(OCTET_STRING, b"unused"), encode_integer(1))


def pfx(*safes: bytes, mac_data: bytes | None = None, version: int = 3) -> bytes:
    """A PKCS#12 file; without `mac_data` with a MAC that verifies."""
    contents = encode(SEQUENCE, *safes)
    tail = mac(contents) if mac_data is None else mac_data
    return encode(
        SEQUENCE, encode(INTEGER, bytes([version])), content(DATA, encode(OCTET_STRING, contents)), tail
    )
