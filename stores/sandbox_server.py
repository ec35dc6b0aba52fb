"""The server side of `stores.sandbox`: a process that imports the readers once and forks a child for each call, ahead of it.

It has one thread, no Django, and ends when its control socket does: when the process that started it is gone.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import os
import pickle
import resource
import selectors
import signal
import socket
import struct
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from stores.formats import limits

PRELOADED = (
    "stores.inspection",
    "encodings.idna",
    "encodings.utf_16",
    "encodings.utf_32",
    "encodings.latin_1",
)
CALLABLE = {("stores.inspection", "examine")}
"""What a call may name."""
_VALUES = {
    *(
        ("stores.formats.parsed", name)
        for name in ("Upload", "Certificate", "PrivateKey", "Finding", "Inspection", "Parsed")
    ),
    *(("datetime", name) for name in ("datetime", "timezone", "timedelta")),
}
"""Classes that may cross the socket. Pickle makes nothing else: a child that was taken over can answer nonsense only."""

DONE, EXCEEDED, FAULT = "done", "exceeded", "fault"
LIMIT_SIGNALS = (signal.SIGXCPU, signal.SIGALRM, signal.SIGKILL)
_PAUSE = 0.005
"""Seconds after a call before the next child is made, unless the call has ended by then: making it does not slow down the answer."""
_HEAD = struct.Struct("!Q")
_STATUS = struct.Struct("!4si")
_STATUS_MARK = b"STAT"


class _Unpickler(pickle.Unpickler):
    """Makes values of the classes in `_VALUES` only."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        if (module_name, global_name) not in _VALUES:
            raise pickle.UnpicklingError(f"{module_name}.{global_name} does not cross the sandbox")
        return super().find_class(module_name, global_name)


def _loads(octets: bytes) -> Any:
    return _Unpickler(io.BytesIO(octets)).load()


def packed_call(
    function: Callable[..., object], args: Sequence[object], kwargs: Mapping[str, object]
) -> bytes:
    """A call for the socket; the function goes by name."""
    name = (function.__module__, function.__qualname__)
    if name not in CALLABLE:
        raise ValueError(f"{'.'.join(name)} is not made for the sandbox")
    return pickle.dumps((name, tuple(args), dict(kwargs)), pickle.HIGHEST_PROTOCOL)


def unpacked_answer(answer: bytes) -> tuple[str, object]:
    """Kind and value of an answer: DONE and the result, EXCEEDED, or FAULT and where it was."""
    try:
        kind, value = _loads(answer)
    except Exception as error:  # noqa: BLE001 - whatever octets a child that was taken over may send
        return FAULT, f"an answer that cannot be read ({type(error).__name__})"
    return str(kind), value


def is_whole(received: bytes | bytearray) -> bool:
    """Whether the child's answer is there to its end."""
    return len(received) >= _HEAD.size and len(received) >= _HEAD.size + _HEAD.unpack_from(received)[0]


def split(received: bytes) -> tuple[bytes, int | None]:
    """The child's answer, empty unless it is whole; else the exit status that the server added, None without one."""
    if is_whole(received):
        return received[_HEAD.size : _HEAD.size + _HEAD.unpack_from(received)[0]], None
    if received[-_STATUS.size :].startswith(_STATUS_MARK):
        return b"", _STATUS.unpack(received[-_STATUS.size :])[1]
    return b"", None


def serve(control_fd: int) -> None:
    """Takes calls from the control socket until it ends."""
    control = socket.socket(fileno=control_fd)
    for name in PRELOADED:
        importlib.import_module(name)
    sample = importlib.import_module("stores.sandbox_rehearsal").rehearse()
    gc.collect()
    gc.freeze()  # what is shared with the children is not touched again, so it is not copied
    _Loop(control, sample).run()


