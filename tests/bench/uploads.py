"""Seconds per upload over HTTP, against the floor: parsing, loading the key and one INSERT."""

from __future__ import annotations

import http.client
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.utils import timezone

from portal.models import Team, User
from stores.models import Store
from tests.material import Minted, mint

PASSWORD = b"bench password"
RUNS = 30
BOUNDARY = "storekeeper-bench"


def files() -> dict[str, tuple[str, bytes]]:
    """File name and content of what is uploaded; each call mints anew."""
    now = timezone.now()
    root = mint(
        "Bench Root", ca=True, begin=now.replace(year=now.year - 1), end=now.replace(year=now.year + 9)
    )
    ec, rsa = (
        mint(
            f"bench {kind}",
            root,
            kind=kind,
            begin=now.replace(year=now.year - 1),
            end=now.replace(year=now.year + 2),
        )
        for kind in ("p256", "rsa2048")
    )
    return {
        "EC PEM pair": ("ec.pem", _pem(ec, root)),
        "RSA PEM pair": ("rsa.pem", _pem(rsa, root)),
        "RSA PKCS#12": ("rsa.p12", _p12(rsa, root)),
    }


def _pem(leaf: Minted, root: Minted) -> bytes:
    return leaf.key_pem + leaf.pem + root.pem


def _p12(leaf: Minted, root: Minted) -> bytes:
    lock = serialization.BestAvailableEncryption(PASSWORD)
    return pkcs12.serialize_key_and_certificates(
        b"bench", leaf.key, leaf.certificate, [root.certificate], lock
    )


def floor(name: str, content: bytes, team: Team) -> None:
    """The least that any portal has to do with such a file."""
    if name.endswith(".p12"):
        pkcs12.load_pkcs12(content, PASSWORD)
    else:
        x509.load_pem_x509_certificates(content)
        serialization.load_pem_private_key(content, None)
    Store.objects.create(team=team, kind="key", name=str(time.perf_counter_ns()))


def median(work: Callable[[], object], runs: int = RUNS) -> float:
    """Seconds of one call, the median of some after a warm-up."""
    work()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


class Browser:
    """One connection that stays open, signed in."""

    def __init__(self, port: int, user: User) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        session = SessionStore()
        session.update(
            {
                "_auth_user_id": str(user.pk),
                "_auth_user_backend": "django.contrib.auth.backends.ModelBackend",
                "_auth_user_hash": user.get_session_auth_hash(),
            }
        )
        session.save()
        self.token = "b" * 32
        self.headers = {
            "Cookie": f"{settings.SESSION_COOKIE_NAME}={session.session_key}; {settings.CSRF_COOKIE_NAME}={self.token}"
        }

    def send(self, method: str, path: str, body: bytes = b"", kind: str = "") -> tuple[int, str, bytes]:
        headers = self.headers | ({"Content-Type": kind} if kind else {})
        self.connection.request(method, path, body or None, headers)
        answer = self.connection.getresponse()
        return answer.status, answer.headers.get("Location", ""), answer.read()

    def upload(self, name: str, content: bytes, certificate: str) -> tuple[float, float]:
        """Seconds of the two posts: what is in it, and save."""
        fields = {
            "csrfmiddlewaretoken": self.token,
            "kind": "key",
            "store_name": "bench",
            "name": certificate,
            "password": PASSWORD.decode() if name.endswith("p12") else "",
        }
        start = time.perf_counter()
        status, review, _ = self.send(
            "POST",
            "/certificates/new/",
            _multipart(fields, name, content),
            f"multipart/form-data; boundary={BOUNDARY}",
        )
        chosen = time.perf_counter()
        assert status == 302, status
        data = {
            "csrfmiddlewaretoken": self.token,
            "destination": "new",
            "name": certificate,
            "timing": "now",
            "do": "save",
        }
        status, _, _ = self.send(
            "POST", review, urlencode(data).encode(), "application/x-www-form-urlencoded"
        )
        assert status == 302, status
        return chosen - start, time.perf_counter() - chosen


def _multipart(fields: dict[str, str], name: str, content: bytes) -> bytes:
    parts = [_part(f'name="{key}"', value.encode()) for key, value in fields.items()]
    file = _part(f'name="file"; filename="{name}"', content)
    return b"".join([*parts, file, f"--{BOUNDARY}--\r\n".encode()])


def _part(disposition: str, content: bytes) -> bytes:
    return (
        f"--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode() + content + b"\r\n"
    )


@contextmanager
def server() -> Iterator[int]:
    """gunicorn with one process on a free port, as production runs it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "gunicorn", "portal.wsgi", "--config", "portal/gunicorn.py"]
    command += ["--bind", f"127.0.0.1:{port}", "--workers", "1", "--log-level", "error"]
    with subprocess.Popen(command, env=dict(os.environ)) as process:
        try:
            _wait(port)
            yield port
        finally:
            process.terminate()
            process.wait(timeout=20)


def _wait(port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def measure(team: Team, user: User) -> dict[str, Any]:
    """Median seconds per upload, its two halves, and the floor."""
    with server() as port:
        browser = Browser(port, user)
        return {label: _against_floor(browser, team, label, *file) for label, file in files().items()}


def _against_floor(browser: Browser, team: Team, label: str, name: str, content: bytes) -> dict[str, Any]:
    """Uploads and floor in turns, so that whatever else the machine does weighs on both."""
    chosen, saved, least = [], [], []
    for run in range(RUNS + 1):
        choose, save = browser.upload(name, content, f"{label} {run}")
        start = time.perf_counter()
        floor(name, content, team)
        least.append(time.perf_counter() - start)
        chosen.append(choose)
        saved.append(save)
    # The first one starts the sandbox and fills caches.
    choose, save, bottom = (statistics.median(times[1:]) for times in (chosen, saved, least))
    aim = 2 * bottom + 0.015
    return {
        "upload_s": round(choose + save, 5),
        "choose_s": round(choose, 5),
        "save_s": round(save, 5),
        "floor_s": round(bottom, 5),
        "aim_s": round(aim, 5),
        "within_aim": choose + save <= aim,
    }
