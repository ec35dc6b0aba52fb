"""The diagnosis of every situation, by real servers."""

from __future__ import annotations

import ipaddress
import time
import warnings
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from portal.outbound import Policy
from providers.connection import Report, Target, probe
from providers.connection.report import CODES
from tests.providers.connection import pki, raw
from tests.providers.connection.servers import HAS_IPV6, Servers
from tests.providers.connection.situations import LOOPBACK, TABLE, Situation, unused

ROOT = Path(__file__).resolve().parents[3]
MOST_SECONDS = 10.0
SPARE_SECONDS = 10.0
"""What a busy machine may add."""
ROWS = [row for row in TABLE if HAS_IPV6 or "::1" not in row.host]
if len(ROWS) < len(TABLE):
    warnings.warn("This machine has no address ::1: the situation with it is left out.", stacklevel=1)


def policy(allow: tuple[str, ...] = LOOPBACK) -> Policy:
    return Policy(tuple(map(ipaddress.ip_network, allow)))


def target(row: Situation, port: int) -> Target:
    return Target(
        host=row.host,
        port=port,
        tls=row.tls,
        server_name=row.server_name,
        check_host_name=row.check_host_name,
        client=pki.client(row.client) if row.client else None,
        trust=None if row.trust is None else tuple(pki.certificate(name).certificate for name in row.trust),
        also_public=row.also_public,
        path=row.path,
        credentials=row.credentials,
        pins=tuple(map(pki.pin, row.pins)),
    )


class Runs:
    """Runs rows; those that take as long as the limits allow run side by side, from the first that is asked for."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._slow: dict[str, Future[Report]] = {}
        self._pool = ThreadPoolExecutor(sum(row.slow for row in ROWS))

    def report(self, row: Situation) -> Report:
        if not row.slow:
            return self._start(row)()
        if not self._slow:
            starts = {one.id: self._start(one) for one in ROWS if one.slow}
            self._slow = {name: self._pool.submit(start) for name, start in starts.items()}
        return self._slow[row.id].result()

    def _start(self, row: Situation) -> partial[Report]:
        port = self._servers.port(row.server) if row.server else 443
        return partial(probe, target(row, port), policy(row.allow), now=pki.NOW)


@pytest.fixture(scope="module")
def runs(servers: Servers, asked: list[str]) -> Runs:
    return Runs(servers)


@pytest.fixture(scope="module")
def first_address_is_a_black_hole(servers: Servers) -> None:
    """Where black-hole-first.test leads: at the port of the right nginx, at another address."""
    servers.keep("raw/black hole beside", raw.BlackHole("127.0.0.3", servers.port("nginx/right")))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
@pytest.mark.usefixtures("first_address_is_a_black_hole")
def test_diagnosis(row: Situation, runs: Runs, servers: Servers) -> None:
    report = runs.report(row)
    assert (report.code, report.ok) == (row.code, row.code == "ok"), f"{report}\n{servers.log(row.server)}"
    seen = {
        "protocol": report.protocol,
        "requested": report.client_certificate_requested,
        "sent": report.client_certificate_sent,
        "acceptable_cas": report.acceptable_cas,
        "anchor": report.anchor.sha256 if report.anchor else None,
        "http_status": report.http_status,
    }
    wanted = {name: getattr(row, name) for name in seen if getattr(row, name) is not None}
    if row.anchor:
        wanted["anchor"] = pki.certificate(row.anchor).sha256
    assert {name: seen[name] for name in wanted} == wanted, report
    assert not [words for words in row.says if words not in report.message], report.message
    details = " ".join(step.detail for step in report.steps)
    assert not [words for words in row.notes if words not in details], details


@pytest.mark.parametrize("row", [row for row in ROWS if row.slow], ids=lambda row: row.id)
def test_the_limits_of_time_hold(row: Situation, runs: Runs) -> None:
    assert sum(step.seconds for step in runs.report(row).steps) < MOST_SECONDS + SPARE_SECONDS


def test_every_failure_says_what_to_do(runs: Runs) -> None:
    """Neither a code without words, nor a secret in them."""
    for row in (row for row in ROWS if not row.slow and row.server.startswith("nginx/right")):
        report = runs.report(row)
        assert report.ok or report.message.count(".") >= 2, report.message
        assert "open sesame" not in str(report)


def test_a_name_is_looked_up_once(servers: Servers, asked: list[str]) -> None:
    row = Situation("", "", "nginx/right", host="counted.test")
    assert probe(target(row, servers.port(row.server)), policy(), now=pki.NOW).ok
    assert asked.count("counted.test") == 1


def test_the_table_has_every_code_and_every_listener() -> None:
    assert {row.code for row in TABLE} == set(CODES)
    assert len({row.id for row in TABLE}) == len(TABLE)
    assert unused() == set()


def test_a_slow_server_delays_no_other(servers: Servers) -> None:
    """Twenty at a time, one of them silent: all others are done while that one still waits."""
    quick = target(Situation("", "", ""), servers.port("nginx/right"))
    silent = target(Situation("", "", ""), servers.port("raw/silent"))
    ended: dict[int, float] = {}

    def one(number: int) -> str:
        report = probe(quick if number else silent, policy(), now=pki.NOW)
        ended[number] = time.monotonic()
        return report.code

    with ThreadPoolExecutor(20) as pool:
        codes = list(pool.map(one, range(40)))
    assert codes == ["timeout"] + ["ok"] * 39
    assert max(ended, key=lambda number: ended[number]) == 0


def test_the_page_of_diagnoses_has_every_code_once_and_in_order() -> None:
    lines = (ROOT / "docs" / "diagnoses.md").read_text("utf-8").splitlines()
    assert [line.split("`")[1] for line in lines if line.startswith("| `")] == list(CODES)
