"""Certificates and keys for the example team, minted on the spot. Nothing outside trusts them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = ec.EllipticCurvePrivateKey
PEM = serialization.Encoding.PEM


@dataclass(frozen=True)
class Minted:
    """A certificate, its key, and those above it up to the root."""

    certificate: x509.Certificate
    key: Key
    above: tuple[x509.Certificate, ...] = ()

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(PEM)

    @property
    def pem_pair(self) -> bytes:
        """Key and chain in one PEM file."""
        key = self.key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return key + b"".join(one.public_bytes(PEM) for one in (self.certificate, *self.above))

    def pkcs12(self, password: str) -> bytes:
        """Key and chain in one PKCS#12 file."""
        encryption = serialization.BestAvailableEncryption(password.encode())
        return pkcs12.serialize_key_and_certificates(
            b"example", self.key, self.certificate, self.above, encryption
        )


def authority(name: str, begin: dt.datetime, end: dt.datetime, issuer: Minted | None = None) -> Minted:
    """A root, or below an issuer an intermediate."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(name, key, begin, end, issuer).add_extension(
        x509.BasicConstraints(ca=True, path_length=None), critical=True
    )
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    return _signed(builder, key, issuer)


def leaf(name: str, begin: dt.datetime, end: dt.datetime, issuer: Minted, key: Key | None = None) -> Minted:
    """A certificate for client and server; `key` is given where a key is used again."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    builder = _builder(name, key, begin, end, issuer).add_extension(
        x509.BasicConstraints(ca=False, path_length=None), critical=True
    )
    builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    return _signed(builder, key, issuer)


def _builder(
    name: str, key: Key, begin: dt.datetime, end: dt.datetime, issuer: Minted | None
) -> x509.CertificateBuilder:
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example"),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )
    above = issuer.certificate.subject if issuer else subject
    signer = issuer.key if issuer else key
    return (
        x509.CertificateBuilder(above, subject, key.public_key(), x509.random_serial_number(), begin, end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=signs_certificates, crl_sign=signs_certificates, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _signed(builder: x509.CertificateBuilder, key: Key, issuer: Minted | None) -> Minted:
    certificate = builder.sign(issuer.key if issuer else key, hashes.SHA256())
    return Minted(certificate, key, (issuer.certificate, *issuer.above) if issuer else ())