class _Loop:
    """Keeps a child ready for the socket that comes in next, and tells each caller how its child ended.

    A child answers one call and is gone. The one that waits has gone through `sample`, a call of our own, so that the memory
    which reading writes to is its own before anybody waits for it: that is most of what a fresh child costs. It is made when
    the call before has been answered.
    """

    def __init__(self, control: socket.socket, sample: bytes) -> None:
        self._control = control
        self._sample = sample
        self._ready: tuple[int, socket.socket] | None = None
        self._jobs: dict[int, socket.socket] = {}
        self._nothing = os.open(os.devnull, os.O_WRONLY)
        self._memory = address_space() + limits.MEMORY_BYTES
        self._woken, waker = socket.socketpair()
        for end in (self._woken, waker):
            end.setblocking(False)
        self._waker = waker
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)

    def run(self) -> None:
        """Until nobody is left to call; children that still run end by themselves."""
        try:
            self._take_and_reap()
        finally:
            signal.set_wakeup_fd(-1)  # a child may end after the sockets have been closed

    def _take_and_reap(self) -> None:
        self._prepare()
        with selectors.DefaultSelector() as selector:
            selector.register(self._control, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in selector.select(None if self._ready else _PAUSE)}
                if self._woken in ready:
                    self._reap()
                if self._control in ready:
                    if not self._take():
                        return
                elif self._ready is None:
                    self._prepare()

    def _take(self) -> bool:
        """Hands the next call to a child; False when nobody is left to call."""
        try:
            octets, fds, _, _ = socket.recv_fds(self._control, 1, 1)
        except OSError:
            return False
        if not octets:
            return False
        job = socket.socket(fileno=fds[0])
        # A child that was killed while it waited is replaced once.
        if not (self._hand_over(job) or (self._prepare() and self._hand_over(job))):
            job.close()  # no process to be had: the caller sees that nobody answers
        return True

    def _hand_over(self, job: socket.socket) -> bool:
        """Gives the call to the child that waits; False when there is none, or when it is dead."""
        if self._ready is None:
            return False
        (pid, channel), self._ready = self._ready, None
        with channel:
            try:
                socket.send_fds(channel, [b"\0"], [job.fileno()])
            except OSError:
                return False
        self._jobs[pid] = job
        return True

    def _prepare(self) -> bool:
        """Forks the child that waits for the next call; False when no process is to be had."""
        ours, theirs = socket.socketpair()
        try:
            pid = os.fork()
        except OSError:
            ours.close()
            theirs.close()
            return False
        if pid == 0:
            ours.close()
            self._become_child(theirs)
        theirs.close()
        self._ready = pid, ours
        return True

    def _become_child(self, channel: socket.socket) -> NoReturn:
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for other in (self._control, self._woken, self._waker, *self._jobs.values()):
                other.close()
            os.dup2(self._nothing, 2)  # libraries write what they think of a file to stderr
            called(self._sample)
            octets, fds, _, _ = socket.recv_fds(channel, 1, 1)
            if octets:
                limit(self._memory)
                _answer(socket.socket(fileno=fds[0]))
        finally:
            os._exit(0)

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._woken.recv(4096):
                pass
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if job := self._jobs.pop(ended[0], None):
                    self._tell(job, os.waitstatus_to_exitcode(ended[1]))

    @staticmethod
    def _tell(job: socket.socket, status: int) -> None:
        job.setblocking(False)
        with job, contextlib.suppress(OSError):
            job.sendall(_STATUS.pack(_STATUS_MARK, status))


def address_space() -> int:
    """Octets of address space that this process has now."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return 1 << 30  # no Linux: a guess that leaves room


def limit(memory: int) -> None:
    """Limits for a child: CPU, memory, the clock; no core dump, no file to write, no process to start."""
    signal.setitimer(signal.ITIMER_REAL, limits.WALL_SECONDS)
    for what, most in (
        (resource.RLIMIT_CPU, limits.CPU_SECONDS), (resource.RLIMIT_AS, memory), (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_NPROC, 0),
    ):  # fmt: skip
        hard = resource.getrlimit(what)[1]
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (allowed, allowed))


def _answer(job: socket.socket) -> None:
    """Reads one call, makes it and sends what comes out."""
    reader = job.makefile("rb")
    (size,) = _HEAD.unpack(reader.read(_HEAD.size))
    answer = called(reader.read(size))
    job.sendall(_HEAD.pack(len(answer)) + answer)


def called(request: bytes) -> bytes:
    """Makes a call and packs what comes out, an exception included."""
    try:
        name, args, kwargs = _loads(request)
        if tuple(name) not in CALLABLE:
            raise pickle.UnpicklingError("no call of ours")
        value = getattr(importlib.import_module(name[0]), name[1])(*args, **kwargs)
        return pickle.dumps((DONE, value), pickle.HIGHEST_PROTOCOL)
    except MemoryError:
        return pickle.dumps((EXCEEDED, ""))
    except BaseException as error:  # noqa: BLE001 - all that is left; a panic of Rust is no Exception
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return pickle.dumps(
            (FAULT, f"{type(error).__name__} in {Path(frame.filename).name}, line {frame.lineno}")
        )
