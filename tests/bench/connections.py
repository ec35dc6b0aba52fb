"""Connection tests of many providers, against bare handshakes with the same library on the same server."""

from __future__ import annotations

import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.utils import timezone
from OpenSSL import SSL, crypto

from portal.audit import Actor
from portal.models import Team, User
from providers import services, testing
from providers.models import ConnectionReport, Provider
from stores.formats.parsed import StoreKind
from stores.models import Certificate
from stores.saving import keep
from tests.cast import pem_upload
from tests.material import Minted, mint

SLOTS = testing.SLOTS


def measure(team: Team, user: User, count: int = 500) -> dict[str, Any]:
    """Seconds for `count` providers in the portal and bare, both `SLOTS` at a time, and the memory that the tests added."""
    now = timezone.now()
    begin, end = now.replace(year=now.year - 1), now.replace(year=now.year + 2)
    root = mint("Bench Root", ca=True, begin=begin, end=end)
    server = mint("localhost", root, hosts=("localhost",), begin=begin, end=end)
    client = mint("bench client", root, begin=begin, end=end)
    with running_server(server, root) as port:
        bare = _timed(lambda: _bare(port, client, root, count))
        _register(team, user, client, root, port, count)
        before = _peak()
        tests = _timed(lambda: testing.run(now=timezone.now()))
        added = _peak() - before
    done = ConnectionReport.objects.filter(team=team, state=ConnectionReport.State.DONE)
    return {
        "providers": count,
        "at a time": SLOTS,
        "passed": done.filter(ok=True).count(),
        "ms per test": _per_one(tests, count),
        "ms per bare handshake": _per_one(bare, count),
        "peak memory added by the tests, MiB": round(added / 1024, 1),
        "peak memory of the process, MiB": round(_peak() / 1024, 1),
    }


@contextmanager
def running_server(leaf: Minted, root: Minted) -> Iterator[int]:
    """The port of a server in a process of its own, so that its work is not measured as ours."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ("chain.pem", "key.pem", "root.pem")]
        for file, octets in zip(files, (leaf.pem, leaf.key_pem, root.pem), strict=True):
            file.write_bytes(octets)
        command = [sys.executable, "-m", "tests.bench.tls_server", *map(str, files)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout
                yield int(process.stdout.readline())
            finally:
                process.terminate()


def _register(team: Team, user: User, client: Minted, root: Minted, port: int, count: int) -> None:
    """`count` providers at the server, each with a test that waits."""
    now, actor = timezone.now(), Actor(user)
    shown = _kept(team, actor, "key", client, root)
    trusted = _kept(team, actor, "trust", root)
    for number in range(count):
        provider = Provider(
            team=team,
            name=f"backend {number:04}",
            host="localhost",
            port=port,
            key_certificate=shown,
            trust_store=trusted.store,
            path_prefix="/health",
        )
        services.create_provider(provider=provider, actor=actor)
        testing.ask(provider=provider, reason=ConnectionReport.Reason.ASKED, actor=actor, now=now)


def _kept(team: Team, actor: Actor, kind: StoreKind, *chain: Minted) -> Certificate:
    version = keep(
        team=team,
        upload=pem_upload(*chain, store=kind),
        store_name=f"bench {kind}",
        certificate_name=f"bench {kind}",
        actor=actor,
        now=timezone.now(),
        at_once=True,
    )
    return version.certificate


def _bare(port: int, client: Minted, root: Minted, count: int) -> None:
    """Connects, shakes hands with both certificates, sends HEAD and reads the answer, with one context for all."""
    context = SSL.Context(SSL.TLS_METHOD)
    context.use_privatekey(crypto.PKey.from_cryptography_key(client.key))
    context.use_certificate(crypto.X509.from_cryptography(client.certificate))
    store = context.get_cert_store()
    assert store
    store.add_cert(crypto.X509.from_cryptography(root.certificate))
    context.set_verify(SSL.VERIFY_PEER)

    def one(_: int) -> None:
        with socket.create_connection(("localhost", port), 10) as wire:
            wire.settimeout(None)
            connection = SSL.Connection(context, wire)
            connection.set_tlsext_host_name(b"localhost")
            connection.set_connect_state()
            connection.do_handshake()
            connection.sendall(b"HEAD /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert connection.recv(4096)

    with ThreadPoolExecutor(SLOTS) as pool:
        list(pool.map(one, range(count)))


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the clock, and of this process's CPU."""
    clock, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - cpu


def _per_one(seconds: tuple[float, float], count: int) -> dict[str, float]:
    clock, cpu = seconds
    return {"clock": round(clock / count * 1000, 2), "CPU": round(cpu / count * 1000, 2)}


def _peak() -> int:
    """The most memory that this process has held so far, in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
