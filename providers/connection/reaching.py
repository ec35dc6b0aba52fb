"""The way to a server: its addresses, judged and connected to once; every later connection goes to the same address."""

from __future__ import annotations

import dataclasses
import time
from contextlib import ExitStack

from portal import outbound
from providers.connection.problem import Problem, Steps
from providers.connection.report import Side
from providers.connection.target import Target
from providers.connection.wire import TimeUpError, Wire

_ADVICE: dict[str, tuple[str, Side]] = {
    "blocked_by_policy": ("Use a public address, or ask the portal's administrators to allow the network.", "ours"),
    "dns_failure": ("Check the host name for typing errors, and that it exists in public DNS.", "ours"),
    "connection_reset": ("Something between may do that: ask the people who run the server.", "theirs"),
    "connection_refused": ("Check the port, and ask the people who run the server whether it is running.", "theirs"),
    "connect_timeout": ("A firewall may drop what we send: ask the people who run the server to let us in.", "network"),
}  # fmt: skip


class Way:
    """Connections to one server, none of which lives beyond `deadline`, an instant of time.monotonic, or `open_wires`."""

    def __init__(
        self, target: Target, policy: outbound.Policy, deadline: float, open_wires: ExitStack
    ) -> None:
        self._target = target
        self._policy = policy
        self._deadline = deadline
        self._open_wires = open_wires
        self._reached = outbound.Resolved(target.host, target.port, (), ())

    def first(self, steps: Steps) -> Wire:
        """Resolves, judges and connects. Raises Problem."""
        target, until = self._target, time.monotonic() + outbound.CONNECT_SECONDS
        with steps.step("address") as note:
            try:
                resolved = outbound.resolve(target.host, target.port, self._policy, until)
            except outbound.OutboundError as error:
                raise _unreached(error) from None
            left_out = "".join(f" Left out: {why}." for why in resolved.refused[:3])
            found = ", ".join(map(str, resolved.addresses))
            is_name = found != target.host
            note.detail = f"{target.host}: {found}.{left_out}" if is_name else f"Nothing to look up: {found}."
        with steps.step("connection") as note:
            try:
                connected = outbound.connect(resolved, until)
            except outbound.OutboundError as error:
                raise _unreached(error) from None
            note.detail = f"TCP to {connected.address}, port {target.port}."
        self._reached = dataclasses.replace(resolved, addresses=(connected.address,))
        return self._wire(connected, self._deadline)

    def again(self, seconds: float) -> Wire:
        """A fresh connection to the same address, for some seconds at most. Raises WireError."""
        until = self.soon(seconds)
        try:
            return self._wire(outbound.connect(self._reached, until), until)
        except outbound.OutboundError:
            raise TimeUpError from None

    def soon(self, seconds: float) -> float:
        """The instant in so many seconds, or the deadline where that comes first."""
        return min(self._deadline, time.monotonic() + seconds)

    def _wire(self, connected: outbound.Connected, deadline: float) -> Wire:
        wire = Wire(connected.socket, deadline)
        self._open_wires.callback(wire.close)
        return wire


def _unreached(error: outbound.OutboundError) -> Problem:
    advice, side = _ADVICE[error.code]
    return Problem(error.code, f"{error.sentence} {advice}", side)
