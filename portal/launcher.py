"""Runs the processes of the Procfile together: all start, all stop, and none outlives this one.

`manage.py serve` prepares what is missing and then becomes this small program, which knows nothing of Django.
"""

from __future__ import annotations

import ctypes
import fcntl
import http.client
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO, NoReturn

GRACE = 3.5
"""Seconds that the processes have to finish before they are killed: one Ctrl-C ends all within five."""
START = 60.0
"""Seconds after which a web process that does not answer counts as failed."""
ROOT = Path(__file__).resolve().parent.parent
PROCFILE = ROOT / "Procfile"
WELCOME = "STOREKEEPER_WELCOME"
"""Carries what to say when the portal runs. It may hold a one-time address, so no command line shows it and no child gets it."""
PR_SET_PDEATHSIG = 1


class LaunchError(Exception):
    """Why the portal does not run, in one sentence."""


@dataclass(frozen=True)
class Part:
    """One of the processes, with its name in the Procfile."""

    name: str
    process: subprocess.Popen[bytes]


def check_port(host: str, port: int) -> None:
    """LaunchError unless the port can be listened on."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), port))
        except OSError as error:
            reason = (
                "is taken by another program" if error.errno == 98 else f"cannot be used: {error.strerror}"
            )
            raise LaunchError(
                f"port {port} {reason}: stop that program, or choose another port with PORT={port + 1} make run."
            ) from None


def lock(folder: Path) -> IO[str]:
    """Takes the folder for this process while the returned file stays open; LaunchError when another one has it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = (folder / "run.lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise LaunchError(
            f"it already runs on {folder}: stop it there, or choose another folder with STOREKEEPER_VAR."
        ) from None
    return file


def commands(procfile: Path = PROCFILE) -> dict[str, list[str]]:
    """The command of each process by its name; `python` is the Python that runs this."""
    found = {}
    for line in procfile.read_text("utf-8").splitlines():
        name, _, command = line.partition(":")
        words = shlex.split(command)
        found[name] = [sys.executable if word == "python" else word for word in words]
    return found


def become(host: str, port: int, welcome: str, kept: IO[str]) -> NoReturn:
    """Turns this process into the launcher; the lock on `kept` stays held until it ends."""
    os.set_inheritable(kept.fileno(), True)
    os.environ[WELCOME] = welcome
    os.chdir(ROOT)
    os.execv(sys.executable, [sys.executable, "-m", "portal.launcher", host, str(port)])  # noqa: S606


def run(found: Mapping[str, list[str]], host: str, port: int, welcome: str) -> None:
    """Starts all, says `welcome` when the web process answers, and returns when a signal has stopped all; LaunchError when one ends."""
    stopping = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    parts = [_start(name, command) for name, command in found.items()]
    waiting_until = time.monotonic() + START
    try:
        while not stopping:
            _require_alive(parts)
            if waiting_until and answers(host, port):
                waiting_until = 0.0
                print(welcome, flush=True)  # noqa: T201
            elif waiting_until and time.monotonic() > waiting_until:
                raise LaunchError(
                    f"the web process has not answered for {START:.0f} seconds, so everything was stopped."
                )
            time.sleep(0.1)
    finally:
        stop_all(parts)


def answers(host: str, port: int) -> bool:
    """Whether the portal answers there, and not with a failure of its own."""
    local = {"0.0.0.0": "127.0.0.1", "[::]": "::1"}.get(host, host)  # noqa: S104
    connection = http.client.HTTPConnection(local, port, timeout=1)
    try:
        connection.request("GET", "/health/live")
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _start(name: str, command: list[str]) -> Part:
    # A session of its own, so that the terminal's Ctrl-C reaches only us and each part is stopped once.
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=_die_with_parent,  # noqa: PLW1509 - no thread runs here
    )
    return Part(name, process)


def _die_with_parent() -> None:
    """Asks Linux for SIGTERM when we are killed without a chance to stop the others."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _require_alive(parts: list[Part]) -> None:
    for part in parts:
        status = part.process.poll()
        if status is not None:
            how = f"exit status {status}" if status >= 0 else f"signal {signal.Signals(-status).name}"
            raise LaunchError(
                f"the {part.name} process has ended by itself ({how}), so everything was stopped: its last words stand above."
            )


def stop_all(parts: list[Part]) -> None:
    """Asks all to finish, and after `GRACE` kills what is left of them and of what they started."""
    for part in parts:
        part.process.terminate()
    deadline = time.monotonic() + GRACE
    for part in parts:
        with suppress(subprocess.TimeoutExpired):
            part.process.wait(max(0.0, deadline - time.monotonic()))
    for part in parts:
        with suppress(ProcessLookupError):
            os.killpg(part.process.pid, signal.SIGKILL)
        part.process.wait()


def main() -> None:
    """The program that `become` starts."""
    host, port = sys.argv[1:]
    try:
        run(commands(), host, int(port), os.environ.pop(WELCOME))
    except LaunchError as error:
        sys.exit(f"Storekeeper has stopped: {error}")


if __name__ == "__main__":
    main()
