"""Proof that the scheduled tasks run: one row per task, written around each run (DESIGN section 10)."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from django.conf import settings

from portal.models import TaskRun, User

WATCH = "stores.tasks.find_expiring"
DELIVERY = "stores.tasks.deliver_notices"
"""The two tasks whose silence everybody has to know of."""
SIGNAL = "portal.sign_of_life"
"""No task of its own: what is sent out after each good run of the watch."""
LONGEST_DELIVERY = dt.timedelta(minutes=5)
"""So long a run of the delivery may take: a mail server can be slow without being down."""


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


def delivery_interval() -> dt.timedelta:
    """The time between two runs of the delivery."""
    return dt.timedelta(seconds=settings.DELIVERY_INTERVAL)


def last_watch() -> TaskRun | None:
    """The last run of the watch; None before the first."""
    return TaskRun.objects.filter(task=WATCH).first()


def facts_of(task: str) -> dict[str, Any]:
    """What the last good run of a task did; empty before the first."""
    return TaskRun.objects.filter(task=task).values_list("facts", flat=True).first() or {}


class Pulse:
    """Whether what everybody has to rely on runs, as seen at `now`. Asks when it is asked: once, twice before a first run."""

    def __init__(self, now: dt.datetime) -> None:
        self.now = now

    @cached_property
    def runs(self) -> dict[str, TaskRun]:
        """The last runs by task; those that never ran are missing."""
        return {run.task: run for run in TaskRun.objects.filter(task__in=(WATCH, DELIVERY, SIGNAL))}

    @property
    def watch_overdue(self) -> bool:
        """No good run of the watch for two intervals."""
        return self._is_silent(WATCH, 2 * interval())

    @property
    def delivery_overdue(self) -> bool:
        """No run of the delivery begun for two intervals, or none ended well for as long as one may take beside them."""
        run, longest = self.runs.get(DELIVERY), 2 * delivery_interval()
        if run is not None and self.now - run.started_at > longest:
            return True
        return self._is_silent(DELIVERY, longest + LONGEST_DELIVERY)

    def _is_silent(self, task: str, longest: dt.timedelta) -> bool:
        """Nothing has ended well for so long; before the first run the portal's age counts."""
        run = self.runs.get(task)
        since = run.finished_at if run and run.finished_at else self._begun
        return since is not None and self.now - since > longest

    @cached_property
    def _begun(self) -> dt.datetime | None:
        """When the portal got its first user."""
        return User.objects.order_by("pk").values_list("date_joined", flat=True).first()
