"""Algorithms of certificates and keys: object identifiers, what they are called, what is weak (NIST SP 800-131A)."""

from __future__ import annotations

from typing import NamedTuple

RSA, RSA_PSS, EC, DSA = (
    "1.2.840.113549.1.1.1",
    "1.2.840.113549.1.1.10",
    "1.2.840.10045.2.1",
    "1.2.840.10040.4.1",
)
ED25519, ED448 = "1.3.101.112", "1.3.101.113"
EDWARDS = {ED25519: "Ed25519", ED448: "Ed448"}

LEAST_RSA_BITS = 2_048
LEAST_CURVE_BITS = 256

OTHER_KEYS = {
    "1.3.101.110": "X25519, for key agreement only", "1.3.101.111": "X448, for key agreement only",
    "1.2.840.10046.2.1": "Diffie-Hellman", "1.2.840.113549.1.3.1": "Diffie-Hellman",
    "1.2.643.2.2.19": "GOST R 34.10-2001", "1.2.643.7.1.1.1.1": "GOST R 34.10-2012", "1.2.643.7.1.1.1.2": "GOST R 34.10-2012",
    "2.16.840.1.101.3.4.3.17": "ML-DSA-44", "2.16.840.1.101.3.4.3.18": "ML-DSA-65", "2.16.840.1.101.3.4.3.19": "ML-DSA-87",
}  # fmt: skip
"""Kinds of keys that we can name and do not take."""


class Curve(NamedTuple):
    """A named elliptic curve: what it is called and how many bits its field has."""

    name: str
    bits: int


CURVES = {
    "1.2.840.10045.3.1.7": Curve("P-256", 256), "1.3.132.0.34": Curve("P-384", 384), "1.3.132.0.35": Curve("P-521", 521),
    "1.3.132.0.10": Curve("secp256k1", 256), "1.2.840.10045.3.1.1": Curve("P-192", 192), "1.3.132.0.33": Curve("P-224", 224),
    "1.3.36.3.3.2.8.1.1.7": Curve("brainpoolP256r1", 256), "1.3.36.3.3.2.8.1.1.11": Curve("brainpoolP384r1", 384),
    "1.3.36.3.3.2.8.1.1.13": Curve("brainpoolP512r1", 512),
    "1.3.36.3.3.2.8.1.1.1": Curve("brainpoolP160r1", 160), "1.3.36.3.3.2.8.1.1.3": Curve("brainpoolP192r1", 192),
    "1.3.36.3.3.2.8.1.1.5": Curve("brainpoolP224r1", 224),
    "1.2.840.10045.3.1.2": Curve("prime192v2", 192), "1.2.840.10045.3.1.3": Curve("prime192v3", 192),
    "1.2.840.10045.3.1.4": Curve("prime239v1", 239), "1.2.840.10045.3.1.5": Curve("prime239v2", 239),
    "1.2.840.10045.3.1.6": Curve("prime239v3", 239),
    "1.3.132.0.6": Curve("secp112r1", 112), "1.3.132.0.7": Curve("secp112r2", 112), "1.3.132.0.28": Curve("secp128r1", 128),
    "1.3.132.0.29": Curve("secp128r2", 128), "1.3.132.0.9": Curve("secp160k1", 160), "1.3.132.0.8": Curve("secp160r1", 160),
    "1.3.132.0.30": Curve("secp160r2", 160), "1.3.132.0.31": Curve("secp192k1", 192), "1.3.132.0.32": Curve("secp224k1", 224),
    "1.3.132.0.1": Curve("sect163k1", 163), "1.3.132.0.2": Curve("sect163r1", 163), "1.3.132.0.15": Curve("sect163r2", 163),
    "1.3.132.0.26": Curve("sect233k1", 233), "1.3.132.0.27": Curve("sect233r1", 233), "1.3.132.0.3": Curve("sect239k1", 239),
}  # fmt: skip
"""SEC 2, X9.62 and RFC 5639. Longer binary curves are left out: no gateway takes them."""

