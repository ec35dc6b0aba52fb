"""Scheduled tasks: thin, safe to run twice, each recorded so that its silence is noticed."""

from __future__ import annotations

import dataclasses

from celery import shared_task
from django.contrib.sessions.backends.db import SessionStore
from django.utils import timezone

from portal import sign_of_life
from portal.runs import DELIVERY, WATCH, facts_of, recorded
from stores import cases, housekeeping, notices, watch
from stores.notices import delivery, summary


@shared_task(name=WATCH)
def find_expiring() -> None:
    """Flags what came nearer to its end; a run that went well gives a sign of life."""
    now = timezone.now()
    with recorded(WATCH, now) as facts:
        facts.update(dataclasses.asdict(watch.find_due(now)))
    sign_of_life.give(timezone.now())


@shared_task(name=DELIVERY)
def deliver_notices() -> None:
    """Sends what was queued."""
    now, before = timezone.now(), facts_of(DELIVERY)
    with recorded(DELIVERY, now) as facts:
        notices.tell_again(now)
        done = delivery.deliver(now)
        facts.update(dataclasses.asdict(done), lost=delivery.lost_since(done, before.get("lost", {}), now))


@shared_task
def send_summaries() -> None:
    """Queues the weekly summaries whose hour has come."""
    now = timezone.now()
    with recorded("stores.tasks.send_summaries", now) as facts:
        facts["rows"] = summary.send_due(now)


@shared_task
def discard_unconfirmed() -> None:
    """Forgets uploads that nobody confirmed, and with the sessions that have ended what was typed in them."""
    now = timezone.now()
    SessionStore.clear_expired()
    with recorded("stores.tasks.discard_unconfirmed", now) as facts:
        facts["rows"] = housekeeping.discard_unconfirmed(now)


@shared_task
def remove_orphaned_files() -> None:
    """Removes sealed files that no row names."""
    now = timezone.now()
    with recorded("stores.tasks.remove_orphaned_files", now) as facts:
        facts["rows"] = housekeeping.remove_orphaned_files(now)


@shared_task
def activate_due() -> None:
    """Activates staged versions whose instant has come."""
    now = timezone.now()
    with recorded("stores.tasks.activate_due", now) as facts:
        facts["rows"] = housekeeping.activate_due(now)


@shared_task
def tend_cases() -> None:
    """Wakes the cases whose snooze is over, and closes those whose replacement was seen everywhere."""
    now = timezone.now()
    with recorded("stores.tasks.tend_cases", now) as facts:
        facts["woken"] = cases.wake_due(now)
        facts["closed"] = cases.settle_all(now)
