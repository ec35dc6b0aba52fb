"""Runs a function on untrusted octets where it can hurt nobody: in a forked process with limits of its own.

`run` hands the call to a small server process (started when first needed), which has the readers imported, no Django,
no settings and no secrets in its environment. It forks one child per call; the child lives under limits of CPU time,
memory and time on the clock, answers over a socket and is gone. A child that dies is an exception here, never a crash.

The way of a call: the caller makes a socket pair, sends one end to the server, and the arguments through the other.
The child sends back its answer; when it has ended, the server adds how it ended. All sockets close on exec and on fork.
"""

from __future__ import annotations

import atexit
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar, cast

from stores import sandbox_server as server
from stores.formats import limits

P = ParamSpec("P")
T = TypeVar("T")

_ANSWER_SECONDS = limits.WALL_SECONDS + 5
_ANSWER_BYTES = 64 << 20
_START = "import sys; sys.path.insert(0, sys.argv[1]); from stores import sandbox_server as s; s.serve(int(sys.argv[2]))"


class SandboxError(Exception):
    """A call that brought no answer. The text is for the log; it holds nothing of the arguments."""


class LimitExceededError(SandboxError):
    """It took more CPU time, memory or time on the clock than it may."""


class CrashedError(SandboxError):
    """It ended by an exception that it should have handled, or by a signal."""


class _ServerGoneError(Exception):
    """The server process does not answer any more."""


class _Server:
    """A running server process and the socket that hands calls to it."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair()
        root = str(Path(__file__).resolve().parent.parent)
        command = [sys.executable, "-I", "-c", _START, root, str(theirs.fileno())]
        environment = {
            name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "TZ") if name in os.environ
        }
        with theirs:
            self._process = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], env=environment, cwd="/", start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, request: bytes) -> tuple[bytes, int | None]:
        """What the child of a new call sent, and its exit status (None when nobody saw it end). Raises _ServerGoneError."""
        ours, theirs = socket.socketpair()
        with ours:
            ours.settimeout(_ANSWER_SECONDS)
            try:
                with theirs:
                    socket.send_fds(self._control, [b"\0"], [theirs.fileno()])
                _send(ours, request)
                return server.split(_received(ours))
            except OSError as error:
                raise _ServerGoneError(str(error)) from error

    def stop(self) -> None:
        """Ends the server, which ends when its control socket does, and reaps it."""
        self._control.close()
        try:
            self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def forget(self) -> None:
        """In a forked process: lets go of the parent's server."""
        self._control.close()
        self._process.returncode = 0  # it is not ours to wait for


def _send(channel: socket.socket, request: bytes) -> None:
    try:
        channel.sendall(struct.pack("!Q", len(request)) + request)
        channel.shutdown(socket.SHUT_WR)
    except (BrokenPipeError, ConnectionResetError):
        return  # it ended early; what it has left to say is read next


def _received(channel: socket.socket) -> bytes:
    """Octets up to the end of a whole answer; without one up to the end of the connection."""
    found = bytearray()
    while not server.is_whole(found) and (piece := channel.recv(1 << 18)):
        found += piece
        if len(found) > _ANSWER_BYTES:
            raise CrashedError("it answered without end")
    return bytes(found)


class _Sandbox:
    """The one server of this process, started when first needed and again when it died."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._server: _Server | None = None

    def server(self) -> _Server:
        with self._lock:
            if self._server is None:
                self._server = _Server()
            return self._server

    def pid(self) -> int | None:
        with self._lock:
            return self._server.pid if self._server else None

    def discard(self, gone: _Server) -> None:
        """Lets a server go; the next call starts another one."""
        with self._lock:
            if self._server is gone:
                self._server = None
                gone.stop()

    def after_fork(self) -> None:
        """A forked process has a server of its own: who waits for whom stays clear."""
        self._lock = threading.Lock()
        if self._server is not None:
            self._server.forget()
            self._server = None

    def at_exit(self) -> None:
        if self._server is not None:
            self.discard(self._server)


_sandbox = _Sandbox()
os.register_at_fork(after_in_child=_sandbox.after_fork)
atexit.register(_sandbox.at_exit)


def warm() -> None:
    """Starts the server now, so that the first call need not wait for it (0.2 to 0.3 s)."""
    _sandbox.server()


def server_pid() -> int | None:
    """The server's process id, None when it does not run."""
    return _sandbox.pid()


def run(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """`function(*args, **kwargs)` in a child of its own; `server.CALLABLE` lists the functions that may be called.

    Arguments and result are plain values and those of `stores.formats.parsed`. Raises LimitExceededError or
    CrashedError. Works from any thread; a server that died is started again once.
    """
    request = server.packed_call(function, args, kwargs)
    for _ in range(2):
        current = _sandbox.server()
        try:
            answer, status = current.ask(request)
        except _ServerGoneError:
            _sandbox.discard(current)
            continue
        if answer or status is not None:
            return cast("T", _unpacked(answer, status))
        _sandbox.discard(current)
    raise CrashedError("the server process of the sandbox cannot be started or dies at once")


def _unpacked(answer: bytes, status: int | None) -> object:
    """The result in an answer. Raises what the kind of answer, or how the child ended without one, stands for."""
    if not answer:
        if status is not None and -status in server.LIMIT_SIGNALS:
            raise LimitExceededError(f"ended by signal {-status}")
        raise CrashedError(f"ended with status {status} and without an answer")
    kind, value = server.unpacked_answer(answer)
    if kind == server.EXCEEDED:
        raise LimitExceededError("out of memory")
    if kind != server.DONE:
        raise CrashedError(str(value))
    return value
