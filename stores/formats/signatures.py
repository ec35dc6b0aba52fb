"""Signatures between certificates. cryptography's own check refuses SHA-1 and MD5; ours must see who signed, to say so."""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa

from stores.formats.algorithms import SIGNATURES
from stores.formats.errors import ReadingError
from stores.formats.library import library

_HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "MD5": hashes.MD5, "SHA-1": hashes.SHA1, "SHA-224": hashes.SHA224, "SHA-256": hashes.SHA256, "SHA-384": hashes.SHA384,
    "SHA-512": hashes.SHA512, "SHA3-256": hashes.SHA3_256, "SHA3-384": hashes.SHA3_384, "SHA3-512": hashes.SHA3_512,
}  # fmt: skip


def is_signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether the key of `issuer` made the signature of `certificate`; names and dates are not looked at.

    False as well when the algorithm is unknown or does not belong to the key: what cannot be verified is not signed.
    """
    try:
        with library("the signature"):
            _verify(certificate, issuer.public_key())
    except (InvalidSignature, ReadingError):
        return False
    return True


def _verify(certificate: x509.Certificate, key: object) -> None:
    """Raises InvalidSignature, ValueError or UnsupportedAlgorithm unless `key` made the signature."""
    signature, signed = certificate.signature, certificate.tbs_certificate_bytes
    if isinstance(key, (ed25519.Ed25519PublicKey, ed448.Ed448PublicKey)):
        key.verify(signature, signed)
    elif isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, signed, *_rsa_scheme(certificate))
    elif isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, signed, ec.ECDSA(_digest(certificate, "ECDSA")))
    elif isinstance(key, dsa.DSAPublicKey):
        key.verify(signature, signed, _digest(certificate, "DSA"))
    else:
        raise InvalidSignature


def _rsa_scheme(certificate: x509.Certificate) -> tuple[padding.AsymmetricPadding, hashes.HashAlgorithm]:
    if certificate.signature_algorithm_oid != x509.SignatureAlgorithmOID.RSASSA_PSS:
        return padding.PKCS1v15(), _digest(certificate, "RSA")
    scheme, digest = certificate.signature_algorithm_parameters, certificate.signature_hash_algorithm
    if not isinstance(scheme, padding.PSS) or digest is None:
        raise InvalidSignature
    return scheme, digest


def _digest(certificate: x509.Certificate, kind: str) -> hashes.HashAlgorithm:
    """The digest that the signature algorithm names, which must be one for this kind of key."""
    digest, _, named = SIGNATURES.get(certificate.signature_algorithm_oid.dotted_string, "").partition(
        " with "
    )
    if named != kind or digest not in _HASHES:
        raise InvalidSignature
    return _HASHES[digest]()
