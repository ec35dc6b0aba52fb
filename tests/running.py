"""The real portal, started as `make run` starts it: three processes, a port, a folder, and the database and broker under test."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
import redis
from psycopg import sql

ROOT = Path(__file__).resolve().parent.parent
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
"""The number of this process of tests."""
READY = "Ctrl-C stops it."
Found = TypeVar("Found")


def wait_for(what: Callable[[], Found], why: str, seconds: float = 30.0) -> Found:
    """The first true answer; AssertionError when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, f"{why}: not within {seconds:.0f} s"
        time.sleep(0.05)
    return found


def free_port() -> int:
    """A port that nobody listens on, below those that the system gives to outgoing connections of the tests beside."""
    while True:
        port = secrets.randbelow(12_000) + 20_000
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@dataclass
class RunningPortal:
    """`manage.py serve` and what it has printed so far."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def output(self) -> str:
        return self.log.read_text("utf-8", "replace")

    @property
    def addresses(self) -> list[str]:
        """The addresses that it has printed."""
        return re.findall(r"https?://\S+", self.output)

    @property
    def parts(self) -> dict[str, int]:
        """The process id of each part that runs now."""
        rows = subprocess.run(
            ["ps", "-ww", "-eo", "ppid=,pid=,args="], capture_output=True, text=True, check=True
        )
        mine = [row.split(None, 2) for row in rows.stdout.splitlines()]
        mine = [row for row in mine if row[0] == str(self.process.pid)]
        names = {"gunicorn": "web", "celery worker": "worker", "celery beat": "beat"}
        return {
            name: int(pid)
            for _, pid, command in mine
            for mark, name in names.items()
            if all(word in command for word in mark.split())
        }

    def wait_until_ready(self, seconds: float = 60.0) -> None:
        """Returns when it has said where it is; AssertionError when it ends before."""
        wait_for(lambda: READY in self.output or self.process.poll() is not None, "the start", seconds)
        assert self.process.poll() is None, self.output

    def stop(self, number: int = signal.SIGINT) -> int:
        """Sends a signal as Ctrl-C does, and gives the exit status."""
        self.process.send_signal(number)
        return self.process.wait(30)


@contextlib.contextmanager
def start(environment: Mapping[str, str], log: Path) -> Iterator[RunningPortal]:
    """Starts the portal, and leaves nothing of it behind."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "serve"],
            cwd=ROOT,
            env=environment,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    portal = RunningPortal(process, int(environment["PORT"]), log)
    try:
        yield portal
    finally:
        if process.poll() is None:
            portal.stop(signal.SIGTERM)


@contextlib.contextmanager
def _database(address: str) -> Iterator[str]:
    """The address of a fresh PostgreSQL database beside the one of the tests."""
    parts, name = urlsplit(address), f"storekeeper_run_{secrets.token_hex(4)}"
    with psycopg.connect(urlunsplit(parts._replace(path="/postgres")), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield urlunsplit(parts._replace(path=f"/{name}"))
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _empty_redis(address: str) -> str:
    """The address of an empty Redis database of this test process."""
    own = urlunsplit(urlsplit(address)._replace(path=f"/{8 + WORKER % 8}"))
    redis.Redis.from_url(own).flushdb()
    return own


@pytest.fixture
def portal_environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """An environment in which `manage.py serve` runs on the parts under test, with a folder and a port of its own."""
    secret = ("SECRET_KEY", "STOREKEEPER_KEYS")
    environment = {name: value for name, value in os.environ.items() if name not in secret}
    environment |= {
        "STOREKEEPER_VAR": str(tmp_path / "var"),
        "PORT": str(free_port()),
        "DJANGO_SETTINGS_MODULE": "portal.settings",
    }
    with contextlib.ExitStack() as stack:
        if environment.get("DATABASE_URL"):
            environment["DATABASE_URL"] = stack.enter_context(_database(environment["DATABASE_URL"]))
        if environment.get("REDIS_URL"):
            environment["REDIS_URL"] = _empty_redis(environment["REDIS_URL"])
        yield environment
