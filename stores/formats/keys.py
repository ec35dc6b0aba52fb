"""Private keys: PKCS#8 (RFC 5958), also encrypted, PKCS#1 (RFC 8017), SEC 1 (RFC 5915) and old DSA, all in DER.

Every key is brought into plain PKCS#8 and checked by cryptography exactly once. Keys that are too weak to be kept are
only taken apart: their certificate is refused as weak_key, which needs their public half.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_private_key

from stores.formats import asn1, limits, public_keys
from stores.formats.algorithms import DSA, EC, EDWARDS, RSA, RSA_PSS
from stores.formats.asn1 import (
    INTEGER,
    NULL,
    OCTET_STRING,
    OID,
    SEQUENCE,
    Asn1Error,
    Node,
    encode,
    encode_integer,
    named,
)
from stores.formats.encryption import check_kdf, decrypt, refused
from stores.formats.errors import ReadingError
from stores.formats.library import library
from stores.formats.limits import Budget
from stores.formats.parsed import PrivateKey
from stores.formats.public_keys import PublicKey

__all__ = ["check_kdf", "decrypt", "is_private_key", "read_key"]

_RSA_ALGORITHM = encode(SEQUENCE, encode(OID, bytes.fromhex("2a864886f70d010101")), encode(NULL))
_EC_OID = encode(OID, bytes.fromhex("2a8648ce3d0201"))
_DSA_OID = encode(OID, bytes.fromhex("2a8648ce380401"))
_DSA_SECRET_BITS = 512


class _Form(NamedTuple):
    """A private key taken apart: AlgorithmIdentifier and the algorithm's own structure."""

    algorithm: Node
    inner: bytes

    @property
    def pkcs8(self) -> bytes:
        """PKCS#8 version 1, without attributes and public key, which some readers do not know."""
        return encode(SEQUENCE, encode_integer(0), self.algorithm.raw, encode(OCTET_STRING, self.inner))


def read_key(
    der: bytes, source: str, *, password: str | None, budget: Budget, alias: str = "", chain: Sequence[str] = (),
    field: str = "file",
) -> PrivateKey:  # fmt: skip
    """The private key in `der`; `source` names it in sentences, as "the private key in orders.pem".

    Raises ReadingError malformed, too_large, too_costly, unsupported_format, password_required or wrong_password.
    """
    budget.charge_key(source)
    with named(source, field):
        asn1.scan(der)
        node = asn1.parse(der)
        if _is_encrypted(node):
            node = _decrypted(node, password, budget, source, field)
        form = _form(node)
        public, spki = _public(form, source)
    if not public.weakness:
        spki = _checked(form, source, field)
    return PrivateKey(form.pkcs8, hashlib.sha256(spki).hexdigest(), public.kind, alias, tuple(chain))


def is_private_key(node: Node) -> bool:
    """Whether the element has the outline of a private key in one of the forms above."""
    if node.tag != SEQUENCE:
        return False
    tags = [child.tag for child in node.children()[:4]]
    if _is_encrypted(node):
        return True
    return tags[:1] == [INTEGER] and len(tags) > 1 and (
        tags[1:3] == [SEQUENCE, OCTET_STRING] or tags[1] == OCTET_STRING or tags[1:4] == [INTEGER] * 3
    )  # fmt: skip


def _is_encrypted(node: Node) -> bool:
    """EncryptedPrivateKeyInfo: an AlgorithmIdentifier and octets."""
    children = node.children() if node.tag == SEQUENCE else []
    if [child.tag for child in children] != [SEQUENCE, OCTET_STRING]:
        return False
    inside = children[0].children()
    return bool(inside) and inside[0].tag == OID


def _decrypted(node: Node, password: str | None, budget: Budget, source: str, field: str) -> Node:
    """The PrivateKeyInfo inside. Garbage means a wrong password, which padding alone shows in 255 of 256 cases."""
    algorithm, octets = node.children()
    plain = decrypt(algorithm, octets.content, password, budget, source, field)
    try:
        found = asn1.parse(plain)
        asn1.scan(plain)
    except Asn1Error:
        raise refused(password, source) from None
    return found


def _form(node: Node) -> _Form:
    """Any of the plain forms as PKCS#8. Raises Asn1Error."""
    fields = node.fields("the private key")
    version = fields.take(INTEGER, "the version of the private key")
    if fields.peek() == SEQUENCE:
        return _Form(
            fields.any("the algorithm"), fields.take(OCTET_STRING, "the private key's value").content
        )
    if fields.peek() == OCTET_STRING:
        return _sec1(node)
    numbers = [version, *fields.rest()]
    if [number.tag for number in numbers] == [INTEGER] * 6:
        return _old_dsa(numbers)
    return _Form(asn1.parse(_RSA_ALGORITHM), node.raw)


