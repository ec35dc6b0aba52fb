"""Reads a file of every common kind once before the sandbox forks, so that its children find everything set up.

Without it each child pays again for what libraries prepare on first use: three quarters of a small upload's time.
"""

from __future__ import annotations

import datetime as dt

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    pkcs12,
)

from stores.formats.parsed import Upload
from stores.inspection import examine
from stores.sandbox_server import packed_call

_PASSWORD = "rehearsal"  # noqa: S105 - of a file that is made and thrown away here


def rehearse() -> bytes:
    """Takes about 50 ms. The call that a child goes through before its own: a small file as most are."""
    now = dt.datetime.now(dt.UTC)
    key, leaf_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root, leaf = _certificate("Root", key, key, now), _certificate("Leaf", leaf_key, key, now)
    secret = BestAvailableEncryption(_PASSWORD.encode())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + root.public_bytes(
        Encoding.PEM
    )
    pair = leaf_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    pair += leaf.public_bytes(Encoding.PEM) + root.public_bytes(Encoding.PEM)
    for name, content in (
        ("rehearsal.pem", pem),
        ("rehearsal.pem", pem + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret)),
        ("rehearsal.p12", pkcs12.serialize_key_and_certificates(b"rehearsal", key, root, [leaf], secret)),
    ):
        examine(Upload(name, content, "key", _PASSWORD), now)
        examine(Upload(name, content, "trust", _PASSWORD), now)
    _load_rsa()
    return packed_call(examine, (Upload("rehearsal.pem", pair, "key", _PASSWORD), now), {})


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: ec.EllipticCurvePrivateKey, now: dt.datetime
) -> x509.Certificate:
    names = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common)]) for common in (name, "Root")]
    builder = (
        x509.CertificateBuilder().subject_name(names[0]).issuer_name(names[1]).public_key(key.public_key())
    )
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + dt.timedelta(days=1))
    return builder.sign(issuer, hashes.SHA256())


def _load_rsa() -> None:
    """A short key will do: it is the code that is warmed."""
    key = rsa.generate_private_key(65537, 1024)  # noqa: S505
    load_der_private_key(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()), None)
