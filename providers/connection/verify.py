"""Whether a server's chain leads to one of our trust entries: by OpenSSL's own verification, then put into our codes.

Works without a connection as well, on chains that were kept.
"""

from __future__ import annotations

import datetime as dt
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import ExtensionOID
from OpenSSL import crypto

from stores.formats.library import library
from stores.formats.signatures import is_signed_by

SYSTEM_ROOTS = Path("/etc/ssl/certs/ca-certificates.crt")
_MOST_CERTIFICATES = 30
"""Of a chain as sent; what comes after is not looked at."""
_EXPIRED, _NOT_YET_VALID = 10, 9
"""X509_V_ERR_CERT_HAS_EXPIRED and X509_V_ERR_CERT_NOT_YET_VALID."""
_INTERMEDIATE_WORDS = re.compile(r"\b(?:intermediate|issuing|subordinate|sub|inter|ica)", re.IGNORECASE)


@dataclass(frozen=True)
class Verdict:
    """What became of a chain. `code` is "ok" or one of DESIGN section 13, from server_certificate_expired to untrusted_issuer."""

    code: str
    path: tuple[x509.Certificate, ...]
    """From the leaf to the anchor; without an anchor as far up as the certificates sent reach."""
    anchor: x509.Certificate | None = None
    """The trust entry that verifies the path: the first one on the way up."""
    culprit: x509.Certificate | None = None
    """The certificate that the code is about; an entry of ours when `ours`."""
    ours: bool = False
    """Whether it is a trust entry that has ended or has not begun."""
    reason: str = ""
    """Why, in OpenSSL's words."""
    reordered: bool = False
    """Whether the server sent its certificates in another order than from the leaf upwards."""
    goes: bool = False
    """Whether the anchor is trusted only until the server was seen with another one."""


class _Anchors:
    """Trust entries in OpenSSL's form, for any number of threads."""

    def __init__(self, anchors: Sequence[x509.Certificate]) -> None:
        self._lock = threading.Lock()
        self._store = crypto.X509Store()
        self._store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
        for anchor in dict.fromkeys(anchors):
            self._store.add_cert(crypto.X509.from_cryptography(anchor))

    def path(self, chain: Sequence[crypto.X509], now: dt.datetime) -> list[crypto.X509]:
        """The verified path, anchor included. Raises crypto.X509StoreContextError."""
        with self._lock:  # the time is a property of the store
            self._store.set_time(now.astimezone(dt.UTC))
            return crypto.X509StoreContext(self._store, chain[0], chain[1:]).get_verified_chain()


@cache
def public_roots() -> tuple[x509.Certificate, ...]:
    """The system's public roots, read once; those of the certifi package where the system has none, else none."""
    file = SYSTEM_ROOTS
    if not file.exists():
        try:
            import certifi
        except ImportError:
            return ()
        file = Path(certifi.where())
    with library(file.name):
        return tuple(x509.load_pem_x509_certificates(file.read_bytes()))


@cache
def _prepared_public() -> _Anchors:
    return _Anchors(public_roots())


def verify(
    chain: Sequence[x509.Certificate], anchors: Sequence[x509.Certificate], now: dt.datetime
) -> Verdict:
    """Judges a chain as sent, the leaf first and the rest in any order, at the instant `now`.

    Only `anchors` are trusted, and any certificate may be one, also an intermediate or the leaf itself (RFC 5280,
    section 6.1). The tuple of `public_roots` is prepared only once.
    """
    chain = tuple(chain[:_MOST_CERTIFICATES])
    sent = _ordered(chain)
    reordered = sent != chain[: len(sent)]
    try:
        prepared = _prepared_public() if anchors is public_roots() else _Anchors(anchors)
        path = prepared.path([crypto.X509.from_cryptography(one) for one in chain], now)
    except crypto.X509StoreContextError as error:
        return _failure(sent, anchors, now, error, reordered)
    found = tuple(certificate.to_cryptography() for certificate in path)
    # Above a trusted leaf OpenSSL goes on as far as the certificates sent reach.
    end = next(place for place, certificate in enumerate(found, 1) if certificate in anchors)
    return Verdict("ok", found[:end], found[end - 1], reordered=reordered)


def _failure(
    sent: tuple[x509.Certificate, ...],
    anchors: Sequence[x509.Certificate],
    now: dt.datetime,
    error: crypto.X509StoreContextError,
    reordered: bool,
) -> Verdict:
    """What comes first in the order of the codes, on the chain as sent."""
    number, _, words = error.errors

    def verdict(code: str, culprit: x509.Certificate, *, ours: bool = False) -> Verdict:
        return Verdict(code, sent, culprit=culprit, ours=ours, reason=words, reordered=reordered)

    below = [
        certificate for certificate in sent if certificate is sent[0] or not _is_self_signed(certificate)
    ]
    if late := next((one for one in below if one.not_valid_after_utc < now), None):
        return verdict("server_certificate_expired", late)
    if early := next((one for one in below if one.not_valid_before_utc > now), None):
        return verdict("server_certificate_not_yet_valid", early)
    if number in (_EXPIRED, _NOT_YET_VALID):
        return verdict("untrusted_issuer", error.certificate.to_cryptography(), ours=True)
    if _is_self_signed(sent[0]):
        return verdict("server_self_signed", sent[0])
    if _lacks_intermediate(sent, anchors):
        return verdict("server_chain_incomplete", sent[0])
    return verdict("untrusted_issuer", sent[-1])


def _ordered(chain: Sequence[x509.Certificate]) -> tuple[x509.Certificate, ...]:
    """From the first certificate up, as far as those sent reach."""
    path = [chain[0]]
    while not _is_self_signed(path[-1]):
        issuer = next((one for one in chain if one not in path and _issued(one, path[-1])), None)
        if issuer is None:
            break
        path.append(issuer)
    return tuple(path)


def _issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    return issuer.subject == certificate.issuer and is_signed_by(certificate, issuer)


def _is_self_signed(certificate: x509.Certificate) -> bool:
    return _issued(certificate, certificate)


def _lacks_intermediate(sent: Sequence[x509.Certificate], anchors: Sequence[x509.Certificate]) -> bool:
    """Whether the leaf came alone and its issuer is probably no root, but an intermediate that the server should send.

    Nothing tells for sure. It speaks for an intermediate that the leaf says where its issuer's certificate can be had
    (RFC 5280, section 4.2.2.1), which nobody does for a root, and the issuer's name; it speaks for a root of another trust
    store that one of our entries has the issuer's name, but another key.
    """
    leaf = sent[0]
    if len(sent) > 1 or any(anchor.subject == leaf.issuer for anchor in anchors):
        return False
    return _has_extension(leaf, ExtensionOID.AUTHORITY_INFORMATION_ACCESS) or bool(
        _INTERMEDIATE_WORDS.search(leaf.issuer.rfc4514_string())
    )


def _has_extension(certificate: x509.Certificate, dotted: x509.ObjectIdentifier) -> bool:
    try:
        return any(extension.oid == dotted for extension in certificate.extensions)
    except ValueError:
        return False