def _sec1(node: Node) -> _Form:
    """ECPrivateKey (RFC 5915): the curve moves from its own [0] into the AlgorithmIdentifier."""
    curve = next((child for child in node.children() if child.tag == 0xA0), None)
    if curve is None:
        raise Asn1Error("it is an EC key that does not name its curve")
    return _Form(asn1.parse(encode(SEQUENCE, _EC_OID, curve.content)), node.raw)


def _old_dsa(numbers: list[Node]) -> _Form:
    """Version, p, q, g, y and x, as OpenSSL wrote DSA keys."""
    parameters = encode(SEQUENCE, *(number.raw for number in numbers[1:4]))
    return _Form(asn1.parse(encode(SEQUENCE, _DSA_OID, parameters)), numbers[5].raw)


def _public(form: _Form, source: str) -> tuple[PublicKey, bytes]:
    """What the public half is and, for keys that are weak, its SubjectPublicKeyInfo; checked by nobody yet."""
    fields = form.algorithm.fields("the algorithm of the private key")
    kind = fields.take(OID, "the algorithm of the private key").oid()
    if kind in (RSA, RSA_PSS):
        return _rsa(form, source)
    if kind == EC:
        public = public_keys.elliptic(fields.rest(), source)
        return public, _spki(form, _point(form)) if public.weakness else b""
    if kind == DSA:
        return _dsa(form, fields.rest())
    if kind in EDWARDS:
        return PublicKey(EDWARDS[kind]), b""
    raise public_keys.unsupported(kind, source)


def _spki(form: _Form, value: bytes) -> bytes:
    return encode(SEQUENCE, form.algorithm.raw, encode(asn1.BIT_STRING, b"\0", value))


def _rsa(form: _Form, source: str) -> tuple[PublicKey, bytes]:
    fields = asn1.parse(form.inner).fields("the RSA key")
    if fields.any("its version").integer() != 0:
        raise ReadingError(
            "unsupported_format", f"{source} is an RSA key of more than two primes. Use one of two primes."
        )
    modulus, exponent = (fields.any("a number of the RSA key").integer() for _ in range(2))
    public = public_keys.rsa(modulus, exponent, source)
    if any(8 * (node.end - node.body) > limits.RSA_BITS + 8 for node in fields.rest()):
        raise Asn1Error("its numbers are longer than its modulus")
    numbers = encode(SEQUENCE, encode_integer(modulus), encode_integer(exponent))
    return public, _spki(form, numbers)


def _point(form: _Form) -> bytes:
    """The public point that an EC key carries, for curves on which it is not computed."""
    for child in asn1.parse(form.inner).children():
        if child.tag == 0xA1:
            return public_keys.bits(child.only("the public point"))
    raise Asn1Error("it is an EC key on a weak curve, and without its public point")


def _dsa(form: _Form, parameters: list[Node]) -> tuple[PublicKey, bytes]:
    if len(parameters) != 1:
        raise Asn1Error("it is a DSA key without parameters")
    numbers = parameters[0].fields("the DSA parameters")
    prime, _, generator = (numbers.any("a DSA parameter").integer() for _ in range(3))
    secret = asn1.parse(form.inner).integer("the DSA key")
    if (
        not 0 < prime.bit_length() <= limits.RSA_BITS
        or not 0 < secret.bit_length() <= _DSA_SECRET_BITS
        or prime < 2
    ):
        raise Asn1Error("it is a DSA key with numbers that make no sense")
    value = encode_integer(pow(generator, secret, prime))
    return PublicKey(f"DSA {prime.bit_length()}", "a DSA key"), _spki(form, value)


def _checked(form: _Form, source: str, field: str) -> bytes:
    """The SubjectPublicKeyInfo of a key that cryptography has loaded and found right in itself."""
    with library(source, field):
        key = load_der_private_key(form.pkcs8, None)
        if not isinstance(
            key,
            (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey, ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey),
        ):
            raise TypeError("a key of another kind than it says")
        spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if asn1.parse(form.algorithm.raw).children()[0].oid() != RSA_PSS:
        return spki
    value = asn1.parse(spki).children()[1].raw  # a PSS key is known as such in its certificate
    return encode(SEQUENCE, form.algorithm.raw, value)
