"""TLS over a wire, by OpenSSL on memory buffers: everything is let through and noted, so that it can be judged afterwards.

Keys stay in memory. Also weak certificates are let through (security level 0): a diagnosis needs to see them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from OpenSSL import SSL, crypto

from providers.connection.target import ClientMaterial, Target
from providers.connection.wire import ClosedError, End, Wire, WireError

T = TypeVar("T")
_CIPHERS = b"ALL:!aNULL:!eNULL:!PSK:!SRP:@SECLEVEL=0"
_ALERT = 0x4000
"""SSL_CB_ALERT (SSL_CTX_set_info_callback)."""
_RECORD_KINDS = range(20, 24)


class BrokenError(WireError):
    """TLS has failed; the session's notes say how."""


class Session:
    """One TLS connection as a client, and what was noted of it."""

    def __init__(self, wire: Wire, target: Target, client: ClientMaterial | None) -> None:
        """Raises ValueError when our own certificate cannot be used with its key."""
        self._wire = wire
        self.established = False
        self.alert: int | None = None
        """The description of the fatal alert that the server sent (RFC 8446, section 6)."""
        self.own_alert: int | None = None
        """The one that we sent."""
        self.reasons: tuple[str, ...] = ()
        """Why OpenSSL gave up, in its words."""
        self.requested = self.sent = False
        """Whether the server asked for our certificate, and whether it got one."""
        self.answered = False
        """Whether we have answered its request, be it with none."""
        self.accepted = False
        """Whether the server went on after our certificate, so that it has surely looked at it."""
        self.heard = False
        """Whether the server has said anything in what was agreed on."""
        self.staple = b""
        """The OCSP response that the server added (RFC 6066, section 8)."""
        context = _context(client)
        context.set_ocsp_client_callback(self._on_staple)
        context.set_info_callback(self._on_event)
        self._connection = SSL.Connection(context, None)
        self._connection.set_connect_state()
        self._connection.request_ocsp()
        if target.sni:
            self._connection.set_tlsext_host_name(target.sni.encode("utf-8", "replace"))

    def handshake(self) -> None:
        """Raises BrokenError or WireError; what was noted until then stays."""
        self._run(self._connection.do_handshake)
        self.established = True
        self.accepted |= self.protocol != "TLSv1.3"

    def write(self, octets: bytes) -> None:
        """Sends octets, at most some thousand. Raises BrokenError or WireError."""
        self._run(lambda: self._connection.send(octets))

    def read(self) -> bytes:
        """At least one octet. Raises BrokenError, or WireError, a ClosedError also when the server said that it ends."""
        octets = self._run(lambda: self._connection.recv(16 * 1024))
        self.heard = True
        return octets

    @property
    def protocol(self) -> str:
        """As "TLSv1.3"; "" before the server has chosen."""
        return self._connection.get_protocol_version_name() if self.cipher else ""

    @property
    def cipher(self) -> str:
        """Its name in OpenSSL's words; "" before the server has chosen."""
        return self._connection.get_cipher_name() or ""

    @property
    def chain(self) -> tuple[bytes, ...]:
        """The server's certificates as sent, each in DER."""
        sent = self._connection.get_peer_cert_chain() or []
        return tuple(crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate) for certificate in sent)

    @property
    def acceptable_cas(self) -> tuple[bytes, ...]:
        """The names in the server's request for our certificate, each in DER."""
        return tuple(name.der() for name in self._connection.get_client_ca_list())

    @property
    def speaks_tls(self) -> bool:
        """Whether what came first has the outline of a TLS record (RFC 8446, section 5.1)."""
        return looks_like_tls(self._wire.beginning)

    def _run(self, step: Callable[[], T]) -> T:
        """A step of OpenSSL, fed from the wire until it is done."""
        while True:
            try:
                found = step()
                self._flush()
                return found
            except SSL.WantReadError:
                self._flush()
                self._feed()
            except SSL.ZeroReturnError:
                raise ClosedError(End.PROPER) from None
            except SSL.SysCallError:
                raise ClosedError(End.CUT) from None
            except SSL.Error as error:
                self.reasons = _reasons(error)
                self._flush()
                raise BrokenError from None

    def _feed(self) -> None:
        try:
            octets = self._wire.read()
        except ClosedError as error:
            raise ClosedError(End.CUT if error.end is End.PROPER else error.end) from None
        while octets:
            octets = octets[self._connection.bio_write(octets) :]

    def _flush(self) -> None:
        try:
            while True:
                self._wire.write(self._connection.bio_read(16 * 1024))
        except SSL.WantReadError:
            return

    def _on_event(self, connection: SSL.Connection, where: int, value: int) -> None:
        if where & _ALERT and value >> 8 == 2:
            if where & SSL.SSL_CB_READ_ALERT & ~_ALERT:
                self.alert = value & 0xFF
            else:
                self.own_alert = value & 0xFF
        elif where & SSL.SSL_CB_LOOP:
            state = connection.get_state_string()
            self.requested |= b"read server certificate request" in state
            self.answered |= b"write client certificate" in state
            self.sent |= b"write certificate verify" in state
            # Before TLS 1.3 the server's own finish comes after it has looked, since then a ticket does.
            self.accepted |= b"read server session ticket" in state

    def _on_staple(self, connection: SSL.Connection, staple: bytes, data: object) -> bool:
        self.staple = staple
        return True


def looks_like_tls(octets: bytes) -> bool:
    """Whether octets begin as a TLS record does."""
    return len(octets) >= 2 and octets[0] in _RECORD_KINDS and octets[1] == 3


def _context(client: ClientMaterial | None) -> SSL.Context:
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_cipher_list(_CIPHERS)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_verify(SSL.VERIFY_NONE)
    if client:
        _show(context, client)
    return context


def _show(context: SSL.Context, client: ClientMaterial) -> None:
    try:
        context.use_certificate(client.chain[0])
        context.use_privatekey(client.key)
        context.check_privatekey()
        for certificate in client.chain[1:]:
            context.add_extra_chain_cert(certificate)
    except (SSL.Error, crypto.Error, TypeError) as error:
        raise ValueError("our certificate cannot be used with its key") from error


def _reasons(error: SSL.Error) -> tuple[str, ...]:
    entries = error.args[0] if error.args and isinstance(error.args[0], (list, tuple)) else ()
    return tuple(str(entry[-1]) for entry in entries if isinstance(entry, tuple))
