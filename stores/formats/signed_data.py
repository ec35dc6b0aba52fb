"""Signatures in CMS SignedData (RFC 5652, PKCS#7), as jarsigner puts them into META-INF/*.RSA, *.EC and *.DSA.

Whether the signer is anybody known is not asked: what counts is that nothing was changed after signing.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from stores.formats import asn1, limits, public_keys
from stores.formats.algorithms import DSA, EC, EDWARDS, HASHES, RSA, RSA_PSS, SIGNATURES
from stores.formats.asn1 import Asn1Error, Fields, Node
from stores.formats.errors import ReadingError
from stores.formats.library import library

DATA, SIGNED_DATA = "1.2.840.113549.1.7.1", "1.2.840.113549.1.7.2"
CONTENT_TYPE, MESSAGE_DIGEST = "1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4"
STRONG: dict[str, type[hashes.HashAlgorithm]] = {
    "SHA-256": hashes.SHA256, "SHA-384": hashes.SHA384, "SHA-512": hashes.SHA512,
    "SHA3-256": hashes.SHA3_256, "SHA3-384": hashes.SHA3_384, "SHA3-512": hashes.SHA3_512,
}  # fmt: skip
"""Hashes that a signature may rest on."""
SHAKE256, SHAKE256_OCTETS = "2.16.840.1.101.3.4.2.18", 64
"""The digest that goes with Ed448 (RFC 8419)."""
BY_DIGEST = {RSA, EC, DSA}
"""rsaEncryption, id-ecPublicKey and id-dsa: the hash is that of the digest algorithm."""
MGF1 = "1.2.840.113549.1.1.8"
MOST = 10
"""Signers in one block, and certificates."""
_SALT_OCTETS = 512


class SignatureError(ValueError):
    """A signature that does not hold; the text says why, as "it has no signer"."""


class _Certificate(NamedTuple):
    """What of a certificate matters here (RFC 5280, section 4.1); the body is what its issuer signed."""

    issuer: bytes
    serial: bytes
    subject: bytes
    spki: bytes
    body: bytes
    algorithm: Node
    signature: bytes


class _Signer(NamedTuple):
    """One SignerInfo (RFC 5652, section 5.3)."""

    issuer_and_serial: bytes
    digest: str
    attributes: Node | None
    algorithm: Node
    signature: bytes


def verify(block: bytes, text: bytes) -> None:
    """Raises SignatureError unless every signer in `block` signed `text`, with SHA-256 or better."""
    try:
        certificates, signers = _parsed(block, text)
        _check_issuers(certificates)
        for signer in signers:
            _verify_signer(signer, certificates, text)
    except Asn1Error as error:
        raise SignatureError(f"it is damaged: {error}") from None


def _parsed(block: bytes, text: bytes) -> tuple[list[_Certificate], list[_Signer]]:
    """Certificates and signers inside."""
    top = asn1.parse(block, ber=True)
    asn1.scan(top.raw)
    info = top.fields("a signature block")
    if info.take(asn1.OID, "its type").oid() != SIGNED_DATA:
        raise SignatureError("it is no PKCS#7 SignedData")
    signed = info.take(0xA0, "the signed data").only("the signed data").fields("the signed data")
    _check_version(signed)
    digests = [_algorithm(node) for node in signed.take(asn1.SET, "the digest algorithms").children()]
    _check_content(signed.take(asn1.SEQUENCE, "the content").fields("the content"), text)
    certificates = signed.maybe(0xA0)
    signed.maybe(0xA1)
    signers = [_signer(node) for node in _few(signed.take(asn1.SET, "the signers"), "signers")]
    if any(signer.digest not in digests for signer in signers):
        raise SignatureError("it does not announce the digest of its signer")
    return [
        _certificate(node) for node in _few(certificates, "certificates")
    ] if certificates else [], signers


def _check_version(fields: Fields) -> None:
    """1, or 3 with what jarsigner does not write (RFC 5652, sections 5.1 and 5.3)."""
    if fields.take(asn1.INTEGER, "its version").integer() not in (1, 3):
        raise SignatureError("it has a version that does not exist")


def _few(node: Node, what: str) -> list[Node]:
    inside = node.children()
    if not 1 <= len(inside) <= MOST:
        raise SignatureError(f"it has {len(inside):,} {what}; 1 to {MOST} are read")
    return inside


def _check_content(content: Fields, text: bytes) -> None:
    """The text is usually not inside; where it is (jarsigner -internalsf), it must be the same."""
    if content.take(asn1.OID, "the type of the content").oid() != DATA:
        raise SignatureError("what it signs is no file")
    inside = content.maybe(0xA0)
    if inside is not None and inside.only("the content").octets() != text:
        raise SignatureError("it signs another text")


def _certificate(node: Node) -> _Certificate:
    whole = node.fields("a certificate")
    body = whole.take(asn1.SEQUENCE, "its body")
    algorithm = whole.take(asn1.SEQUENCE, "its signature algorithm")
    signature = public_keys.bits(whole.take(asn1.BIT_STRING, "its signature"))
    fields = body.fields("a certificate")
    fields.maybe(0xA0)
    serial = fields.take(asn1.INTEGER, "the serial number")
    if fields.take(asn1.SEQUENCE, "the signature algorithm").raw != algorithm.raw:
        raise SignatureError("a certificate in it was changed")
    issuer = fields.take(asn1.SEQUENCE, "the issuer").raw
    fields.take(asn1.SEQUENCE, "the validity")
    subject = fields.take(asn1.SEQUENCE, "the subject").raw
    spki = fields.take(asn1.SEQUENCE, "the public key").raw
    return _Certificate(issuer, serial.raw, subject, spki, body.raw, algorithm, signature)


def _check_issuers(certificates: list[_Certificate]) -> None:
    """A certificate whose issuer is inside must be signed by it: else somebody changed it."""
    for certificate in certificates:
        issuers = [other for other in certificates if other.subject == certificate.issuer]
        if issuers and not any(_may_be_issued(certificate, issuer) for issuer in issuers):
            raise SignatureError("a certificate in it was changed")


def _may_be_issued(certificate: _Certificate, issuer: _Certificate) -> bool:
    """Whether the issuer's key fits; an outdated algorithm shows nothing, and the signer may be unknown anyway."""
    try:
        _verify(issuer.spki, certificate.algorithm, "", certificate.signature, certificate.body)
    except InvalidSignature:
        return False
    except SignatureError:
        return True
    return True


