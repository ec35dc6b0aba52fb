"""Why a TLS handshake failed, where it was not about our certificate."""

from __future__ import annotations

from providers.connection.client import HANDSHAKE_FAILURE, in_words
from providers.connection.problem import Problem
from providers.connection.target import Target
from providers.connection.tls import Session
from providers.connection.wire import ClosedError, TimeUpError, TooMuchError, WireError

_INSUFFICIENT_SECURITY, _PROTOCOL_VERSION, _UNRECOGNIZED_NAME = 71, 70, 112
_TOO_OLD = ("unsupported protocol", "wrong ssl version", "unsafe legacy renegotiation disabled")
_NO_COMMON = (
    "no shared cipher",
    "wrong cipher returned",
    "unknown cipher returned",
    "no suitable",
    "dh key too small",
)
_OUR_PROTOCOLS = "TLS 1.2 and 1.3"
SEEN = 40
"""Octets of an answer that is no TLS which are shown."""


def handshake_failure(error: WireError, session: Session, beginning: bytes, target: Target) -> Problem:
    """The diagnosis of a handshake that failed; `beginning` is what came first from the server."""
    if beginning and not session.speaks_tls:
        return not_tls(beginning)
    if isinstance(error, TimeUpError):
        return timed_out("the TLS handshake")
    if isinstance(error, ClosedError):
        return closed("during the TLS handshake", "It may want another server name, or no TLS at all.")
    if isinstance(error, TooMuchError):
        text = "What the port sends looks like TLS, but its handshake does not end within 64 KiB. Check host and port."
        return Problem("not_tls", text, "theirs")
    return _broken(session, target)


def _broken(session: Session, target: Target) -> Problem:
    if session.alert == _UNRECOGNIZED_NAME:
        text = f"The server knows no site of the name {target.name} ({in_words(_UNRECOGNIZED_NAME)}). Check host and server name."
        return Problem("server_name_mismatch", text, "ours")
    if _PROTOCOL_VERSION in (session.alert, session.own_alert) or _said(session, _TOO_OLD):
        return _too_old()
    if session.alert in (HANDSHAKE_FAILURE, _INSUFFICIENT_SECURITY) or _said(session, _NO_COMMON):
        return _no_common(session, target)
    if session.alert is not None:
        return ended_by_alert(session.alert)
    reason = next(iter(session.reasons), "what it sends makes no sense")
    text = f"What the port answers looks like TLS, but is broken ({reason}). Check the port, and what stands between."
    return Problem("not_tls", text, "theirs")


def _too_old() -> Problem:
    text = (
        f"The server speaks only a TLS version or dialect that is outdated; here {_OUR_PROTOCOLS} are spoken. "
        "Ask the people who run the server to allow TLS 1.2 or newer."
    )
    return Problem("protocol_too_old", text, "theirs")


def _no_common(session: Session, target: Target) -> Problem:
    why = in_words(session.alert) if session.alert else next(iter(session.reasons), "")
    unnamed = "" if target.sni else " It may also need a server name, and none was sent: set one."
    text = (
        f"Server and client found no common cipher, key exchange or signature ({why}). "
        f"Ask the people who run the server to allow what TLS 1.2 recommends, such as ECDHE with AES-GCM.{unnamed}"
    )
    return Problem("no_common_cipher", text, "theirs")


def _said(session: Session, words: tuple[str, ...]) -> bool:
    return any(word in reason for reason in session.reasons for word in words)


def not_tls(beginning: bytes) -> Problem:
    """The port answers something else than TLS."""
    if beginning.startswith(b"HTTP/") or beginning[:1] == b"<":
        text = "The port speaks plain HTTP, not TLS. Check the port, or ask the people who run the server for TLS."
    else:
        text = (
            f"What the port answers is not TLS (it begins with {printable(beginning)}). Check host and port."
        )
    return Problem("not_tls", text, "ours")


def timed_out(what: str) -> Problem:
    """The server was reached, and then said too little in time."""
    text = f"The server took the connection, but {what} did not end in time. Ask its people whether it is overloaded or stuck."
    return Problem("timeout", text, "theirs")


def closed(when: str, hint: str = "") -> Problem:
    """The server, or something between, ended the connection."""
    text = f"The connection was ended {when}, without a reason. {hint or 'A firewall or proxy on the way may do that.'}"
    return Problem("connection_reset", f"{text} Ask the people who run the server.", "theirs")


def ended_by_alert(alert: int) -> Problem:
    """An alert that speaks of no certificate."""
    text = (
        f"The server ended the connection with the {in_words(alert)}. Its log should say why: ask its people."
    )
    return Problem("connection_reset", text, "theirs")


def printable(octets: bytes) -> str:
    """The first octets of an answer, harmless to show."""
    shown = octets[:SEEN].decode("ascii", "replace")
    return f"“{''.join(one if one.isascii() and one.isprintable() else '·' for one in shown)}”"
