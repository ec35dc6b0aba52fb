"""Public keys (SubjectPublicKeyInfo, RFC 5280 4.1.2.7): what kind they are and whether they are weak, before any library."""

from __future__ import annotations

from typing import NamedTuple

from stores.formats import limits
from stores.formats.algorithms import (
    CURVES,
    DSA,
    EC,
    EDWARDS,
    LEAST_CURVE_BITS,
    LEAST_RSA_BITS,
    OTHER_KEYS,
    RSA,
    RSA_PSS,
)
from stores.formats.asn1 import BIT_STRING, OID, SEQUENCE, Asn1Error, Node, parse
from stores.formats.errors import ReadingError

_EDWARDS_OCTETS = {"Ed25519": 32, "Ed448": 57}
_EXPONENT_BITS = 256
"""The longest public exponent of FIPS 186-5."""


class PublicKey(NamedTuple):
    """What is known of a public key. `weakness` follows "has ..." in a sentence; "" when it is sound."""

    kind: str
    weakness: str = ""


def read_public_key(spki: Node, source: str) -> PublicKey:
    """Kind and weakness. Raises Asn1Error, or ReadingError too_large and unsupported_format that name `source`."""
    fields = spki.fields("the public key")
    algorithm = fields.take(SEQUENCE, "the algorithm of the public key").fields(
        "the algorithm of the public key"
    )
    value = bits(fields.take(BIT_STRING, "the public key's value"))
    fields.done()
    kind = algorithm.take(OID, "the algorithm of the public key").oid()
    parameters = algorithm.rest()
    if kind in (RSA, RSA_PSS):
        return _rsa(value, source)
    if kind == EC:
        return elliptic(parameters, source)
    if kind == DSA:
        return _dsa(parameters)
    if kind in EDWARDS:
        return _edwards(EDWARDS[kind], value)
    raise unsupported(kind, source)


def unsupported(kind: str, source: str) -> ReadingError:
    """The error for a key of an algorithm that is none of ours."""
    name = f"{OTHER_KEYS[kind]} ({kind})" if kind in OTHER_KEYS else f"object identifier {kind}"
    return ReadingError(
        "unsupported_format",
        f"{source} has a key of an algorithm that is not supported: {name}. Use an RSA or EC key.",
    )


def bits(node: Node) -> bytes:
    """The octets of a BIT STRING, which must have no unused bits."""
    content = node.content
    if not content or content[0]:
        raise Asn1Error(f"the bit string at octet {node.start} is damaged")
    return content[1:]


def _rsa(value: bytes, source: str) -> PublicKey:
    numbers = parse(value).fields("the RSA key")
    modulus, exponent = numbers.any("the modulus").integer(), numbers.any("the exponent").integer()
    numbers.done()
    return rsa(modulus, exponent, source)


def rsa(modulus: int, exponent: int, source: str) -> PublicKey:
    """An RSA key by its numbers. Raises ReadingError too_large, Asn1Error for an even modulus."""
    size = modulus.bit_length()
    if size > limits.RSA_BITS:
        text = f"{source} has an RSA key of {size:,} bits; at most {limits.RSA_BITS:,} are read, as longer ones take too long to check."
        raise ReadingError("too_large", f"{text} Use RSA with 3072 or 4096 bits.")
    kind = f"RSA {size}"
    if modulus <= 0 or size < LEAST_RSA_BITS:
        return PublicKey(kind, f"an RSA key of {size} bits, where at least {LEAST_RSA_BITS} are needed")
    if not modulus & 1:
        raise Asn1Error("its RSA modulus is even")
    if exponent < 3 or not exponent & 1 or exponent.bit_length() > _EXPONENT_BITS:
        shown = str(exponent) if exponent.bit_length() <= 64 else f"of {exponent.bit_length()} bits"
        return PublicKey(
            kind, f"an RSA key with the public exponent {shown}, which protects nothing; 65537 is usual"
        )
    return PublicKey(kind)


def elliptic(parameters: list[Node], source: str) -> PublicKey:
    """An EC key by its parameters (RFC 5480, section 2.1.1). Raises Asn1Error, ReadingError unsupported_format."""
    if len(parameters) != 1 or parameters[0].tag not in (OID, SEQUENCE):
        raise Asn1Error("its EC key does not name its curve")
    if parameters[0].tag == SEQUENCE:
        weakness = "an EC key whose curve is spelled out (explicit parameters) instead of named, which is open to forgery"
        return PublicKey("EC explicit curve", weakness)
    dotted = parameters[0].oid()
    curve = CURVES.get(dotted)
    if curve is None:
        text = f"{source} has an EC key on a curve that is not supported: object identifier {dotted}."
        raise ReadingError("unsupported_format", f"{text} Use P-256, P-384 or P-521.")
    weak = curve.bits < LEAST_CURVE_BITS
    text = f"an EC key on {curve.name} with {curve.bits} bits, where at least {LEAST_CURVE_BITS} are needed"
    return PublicKey(f"EC {curve.name}", text if weak else "")


def _dsa(parameters: list[Node]) -> PublicKey:
    known = (
        parameters[0].fields("the DSA parameters") if parameters and parameters[0].tag == SEQUENCE else None
    )
    prime = known.any("the DSA prime").integer() if known else 0
    return PublicKey(
        f"DSA {prime.bit_length()}",
        "a DSA key, which is withdrawn (FIPS 186-5) and which TLS no longer takes",
    )


def _edwards(name: str, value: bytes) -> PublicKey:
    if len(value) != _EDWARDS_OCTETS[name]:
        raise Asn1Error(f"its {name} key has {len(value):,} octets; it must have {_EDWARDS_OCTETS[name]}")
    return PublicKey(name)