def _signer(info: Node) -> _Signer:
    fields = info.fields("a signer")
    _check_version(fields)
    named = fields.take(asn1.SEQUENCE, "issuer and serial number")
    digest = _algorithm(fields.take(asn1.SEQUENCE, "the digest algorithm"))
    attributes = fields.maybe(0xA0)
    algorithm = fields.take(asn1.SEQUENCE, "the signature algorithm")
    signature = fields.take(asn1.OCTET_STRING, "the signature").content
    return _Signer(named.content, digest, attributes, algorithm, signature)


def _algorithm(node: Node) -> str:
    """The name of an AlgorithmIdentifier."""
    return node.fields("an algorithm").take(asn1.OID, "an algorithm").oid()


def _verify_signer(signer: _Signer, certificates: list[_Certificate], text: bytes) -> None:
    keys = [c.spki for c in certificates if c.issuer + c.serial == signer.issuer_and_serial]
    if len(keys) != 1:
        raise SignatureError("the certificate of its signer is not inside, or twice")
    if signer.attributes is not None:
        _check_attributes(signer.attributes, signer.digest, text)
        text = asn1.encode(asn1.SET, signer.attributes.content)
    try:
        _verify(keys[0], signer.algorithm, signer.digest, signer.signature, text)
    except InvalidSignature:
        raise SignatureError("the signature is not that of this text") from None


def _check_attributes(attributes: Node, digest: str, text: bytes) -> None:
    """What is signed instead of the text: attributes with the digest of the text (RFC 5652, section 5.4)."""
    found: dict[str, list[Node]] = {}
    for attribute in attributes.children():
        fields = attribute.fields("an attribute")
        kind = fields.take(asn1.OID, "its type").oid()
        if kind in found:
            raise SignatureError("it has an attribute twice")
        found[kind] = fields.take(asn1.SET, "its values").children()
    kinds, digests = found.get(CONTENT_TYPE, []), found.get(MESSAGE_DIGEST, [])
    if len(kinds) != 1 or kinds[0].oid() != DATA or len(digests) != 1:
        raise SignatureError("its attributes do not say what is signed")
    if digests[0].expect(asn1.OCTET_STRING, "a digest").content != _digest(digest, text):
        raise SignatureError("it signs another text")


