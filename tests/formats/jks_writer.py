"""Writes Java key stores as the OpenJDK does, and as nobody should."""

from __future__ import annotations

import hashlib
import struct

from stores.formats import asn1
from tests.formats.tools import PASSWORD
from tests.material import Minted

MAGIC = 0xFEEDFEED
SUN_PROTECTION = bytes.fromhex("2b060104012a02110101")


def number(value: int) -> bytes:
    return struct.pack(">I", value)


def text(octets: bytes) -> bytes:
    return struct.pack(">H", len(octets)) + octets


def certificate(der: bytes, kind: bytes = b"X.509", version: int = 2) -> bytes:
    return (text(kind) if version == 2 else b"") + number(len(der)) + der


def entry(kind: int, alias: bytes, rest: bytes) -> bytes:
    return number(kind) + text(alias) + struct.pack(">Q", 1_700_000_000_000) + rest


def trusted(alias: str, minted: Minted, version: int = 2) -> bytes:
    return entry(2, alias.encode(), certificate(minted.der, version=version))


def protected(plain: bytes, password: str, oid: bytes = SUN_PROTECTION) -> bytes:
    """Sun's key protection: a key stream of chained SHA-1 digests, and one more to check the password."""
    secret, salt = password.encode("utf-16-be"), bytes(range(20))
    block, stream = salt, b""
    while len(stream) < len(plain):
        block = hashlib.sha1(secret + block).digest()
        stream += block
    hidden = bytes(a ^ b for a, b in zip(plain, stream, strict=False))
    sealed = salt + hidden + hashlib.sha1(secret + plain).digest()
    algorithm = asn1.encode(asn1.SEQUENCE, asn1.encode(asn1.OID, oid), asn1.encode(asn1.NULL))
    return asn1.encode(asn1.SEQUENCE, algorithm, asn1.encode(asn1.OCTET_STRING, sealed))


def key(
    alias: str | bytes,
    chain: list[Minted],
    password: str = PASSWORD,
    *,
    version: int = 2,
    sealed: bytes = b"",
) -> bytes:
    """A key entry: the key of the first certificate, and the chain."""
    sealed = sealed or protected(chain[0].key_der, password)
    certificates = b"".join(certificate(minted.der, version=version) for minted in chain)
    octets = alias if isinstance(alias, bytes) else alias.encode()
    return entry(1, octets, number(len(sealed)) + sealed + number(len(chain)) + certificates)


def store(*entries: bytes, password: str = PASSWORD, version: int = 2, count: int | None = None) -> bytes:
    """A key store whose digest is right, whatever else is wrong."""
    body = (
        number(MAGIC) + number(version) + number(len(entries) if count is None else count) + b"".join(entries)
    )
    return body + hashlib.sha1(password.encode("utf-16-be") + b"Mighty Aphrodite" + body).digest()
