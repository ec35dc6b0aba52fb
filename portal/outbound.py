"""The only way out to the network: a name is resolved once, every address is judged, only one that passed is connected to.

No proxy of the environment is used. Knows no Django, except where `Policy.from_settings` reads the setting.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import select
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

CONNECT_SECONDS = 5.0
"""For finding the addresses and connecting to one of them, together."""
STAGGER_SECONDS = 0.25
"""Until the next address is tried beside the one before (RFC 8305, section 5)."""
MOST_ADDRESSES = 16
_LEAST_WAIT = 0.001

_NEVER: tuple[tuple[Network, str], ...] = tuple(
    (ipaddress.ip_network(network), what)
    for network, what in (
        ("169.254.169.254/32", "the metadata service of a cloud"),
        ("169.254.170.2/32", "the metadata service of a cloud"),
        ("100.100.100.200/32", "the metadata service of a cloud"),
        ("168.63.129.16/32", "the metadata service of a cloud"),
        ("192.0.0.192/32", "the metadata service of a cloud"),
        ("fd00:ec2::/32", "the metadata service of a cloud"),
        ("fd20:ce::254/128", "the metadata service of a cloud"),
        ("169.254.0.0/16", "a link-local address"),
        ("fe80::/10", "a link-local address"),
        ("224.0.0.0/4", "a multicast address"),
        ("ff00::/8", "a multicast address"),
        ("0.0.0.0/8", "an unspecified address"),
        ("::/128", "an unspecified address"),
        ("255.255.255.255/32", "the broadcast address"),
        ("240.0.0.0/4", "a reserved address"),
    )
)
_PUBLIC_IPV6 = ipaddress.IPv6Network("2000::/3")
"""All of IPv6 that is given out for the Internet so far (RFC 4291, section 2.4)."""
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_IPV4_COMPATIBLE = ipaddress.IPv6Network("::/96")


class OutboundError(Exception):
    """No connection.

    `code` is blocked_by_policy, dns_failure, connection_reset, connection_refused or connect_timeout; `sentence` says why.
    """

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


@dataclass(frozen=True)
class Policy:
    """Where connections may go: public addresses, and the networks in `allow`. What is never allowed stays so."""

    allow: tuple[Network, ...] = ()

    @classmethod
    def from_settings(cls) -> Policy:
        """The policy that STOREKEEPER_OUTBOUND_ALLOW sets."""
        from django.conf import settings

        return cls(tuple(settings.STOREKEEPER_OUTBOUND_ALLOW))

    def refusal(self, address: Address) -> str:
        """Why nobody may connect to this address, as a part of a sentence; "" when it is allowed."""
        meant = _meant(address)
        for one in (address, *meant):
            if what := next((what for network, what in _NEVER if one in network), ""):
                return f"{_shown(address)} is {what}, which is never connected to"
        if self._allows(address) or all(_is_public(one) or self._allows(one) for one in meant):
            return ""
        return f"{_shown(address)} is not a public address, and STOREKEEPER_OUTBOUND_ALLOW does not name its network"

    def _allows(self, address: Address) -> bool:
        return any(address in network for network in self.allow)


def _meant(address: Address) -> tuple[Address, ...]:
    """The addresses that traffic really goes to: IPv6 that carries IPv4 is unwrapped.

    IPv4-mapped and IPv4-compatible (RFC 4291), 6to4 (RFC 3056), Teredo (RFC 4380, server and client), NAT64 (RFC 6052).
    """
    if isinstance(address, ipaddress.IPv4Address):
        return (address,)
    if address.teredo:
        return address.teredo
    inner = address.ipv4_mapped or address.sixtofour
    if inner is None and (address in _NAT64 or (address in _IPV4_COMPATIBLE and int(address) > 1)):
        inner = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return (inner or address,)


def _is_public(address: Address) -> bool:
    return address.is_global and (address.version == 4 or address in _PUBLIC_IPV6)


def _shown(address: Address) -> str:
    inner = [str(one) for one in _meant(address) if one != address]
    return f"{address} (that is {' and '.join(inner)})" if inner else str(address)


@dataclass(frozen=True)
class Resolved:
    """The addresses of a host that passed the policy, in the order to try; only `resolve` makes it."""

    host: str
    port: int
    addresses: tuple[Address, ...]
    refused: tuple[str, ...]
    """Why other addresses of the same name are left out."""


@dataclass(frozen=True)
class Connected:
    """A connected, non-blocking socket, which the caller closes, and the address at its other end."""

    socket: socket.socket
    address: Address


def resolve(host: str, port: int, policy: Policy, deadline: float) -> Resolved:
    """The addresses of `host` that may be connected to; `deadline` is an instant of time.monotonic.

    Raises OutboundError dns_failure or, when no address passes, blocked_by_policy.
    """
    found = _looked_up(host, deadline)
    verdicts = [(address, policy.refusal(address)) for address in found]
    allowed = tuple(address for address, refusal in verdicts if not refusal)
    refused = tuple(refusal for _, refusal in verdicts if refusal)
    if not allowed:
        raise OutboundError("blocked_by_policy", f"{'; '.join(refused[:3])}.")
    return Resolved(host, port, _interleaved(allowed)[:MOST_ADDRESSES], refused)


def _looked_up(host: str, deadline: float) -> list[Address]:
    """Every address of a host, each once. The look-up cannot be ended, so it has a thread that nobody waits for longer."""
    answer: list[list[Address] | OutboundError] = []
    thread = threading.Thread(target=lambda: answer.append(_ask(host)), daemon=True, name="look-up")
    thread.start()
    thread.join(max(deadline - time.monotonic(), _LEAST_WAIT))
    if not answer:
        raise OutboundError("dns_failure", f"The name {host!r:.80} was not resolved in time.")
    if isinstance(answer[0], OutboundError):
        raise answer[0]
    return answer[0]


def _ask(host: str) -> list[Address] | OutboundError:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        return OutboundError("dns_failure", f"The name {host!r:.80} has no address: {error.strerror}.")
    except (OSError, UnicodeError, ValueError):
        return OutboundError("dns_failure", f"{host!r:.80} is no name that can be resolved.")
    addresses = (ipaddress.ip_address(str(sockaddr[0])) for *_, sockaddr in found)
    return list(dict.fromkeys(addresses))


def _interleaved(addresses: Sequence[Address]) -> tuple[Address, ...]:
    """The families take turns, the system's first choice in front (RFC 8305, section 4)."""
    first = [address for address in addresses if address.version == addresses[0].version]
    second = [address for address in addresses if address.version != addresses[0].version]
    turns = [pair for at in range(len(addresses)) for pair in (first[at : at + 1], second[at : at + 1])]
    return tuple(address for turn in turns for address in turn)


