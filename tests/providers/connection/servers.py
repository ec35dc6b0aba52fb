"""Real servers for the table of situations: each kind is started when its first row asks, shared by its rows, and surely stopped."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest

from tests.providers.connection import pki, programs, raw
from tests.providers.connection.listeners import LISTENERS, Listener
from tests.running import WORKER, free_port, wait_for

SECONDS_TO_START = 60.0
_MOST_WORKERS = 8


def _has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False


HAS_IPV6 = _has_ipv6()
"""Whether this machine has the address ::1."""


class _Stoppable(Protocol):
    def close(self) -> None:
        """Leaves nothing behind."""


class Program:
    """A server that is a program, with what it has printed."""

    def __init__(self, command: list[str], log: Path, answers: bool = False) -> None:
        self.log = log
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE if answers else subprocess.DEVNULL,
                stdout=subprocess.PIPE if answers else out,
                stderr=out,
                env={**os.environ, "LC_ALL": "C"},
            )
        if answers:
            threading.Thread(target=self._answer, daemon=True).start()

    def _answer(self) -> None:
        """`openssl s_server` prints what it receives, and sends what it is given: an answer for each request."""
        assert self._process.stdout and self._process.stdin
        with contextlib.suppress(BrokenPipeError, ValueError):
            for line in self._process.stdout:
                if line == b"\r\n":
                    self._process.stdin.write(raw.OK)
                    self._process.stdin.flush()

    def wait_until_ready(self, address: str, port: int) -> None:
        """Returns when something listens there; AssertionError, with the log, when the program ends before."""
        wait_for(lambda: self._ended() or _listens(address, port), self.log.name, SECONDS_TO_START)
        assert not self._ended(), self.output

    def _ended(self) -> bool:
        return self._process.poll() is not None

    @property
    def output(self) -> str:
        """The end of what it has printed."""
        return self.log.read_text("utf-8", "replace")[-4000:]

    def close(self) -> None:
        """Ends it, by force when it does not listen."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


class Servers:
    """Every server of the table, by a name such as "nginx/1.2 required"."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports: dict[str, int] = {}
        self._running: dict[str, _Stoppable] = {}
        self._starting = threading.RLock()
        pki.write(folder)

    def port(self, name: str) -> int:
        """The port of a listener that runs; skips the test when this machine lacks the program."""
        kind, _, listener = name.partition("/")
        if lacking := programs.missing(kind):
            pytest.skip(lacking)
        with self._starting:
            if name not in self._ports:
                start = _STARTS.get(kind, Servers._start_together)
                start(self, kind, listener)
            return self._ports[name]

    def log(self, name: str) -> str:
        """What the program behind a name has printed last."""
        kind, _, listener = name.partition("/")
        logs = [self._folder / f"{one}.log" for one in (kind, f"{kind}-error", f"{kind} {listener}")]
        return "\n".join(log.read_text("utf-8", "replace")[-2000:] for log in logs if log.exists())

    def _start_together(self, kind: str, listener: str) -> None:
        """One program for all listeners of its kind."""
        listeners = {
            name: listener
            for name, listener in LISTENERS[kind].items()
            if HAS_IPV6 or ":" not in listener.address
        }
        ports = dict(zip(listeners, _free_ports(len(listeners)), strict=True))
        command: Callable[..., list[str]] = getattr(programs, kind)
        program = Program(command(self._folder, listeners, ports), self._folder / f"{kind}.log")
        self._running[kind] = program
        for name, port in ports.items():
            program.wait_until_ready(listeners[name].address, port)
            self._ports[f"{kind}/{name}"] = port

    def _start_s_server(self, kind: str, listener: str) -> None:
        name, (port,) = f"{kind}/{listener}", _free_ports(1)
        command = programs.s_server(self._folder, LISTENERS[kind][listener], port)
        log = self._folder / f"{kind} {listener}.log"
        program = Program(command, log, answers=True)
        self._running[name] = program
        program.wait_until_ready("127.0.0.1", port)
        self._ports[name] = port

    def _start_python(self, kind: str, listener: str) -> None:
        wanted: Listener = LISTENERS[kind][listener]
        self.keep(f"{kind}/{listener}", raw.Raw(raw.honest(self._folder, wanted)))

    def _start_raw(self, kind: str, listener: str) -> None:
        name = f"{kind}/{listener}"
        if special := {"black hole": raw.BlackHole, "closed": raw.Closed}.get(listener):
            self.keep(name, special())
        else:
            self.keep(name, raw.Raw(raw.behaviours(self._folder)[listener]))

    def keep(self, name: str, server: raw.Raw | raw.BlackHole | raw.Closed) -> int:
        """Takes over a server of this process, and gives its port."""
        self._running[name] = server
        self._ports[name] = server.port
        return server.port

    def close(self) -> None:
        """Stops all, also when one of them does not stop."""
        with contextlib.ExitStack() as stack:
            for server in self._running.values():
                stack.callback(server.close)


_STARTS = {"s_server": Servers._start_s_server, "python": Servers._start_python, "raw": Servers._start_raw}


def _free_ports(count: int) -> list[int]:
    """Different ones, since nginx takes the same port twice without a word, and others than in the process of tests beside."""
    found: set[int] = set()
    while len(found) < count:
        if (port := free_port()) % _MOST_WORKERS == WORKER % _MOST_WORKERS:
            found.add(port)
    return list(found)


def _listens(address: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((address, port), 1):
        return True
    return False
