"""Proof that the scheduled tasks run: one row per task, written around each run (DESIGN section 10)."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings

from portal.models import TaskRun, User

WATCH = "stores.tasks.find_expiring"
"""The task whose silence everybody has to know of."""
DELIVERY = "stores.tasks.deliver_notices"
"""The task whose facts say whether mail can be sent."""


@contextmanager
def recorded(task: str, now: dt.datetime) -> Iterator[dict[str, Any]]:
    """Records a run; the caller puts what it did into the facts that it is given.

    A run that fails leaves the end of the last good one standing, so that the task becomes overdue.
    """
    TaskRun.objects.update_or_create(task=task, defaults={"started_at": now})
    facts: dict[str, Any] = {}
    begun = time.monotonic()
    yield facts
    seconds = time.monotonic() - begun
    end = now + dt.timedelta(seconds=seconds)
    TaskRun.objects.filter(task=task).update(finished_at=end, seconds=seconds, facts=facts)


def under_way(task: str, now: dt.datetime, longest: dt.timedelta) -> dt.datetime | None:
    """When the run of a task began that has not ended yet; None without one, and for one that must have died: it began `longest` ago."""
    run = TaskRun.objects.filter(task=task, started_at__gt=now - longest).first()
    is_over = run is None or (run.finished_at is not None and run.finished_at >= run.started_at)
    return None if is_over or run is None else run.started_at


def interval() -> dt.timedelta:
    """The time between two runs of the watch."""
    return dt.timedelta(seconds=settings.STOREKEEPER_EXPIRY_INTERVAL)


def last_watch() -> TaskRun | None:
    """The last run of the watch; None before the first."""
    return TaskRun.objects.filter(task=WATCH).first()


def facts_of(task: str) -> dict[str, Any]:
    """What the last good run of a task did; empty before the first."""
    return TaskRun.objects.filter(task=task).values_list("facts", flat=True).first() or {}


def watch_overdue(run: TaskRun | None, now: dt.datetime) -> bool:
    """No good run of the watch for two intervals; before the first run the portal's age counts."""
    if run is not None and run.finished_at is not None:
        return run.is_overdue(now, interval())
    begun = User.objects.order_by("pk").values_list("date_joined", flat=True).first()
    return begun is not None and now - begun > 2 * interval()