def _digest(dotted: str, text: bytes) -> bytes:
    if dotted == SHAKE256:
        return hashlib.shake_256(text).digest(SHAKE256_OCTETS)
    return hashlib.new(_hash(dotted).name, text).digest()


def _hash(dotted: str) -> hashes.HashAlgorithm:
    return _strong(HASHES.get(dotted, ""), dotted)


def _strong(name: str, dotted: str) -> hashes.HashAlgorithm:
    if name not in STRONG:
        raise SignatureError(
            f"it rests on {name or dotted}, which is unknown or too weak; sign with SHA-256 or better"
        )
    return STRONG[name]()


def _verify(spki: bytes, algorithm: Node, digest: str, signature: bytes, text: bytes) -> None:
    """Raises InvalidSignature, or SignatureError for what is damaged, weak, unknown or does not fit the key.

    `digest` names the hash where the algorithm does not.
    """
    fields = algorithm.fields("a signature algorithm")
    dotted, parameters = fields.take(asn1.OID, "an algorithm").oid(), fields.rest()
    try:
        with library("a signature"):
            key = load_der_public_key(spki)
            if isinstance(key, rsa.RSAPublicKey):
                _verify_rsa(key, dotted, parameters, digest, signature, text)
            elif isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey) and dotted in EDWARDS:
                key.verify(signature, text)
            elif isinstance(key, ec.EllipticCurvePublicKey):
                key.verify(signature, text, ec.ECDSA(_hash_of(dotted, digest)))
            elif isinstance(key, dsa.DSAPublicKey):
                key.verify(signature, text, _hash_of(dotted, digest))
            else:
                raise SignatureError("its key and its algorithm do not belong together")
    except ReadingError:
        raise SignatureError("a key or signature in it is damaged or of an unknown kind") from None


def _verify_rsa(
    key: rsa.RSAPublicKey, dotted: str, parameters: list[Node], digest: str, signature: bytes, text: bytes
) -> None:
    if key.key_size > limits.RSA_BITS:
        raise SignatureError(f"an RSA key in it has more than {limits.RSA_BITS:,} bits")
    if dotted == RSA_PSS:
        key.verify(signature, text, *_pss(parameters))
    else:
        key.verify(signature, text, padding.PKCS1v15(), _hash_of(dotted, digest))


def _hash_of(dotted: str, digest: str) -> hashes.HashAlgorithm:
    """The hash that a signature algorithm names, else that of the digest algorithm."""
    if dotted in BY_DIGEST:
        return _hash(digest)
    return _strong(SIGNATURES.get(dotted, "").partition(" with ")[0], dotted)


def _pss(parameters: list[Node]) -> tuple[padding.PSS, hashes.HashAlgorithm]:
    """Padding and hash of RSASSA-PSS (RFC 4055, section 3.1); its default, SHA-1, is not taken."""
    fields = {
        node.tag: node.only("a parameter of RSASSA-PSS")
        for node in (parameters[0].children() if parameters else ())
    }
    if not {0xA0, 0xA1} <= fields.keys():
        raise SignatureError("its RSASSA-PSS uses SHA-1; sign with SHA-256 or better")
    mask = fields[0xA1].fields("a mask function")
    if mask.take(asn1.OID, "a mask function").oid() != MGF1:
        raise SignatureError("its RSASSA-PSS uses an unknown mask function")
    inner = _hash(_algorithm(mask.take(asn1.SEQUENCE, "its hash")))
    salt = fields[0xA2].integer() if 0xA2 in fields else 20
    if not 0 <= salt <= _SALT_OCTETS:
        raise SignatureError("its RSASSA-PSS has a salt of senseless length")
    return padding.PSS(padding.MGF1(inner), salt), _hash(_algorithm(fields[0xA0]))
