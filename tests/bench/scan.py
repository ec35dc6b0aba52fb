"""The expiry scan and the digests: with nothing due, with many due against the bare writes of the same rows, and after an outage."""

from __future__ import annotations

import datetime as dt
import resource
import time
from collections.abc import Callable, Sequence
from typing import Any
from unittest import mock

from django.core.management.color import no_style
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from portal.models import Membership, User
from stores import watch
from stores.models import Flag, Notice, Version
from stores.notices import delivery, email
from stores.notices.digest import Digest
from tests.bench.populate import bench_team, due_team, multiply, populate
from tests.bench.uploads import median

IDLE_RUNS = 50
Statement = tuple[str, Sequence[Any]]


def measure_idle(sizes: Sequence[int]) -> dict[str, Any]:
    """Seconds of a scan with nothing due, by how many versions are stored; the sizes grow."""
    team, found = bench_team(), {}
    stored = Version.objects.count()
    for size in sizes:
        if stored + 1_000 <= size:
            grown = team if stored == 0 else bench_team()
            populate(grown, 1_000, timezone.now())
            multiply(grown, (size - stored) // 1_000)
            stored = Version.objects.count()
        found[f"{stored} stored, none due"] = _idle()
    return found


def _idle() -> dict[str, Any]:
    with CaptureQueriesContext(connection) as asked:
        watch.find_due(timezone.now())
    seconds = median(lambda: watch.find_due(timezone.now()), IDLE_RUNS)
    return {
        "seconds": round(seconds, 6),
        "queries": len(asked),
        "plan": Version.objects.due(timezone.now())[: watch.BATCH].explain(),
    }


def measure_due(count: int) -> dict[str, Any]:
    """Seconds of a scan with `count` due, of the same writes alone, and of a run after it with nothing new."""
    now = timezone.now()
    due_team(count, now)
    batches = _recorded(lambda: watch.find_due(now))
    floor = _timed(lambda: _write(batches))
    statements = sum(map(len, batches))
    due_team(count, now)
    asked = _Counter()
    with connection.execute_wrapper(asked):
        seconds = _timed(lambda: watch.find_due(timezone.now()))
    return {
        "due": count,
        "seconds": round(seconds, 3),
        "bare writes of the same rows": round(floor, 3),
        "times the floor": round(seconds / floor, 2),
        "statements per batch": {
            "all": round(asked.count / len(batches), 1),
            "writes": round(statements / len(batches), 1),
        },
        "after it, nothing new": _idle_after(),
        "peak memory, MiB": _peak(),
    }


def _idle_after() -> dict[str, Any]:
    """A minute after, when the database has counted its rows anew."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return _idle()


def _recorded(work: Callable[[], object]) -> list[list[Statement]]:
    """What `work` writes, batch by batch; nothing of it stays."""
    batches: list[list[Statement]] = []

    def record(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith("SAVEPOINT") or sql == "BEGIN IMMEDIATE":
            batches.append([])
        if sql.startswith(("UPDATE", "INSERT")) and batches:
            batches[-1].append((sql, params))
        return execute(sql, params, many, context)

    with transaction.atomic():
        with connection.execute_wrapper(record):
            work()
        transaction.set_rollback(True)
    with connection.cursor() as cursor:
        # Keys are given out again, since what was recorded names them.
        for statement in connection.ops.sequence_reset_sql(no_style(), [Flag]):
            cursor.execute(statement)
    return [batch for batch in batches if batch]


def _write(batches: Sequence[Sequence[Statement]]) -> None:
    for batch in batches:
        with transaction.atomic(), connection.cursor() as cursor:
            for sql, params in batch:
                cursor.cursor.execute(sql, params)


class _Counter:
    """Counts the statements of a run."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, execute: Any, *statement: Any) -> Any:
        self.count += 1
        return execute(*statement)


def measure_digests(recipients: int, each: int) -> dict[str, Any]:
    """Seconds of claiming, building and recording a digest for so many people, nothing being sent, and the memory that it adds."""
    now = timezone.now()
    Notice.objects.all().delete()
    _queue_mails(recipients, each, now)
    composed = 0

    def build(digest: Digest) -> None:
        nonlocal composed
        composed += bool(email.compose(digest))

    before = _peak()
    channels = {"email": delivery.Channel(build, ())}
    with (
        mock.patch.object(delivery, "CHANNELS", channels),
        mock.patch.object(delivery, "LONGEST_RUN", 3600.0),
    ):
        seconds = _timed(lambda: delivery.deliver(now))
    assert composed == recipients, composed
    return {
        "recipients": recipients,
        "notices of each": each,
        "seconds": round(seconds, 2),
        "ms per digest": round(1000 * seconds / recipients, 2),
        "peak memory added, MiB": round(_peak() - before, 1),
    }


def _queue_mails(recipients: int, each: int, now: dt.datetime) -> None:
    """Notices of flags that are there, for people who are members of the flags' team."""
    flags = list(Flag.objects.select_related("version")[:each])
    team = flags[0].version.team_id
    people = User.objects.bulk_create(
        User(username=f"reader{n}", email=f"reader{n}@example.org") for n in range(recipients)
    )
    Membership.objects.bulk_create(Membership(team_id=team, user=one) for one in people)
    Notice.objects.bulk_create(
        Notice(
            team_id=team,
            flag=flag,
            user=one,
            recipient=one.email,
            channel="email",
            created_at=now,
            due_at=now,
        )
        for one in people
        for flag in flags
    )


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _peak() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