def connect(resolved: Resolved, deadline: float) -> Connected:
    """A connection to the first address that answers, each tried `STAGGER_SECONDS` after the one before.

    Raises OutboundError connection_reset, connection_refused or connect_timeout.
    """
    race = _Race(resolved.port)
    try:
        return race.run(resolved.addresses, deadline)
    except TimeoutError:
        raise _unreached(resolved, race.failures) from None
    finally:
        race.close()


class _Race:
    """Connections under way, of which the first that stands wins."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._poll = select.poll()
        self._running: dict[int, Connected] = {}
        self.failures: list[int] = []
        """Error numbers of the addresses that failed."""

    def run(self, addresses: Sequence[Address], deadline: float) -> Connected:
        """The winner. Raises TimeoutError when all have failed, or none has answered at the deadline."""
        waiting = list(addresses)
        while waiting or self._running:
            if waiting:
                self._start(waiting.pop(0))
            until = min(deadline, time.monotonic() + STAGGER_SECONDS) if waiting else deadline
            if winner := self._winner(until):
                return winner
            if time.monotonic() >= deadline:
                break
        raise TimeoutError

    def _start(self, address: Address) -> None:
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        try:
            one = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:
            self.failures.append(error.errno or 0)
            return
        one.setblocking(False)
        self._running[one.fileno()] = Connected(one, address)
        self._poll.register(one, select.POLLOUT)
        status = one.connect_ex((str(address), self._port))
        if status not in (0, errno.EINPROGRESS):
            self._drop(one.fileno(), status)

    def _winner(self, until: float) -> Connected | None:
        """The first connection that stands; None when all fail before `until`, or none is decided then."""
        while self._running:
            left = until - time.monotonic()
            ready = self._poll.poll(max(left, 0) * 1000)
            for number, _ in ready:
                if status := _pending_error(self._running[number].socket):
                    self._drop(number, status)
                else:
                    self._poll.unregister(number)
                    return self._running.pop(number)
            if not ready and left <= 0:
                break
        return None

    def _drop(self, number: int, status: int) -> None:
        self.failures.append(status)
        self._poll.unregister(number)
        self._running.pop(number).socket.close()

    def close(self) -> None:
        """Lets go of the connections that did not win."""
        for one in self._running.values():
            one.socket.close()


def _pending_error(connected: socket.socket) -> int:
    return connected.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def _unreached(resolved: Resolved, failures: Sequence[int]) -> OutboundError:
    where = f"{', '.join(map(str, resolved.addresses))}, port {resolved.port}"
    if errno.ECONNRESET in failures:
        return OutboundError("connection_reset", f"{where}: the connection was taken and ended at once.")
    if errno.ECONNREFUSED in failures:
        return OutboundError("connection_refused", f"Nothing listens on {where}.")
    if len(failures) == len(resolved.addresses):
        return OutboundError("connect_timeout", f"{where}: {os.strerror(failures[0])}.")
    return OutboundError("connect_timeout", f"No answer from {where} in time.")
