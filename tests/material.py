"""Mints certificates and keys for tests, relative to the one instant at which tests stand."""

from __future__ import annotations

import datetime as dt
import hashlib
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

NOW = dt.datetime(2026, 6, 1, 12, 0, tzinfo=dt.UTC)
CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
Key = (
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
    | dsa.DSAPrivateKey
)
_CURVES: dict[str, ec.EllipticCurve] = {
    "p192": ec.SECP192R1(),
    "p256": ec.SECP256R1(),
    "p384": ec.SECP384R1(),
}


@cache
def key(name: str, kind: str = "p256") -> Key:
    """The private key of this name and kind, made once: p192, p256, p384, rsa1024, rsa2048, ed25519, ed448, dsa."""
    if kind.startswith("rsa"):
        return rsa.generate_private_key(65537, int(kind[3:]))
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if kind == "ed448":
        return ed448.Ed448PrivateKey.generate()
    if kind == "dsa":
        return dsa.generate_private_key(2048)
    return ec.generate_private_key(_CURVES[kind])


@dataclass(frozen=True)
class Minted:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: Key

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.der).hexdigest()

    @property
    def key_der(self) -> bytes:
        """The key as PKCS#8 without encryption."""
        form, open_ = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        return self.key.private_bytes(serialization.Encoding.DER, form, open_)

    @property
    def key_pem(self) -> bytes:
        form, open_ = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        return self.key.private_bytes(serialization.Encoding.PEM, form, open_)


def mint(
    name: str,
    issuer: Minted | None = None,
    *,
    key_name: str | None = None,
    kind: str = "p256",
    ca: bool = False,
    begin: float | dt.datetime = -30,
    end: float | dt.datetime = 365,
    usages: Sequence[x509.ObjectIdentifier] = (CLIENT, SERVER),
    issuer_url: str = "",
    issuer_name: str | None = None,
    critical: str = "",
    key_usage: bool = False,
    hosts: Sequence[str] = (),
) -> Minted:
    """A certificate; self-signed without an issuer. `begin` and `end` are instants, or days from `NOW`.

    `key_name` shares a key with another certificate; `issuer_name` writes another name than the issuer's;
    `critical` adds a critical extension with this object identifier; `key_usage` adds digital signature;
    `hosts` are the names and addresses in its subject alternative name.
    """
    own = key(key_name or name, kind)
    subject = _named(name)
    above = _named(issuer_name) if issuer_name else issuer.certificate.subject if issuer else subject
    builder = (
        x509.CertificateBuilder(above, subject, own.public_key(), x509.random_serial_number(), _at(begin), _at(end))
        .add_extension(x509.BasicConstraints(ca, None), critical=True)
    )  # fmt: skip
    if usages and not ca:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    if issuer_url:
        place = x509.UniformResourceIdentifier(issuer_url)
        access = x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, place)
        builder = builder.add_extension(x509.AuthorityInformationAccess([access]), critical=False)
    if critical:
        unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier(critical), b"\x05\x00")
        builder = builder.add_extension(unknown, critical=True)
    if key_usage:
        flags = {"key_cert_sign": ca, "crl_sign": ca, "encipher_only": False, "decipher_only": False}
        signing = x509.KeyUsage(
            digital_signature=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            **flags,
        )
        builder = builder.add_extension(signing, critical=True)
    if hosts:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([_host(one) for one in hosts]), critical=False
        )
    signer = issuer.key if issuer else own
    bare = isinstance(signer, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
    return Minted(builder.sign(signer, None if bare else hashes.SHA256()), own)


def signed_with_sha1(minted: Minted, issuer: Minted) -> Minted:
    """The same certificate with a true SHA-1 signature of its issuer, which has an EC key; the library makes no such certificates."""
    loaded = asn1_x509.Certificate.load(minted.der)
    for algorithm in (loaded["tbs_certificate"]["signature"], loaded["signature_algorithm"]):
        algorithm["algorithm"] = "sha1_ecdsa"
    assert isinstance(issuer.key, ec.EllipticCurvePrivateKey)
    signature = issuer.key.sign(loaded["tbs_certificate"].dump(force=True), ec.ECDSA(hashes.SHA1()))
    loaded["signature_value"] = signature
    return Minted(x509.load_der_x509_certificate(loaded.dump(force=True)), minted.key)


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _at(when: float | dt.datetime) -> dt.datetime:
    return when if isinstance(when, dt.datetime) else NOW + dt.timedelta(days=when)
