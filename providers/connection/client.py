"""What became of our own certificate: asked for, sent, accepted, or refused and why."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import NameOID

from providers.connection.problem import Problem
from stores.formats.asn1 import Asn1Error, parse
from stores.formats.names import attributes, distinguished
from stores.formats.text import listed
from stores.rules.wording import instant, quoted

UNKNOWN_CA, EXPIRED, REQUIRED, HANDSHAKE_FAILURE = 48, 45, 116, 40
ABOUT_CERTIFICATES = frozenset({41, 42, 43, 44, EXPIRED, 46, UNKNOWN_CA, 49, 51, REQUIRED})
"""Alerts that speak of the other side's certificate (RFC 8446, section 6.2; no_certificate is of SSL 3)."""
_IN_WORDS = {
    40: "handshake failure", 41: "no certificate", 42: "bad certificate", 43: "unsupported certificate",
    44: "certificate revoked", 45: "certificate expired", 46: "certificate unknown", 48: "unknown CA", 49: "access denied",
    51: "decrypt error", 70: "protocol version", 71: "insufficient security", 80: "internal error",
    112: "unrecognized name", 116: "certificate required",
}  # fmt: skip
_NONE_WAS_SENT = re.compile(rb"No required SSL certificate was sent", re.IGNORECASE)
_WAS_REFUSED = re.compile(rb"The SSL certificate error", re.IGNORECASE)
_STATUS_REFUSED, _STATUS_NONE_SENT = 495, 496
"""nginx's own, where its error page shows them (ngx_http_ssl_module)."""
REFUSING_STATUS = frozenset({400, _STATUS_REFUSED, _STATUS_NONE_SENT})


@dataclass(frozen=True)
class Exchange:
    """What was asked for and sent, and what the verdict on it is judged by."""

    chain: tuple[x509.Certificate, ...]
    """Our certificates, the leaf first; empty when none is associated."""
    requested: bool
    sent: bool
    acceptable_cas: tuple[bytes, ...]
    """Names in DER."""
    now: dt.datetime

    def refusal(self, how: str, alert: int | None = None) -> Problem:
        """The diagnosis of a refusal, by its alert where that says it, else by what is known of our certificate."""
        if not self.sent or alert == REQUIRED:
            return self._required(how)
        if alert == UNKNOWN_CA:
            return self._unknown_ca(how)
        if alert == EXPIRED or (alert != 44 and self._ended()):
            return self._expired(how)
        if self._unknown_to_them():
            return self._unknown_ca(how)
        return self._refused(how)

    def _required(self, how: str) -> Problem:
        wanted = f" It takes those of {self._authorities()}." if self.acceptable_cas else ""
        if not self.chain:
            text = f"The server wants a client certificate, and none is associated here ({how}). Choose a key store certificate."
        else:
            text = (
                f"The server wants a client certificate, but takes none with a key of the kind that ours has, so none was sent ({how}). "
                "Use a certificate with an RSA or EC P-256 key."
            )
        return Problem("client_certificate_required", text + wanted, "ours")

    def _unknown_ca(self, how: str) -> Problem:
        takes = f" It takes those of {self._authorities()}." if self.acceptable_cas else ""
        issuer = quoted(self._top().issuer.rfc4514_string())
        text = (
            f"The server does not know the authority {issuer} that our certificate {self._name()} comes from ({how}).{takes} "
            "Send its people our issuing authority's certificate, or choose a certificate of an authority that they take."
        )
        return Problem("client_certificate_unknown_ca", text, "theirs")

    def _expired(self, how: str) -> Problem:
        ended = self._ended()
        if ended:
            text = f"Our certificate {_name_of(ended)} ended on {instant(ended.not_valid_after_utc)} ({how}). Replace it."
        else:
            text = (
                f"The server says that our certificate {self._name()} has ended, but it is valid until "
                f"{instant(self._leaf().not_valid_after_utc)} ({how}). Ask its people to check their clock."
            )
        return Problem("client_certificate_expired", text, "ours" if ended else "theirs")

    def _refused(self, how: str) -> Problem:
        early = self._leaf().not_valid_before_utc
        why = f" It is valid only from {instant(early)}." if early > self.now else ""
        text = (
            f"The server refuses our certificate {self._name()} ({how}).{why} "
            "Ask its people which subject, purpose or list they check, and tell them its fingerprint."
        )
        return Problem("client_certificate_refused", text, "ours" if why else "theirs")

    def _leaf(self) -> x509.Certificate:
        return self.chain[0]

    def _top(self) -> x509.Certificate:
        return self.chain[-1]

    def _name(self) -> str:
        return _name_of(self._leaf())

    def _ended(self) -> x509.Certificate | None:
        return next((one for one in self.chain if one.not_valid_after_utc < self.now), None)

    def _unknown_to_them(self) -> bool:
        """Whether the server names authorities, and none of our chain is among them (RFC 8446, section 4.2.4)."""
        known = {name for der in self.acceptable_cas if (name := _loaded(der))}
        return bool(known) and not any(one.issuer in known or one.subject in known for one in self.chain)

    def _authorities(self) -> str:
        return listed([quoted(name) for name in shown_names(self.acceptable_cas)], 5)

    def summary(self, *, accepted: bool) -> str:
        """What became of our certificate where nothing was refused; `accepted` when the server has gone on after it."""
        if not self.requested:
            shown = ", so ours was not shown" if self.chain else ""
            return f"The server did not ask for a client certificate{shown}."
        if not self.chain:
            return "The server asked for a client certificate, but goes on without one: it is optional, and none was sent."
        if not self.sent:
            return "The server asked for a client certificate, but takes no key of the kind that ours has; it goes on without."
        outcome = "accepted" if accepted else "not refused so far"
        return f"The server asked for a client certificate; ours, {self._name()}, was sent and {outcome}."


def in_words(alert: int) -> str:
    """An alert as it is called (RFC 8446, section 6)."""
    return f"TLS alert “{_IN_WORDS.get(alert, f'number {alert}')}”"


def http_refusal(status: int, body: bytes, exchange: Exchange) -> Problem | None:
    """The refusal of our certificate that an HTTP answer brings, as nginx does; None when it is about something else."""
    if not exchange.requested:
        return None
    if status == _STATUS_NONE_SENT or _NONE_WAS_SENT.search(body):
        return exchange.refusal(f"HTTP {status}: none was sent", REQUIRED)
    if status == _STATUS_REFUSED or _WAS_REFUSED.search(body):
        return exchange.refusal(f"HTTP {status}: certificate error")
    return None


def shown_names(ders: Sequence[bytes]) -> tuple[str, ...]:
    """Names as text (RFC 4514), safe to show."""
    return tuple(map(_shown, ders))


def _shown(der: bytes) -> str:
    try:
        return distinguished(attributes(parse(der)))
    except Asn1Error:
        return "a name that cannot be read"


def _loaded(der: bytes) -> x509.Name | None:
    try:
        return x509.Name.from_bytes(der)
    except ValueError:
        return None


def _name_of(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return quoted(str(names[-1].value) if names else certificate.subject.rfc4514_string())