SIGNATURES = {
    "1.2.840.113549.1.1.2": "MD2 with RSA", "1.2.840.113549.1.1.3": "MD4 with RSA", "1.2.840.113549.1.1.4": "MD5 with RSA",
    "1.2.840.113549.1.1.5": "SHA-1 with RSA", "1.3.14.3.2.29": "SHA-1 with RSA", "1.3.14.3.2.27": "SHA-1 with DSA",
    "1.2.840.113549.1.1.14": "SHA-224 with RSA", "1.2.840.113549.1.1.11": "SHA-256 with RSA",
    "1.2.840.113549.1.1.12": "SHA-384 with RSA", "1.2.840.113549.1.1.13": "SHA-512 with RSA",
    "2.16.840.1.101.3.4.3.14": "SHA3-256 with RSA", "2.16.840.1.101.3.4.3.15": "SHA3-384 with RSA",
    "2.16.840.1.101.3.4.3.16": "SHA3-512 with RSA",
    "1.2.840.10045.4.1": "SHA-1 with ECDSA", "1.2.840.10045.4.3.1": "SHA-224 with ECDSA",
    "1.2.840.10045.4.3.2": "SHA-256 with ECDSA", "1.2.840.10045.4.3.3": "SHA-384 with ECDSA",
    "1.2.840.10045.4.3.4": "SHA-512 with ECDSA", "2.16.840.1.101.3.4.3.10": "SHA3-256 with ECDSA",
    "2.16.840.1.101.3.4.3.11": "SHA3-384 with ECDSA", "2.16.840.1.101.3.4.3.12": "SHA3-512 with ECDSA",
    "1.2.840.10040.4.3": "SHA-1 with DSA", "2.16.840.1.101.3.4.3.1": "SHA-224 with DSA",
    "2.16.840.1.101.3.4.3.2": "SHA-256 with DSA", "2.16.840.1.101.3.4.3.3": "SHA-384 with DSA",
    "2.16.840.1.101.3.4.3.4": "SHA-512 with DSA",
    ED25519: "Ed25519", ED448: "Ed448",
}  # fmt: skip

HASHES = {
    "1.2.840.113549.2.5": "MD5", "1.3.14.3.2.26": "SHA-1", "2.16.840.1.101.3.4.2.4": "SHA-224",
    "2.16.840.1.101.3.4.2.1": "SHA-256", "2.16.840.1.101.3.4.2.2": "SHA-384", "2.16.840.1.101.3.4.2.3": "SHA-512",
    "2.16.840.1.101.3.4.2.8": "SHA3-256", "2.16.840.1.101.3.4.2.9": "SHA3-384", "2.16.840.1.101.3.4.2.10": "SHA3-512",
}  # fmt: skip
WEAK_HASHES = ("MD2", "MD4", "MD5", "SHA-1")

KEY_USAGES = (
    "digital signature", "non-repudiation", "key encipherment", "data encipherment", "key agreement",
    "certificate signing", "CRL signing", "encipher only", "decipher only",
)  # fmt: skip
"""Bits of KeyUsage in order (RFC 5280, 4.2.1.3)."""
EXTENDED_USAGES = {
    "2.5.29.37.0": "any purpose", "1.3.6.1.5.5.7.3.1": "server authentication", "1.3.6.1.5.5.7.3.2": "client authentication",
    "1.3.6.1.5.5.7.3.3": "code signing", "1.3.6.1.5.5.7.3.4": "e-mail protection", "1.3.6.1.5.5.7.3.8": "time stamping",
    "1.3.6.1.5.5.7.3.9": "OCSP signing", "1.3.6.1.5.5.7.3.17": "IPsec", "1.3.6.1.4.1.311.20.2.2": "smart card logon",
    "1.3.6.1.4.1.311.10.3.4": "file encryption", "2.16.840.1.113730.4.1": "server gated crypto",
}  # fmt: skip

BASIC_CONSTRAINTS, KEY_USAGE, EXTENDED_KEY_USAGE = "2.5.29.19", "2.5.29.15", "2.5.29.37"
ALTERNATIVE_NAMES, AUTHORITY_ACCESS = "2.5.29.17", "1.3.6.1.5.5.7.1.1"
KNOWN_EXTENSIONS = frozenset(
    {f"2.5.29.{n}" for n in (9, 14, 15, 16, 17, 18, 19, 30, 31, 32, 33, 35, 36, 37, 46, 54)}
    | {AUTHORITY_ACCESS, "1.3.6.1.5.5.7.1.3", "1.3.6.1.5.5.7.1.11", "1.3.6.1.5.5.7.1.24"}
    | {"1.3.6.1.4.1.11129.2.4.2", "2.16.840.1.113730.1.1"}
)
"""Extensions that may be critical: those of RFC 5280, qualified statements, TLS feature, timestamps, Netscape type."""
