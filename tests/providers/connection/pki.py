"""The certificates of the servers and clients of this folder, and their files.

The servers are other people's programs with no clock of ours: everything here is relative to the real instant.
"""

from __future__ import annotations

import base64
import datetime as dt
import functools
import hashlib
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp

from providers.connection.target import ClientMaterial
from tests.material import CLIENT, SERVER, Minted, mint, signed_with_sha1

NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
NAME = "backend.test"
_HOSTS = (NAME, "127.0.0.1", "::1", "localhost")
Chain = tuple[Minted, ...]


def _leaf(
    name: str,
    issuer: Minted | None,
    *,
    begin: float = -30,
    end: float = 365,
    kind: str = "p256",
    host: str = "",
) -> Minted:
    hosts = (host,) if host else _HOSTS
    return mint(name, issuer, begin=_day(begin), end=_day(end), usages=(SERVER,), kind=kind, hosts=hosts)


def _ca(name: str, issuer: Minted | None = None, *, end: float = 3000) -> Minted:
    return mint(name, issuer, ca=True, begin=_day(-400), end=_day(end), key_usage=True)


def _client(
    name: str, issuer: Minted, *, begin: float = -30, end: float = 365, usage: x509.ObjectIdentifier = CLIENT
) -> Minted:
    return mint(name, issuer, begin=_day(begin), end=_day(end), usages=(usage,))


def _day(days: float) -> dt.datetime:
    return NOW + dt.timedelta(days=days)


@functools.cache
def authorities() -> dict[str, Minted]:
    """Everything that can be trusted, by a short name; leaves are in `servers`."""
    root, client_root = _ca("Backend Root"), _ca("Client Root")
    return {
        "root": root,
        "issuing": _ca("Backend Issuing CA", root),
        "ended": _ca("Backend Ended CA", root, end=-2),
        "other": _ca("Other Root"),
        "namesake": mint("Backend Root", key_name="another Backend Root", ca=True, end=_day(3000)),
        "client root": client_root,
        "client issuing": _ca("Client Issuing CA", client_root),
        "new client root": _ca("New Client Root"),
        "stranger": _ca("Stranger Root"),
    }


@functools.cache
def servers() -> dict[str, Chain]:
    """What servers show, as it is sent: the leaf first, unless it says otherwise."""
    known = authorities()
    root, issuing, ended = known["root"], known["issuing"], known["ended"]
    right = _leaf("right", issuing)
    by_sha1 = signed_with_sha1(_leaf("by SHA-1", issuing), issuing)
    return {
        "right": (right, issuing),
        "expired": (_leaf("expired", issuing, end=-1), issuing),
        "expired unknown": (_leaf("expired unknown", known["stranger"], end=-1),),
        "chain expired": (_leaf("below ended", ended), ended),
        "not yet valid": (_leaf("not yet valid", issuing, begin=5), issuing),
        "wrong host": (_leaf("wrong host", issuing, host="elsewhere.test"), issuing),
        "wildcard": (_leaf("wildcard", issuing, host=f"*.{NAME}"), issuing),
        "self-signed": (_leaf("self-signed", None),),
        "missing intermediate": (right,),
        "out of order": (right, root, issuing),
        "by SHA-1": (by_sha1, issuing),
        "RSA 1024": (_leaf("RSA 1024", issuing, kind="rsa1024"), issuing),
        "revoked": (_leaf("revoked", issuing), issuing),
    }


@functools.cache
def clients() -> dict[str, Chain]:
    """What we show, the leaf first."""
    known = authorities()
    issuing, new = known["client issuing"], known["new client root"]
    return {
        "known": (_client("known", issuing), issuing),
        "unknown": (_client("unknown", known["stranger"]),),
        "expired": (_client("expired client", issuing, end=-1), issuing),
        "early": (_client("early client", issuing, begin=5), issuing),
        "revoked": (_client("revoked client", issuing), issuing),
        "for servers only": (_client("for servers only", issuing, usage=SERVER), issuing),
        "new": (_client("new client", new),),
    }


def client(name: str) -> ClientMaterial:
    """A client's material as the probe takes it."""
    chain = clients()[name]
    return ClientMaterial(chain[0].key, tuple(one.certificate for one in chain))


def certificate(name: str) -> Minted:
    """An authority by its name, or the leaf that a server shows."""
    known = authorities()
    return known[name] if name in known else servers()[name][0]


def pin(name: str) -> str:
    """The pin of a certificate (RFC 7469, section 2.4)."""
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    public = certificate(name).certificate.public_key().public_bytes(serialization.Encoding.DER, spki)
    return base64.b64encode(hashlib.sha256(public).digest()).decode()


def write(folder: Path) -> None:
    """Writes for each server `<name>.pem` (chain, key), `<name>.chain.pem` and `<name>.key.pem`; the client authorities and staples."""
    for name, chain in servers().items():
        place = folder / name.replace(" ", "-")
        whole = b"".join(one.pem for one in chain)
        place.with_suffix(".pem").write_bytes(whole + chain[0].key_pem)
        place.with_suffix(".leaf.pem").write_bytes(chain[0].pem)
        place.with_suffix(".chain.pem").write_bytes(b"".join(one.pem for one in chain[1:]))
        place.with_suffix(".key.pem").write_bytes(chain[0].key_pem)
    known = authorities()
    (folder / "client-cas.pem").write_bytes(known["client root"].pem)
    (folder / "new-client-cas.pem").write_bytes(known["new client root"].pem)
    (folder / "client-crl.pem").write_bytes(_revoked_clients() + _revoked_authorities())
    (folder / "staple.revoked.der").write_bytes(_staple(ocsp.OCSPCertStatus.REVOKED))
    (folder / "staple.good.der").write_bytes(_staple(ocsp.OCSPCertStatus.GOOD))


def _revoked_clients() -> bytes:
    issuing = authorities()["client issuing"]
    gone = clients()["revoked"][0].certificate.serial_number
    entry = x509.RevokedCertificateBuilder(gone, _day(-3)).build()
    return _revocations(issuing, entry)


def _revoked_authorities() -> bytes:
    return _revocations(authorities()["client root"])


def _revocations(issuer: Minted, *entries: x509.RevokedCertificate) -> bytes:
    builder = x509.CertificateRevocationListBuilder(issuer.certificate.subject, _day(-1), _day(30))
    for entry in entries:
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _staple(status: ocsp.OCSPCertStatus) -> bytes:
    """An OCSP answer (RFC 6960) about the server certificate "revoked"."""
    leaf, issuer = servers()["revoked"]
    gone = status is ocsp.OCSPCertStatus.REVOKED
    builder = ocsp.OCSPResponseBuilder().add_response(
        cert=leaf.certificate,
        issuer=issuer.certificate,
        algorithm=hashes.SHA1(),
        cert_status=status,
        this_update=_day(-1),
        next_update=_day(6),
        revocation_time=_day(-2) if gone else None,
        revocation_reason=x509.ReasonFlags.key_compromise if gone else None,
    )
    named = builder.responder_id(ocsp.OCSPResponderEncoding.NAME, issuer.certificate)
    answer = named.sign(issuer.key, hashes.SHA256())
    return answer.public_bytes(serialization.Encoding.DER)
