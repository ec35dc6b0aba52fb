"""Tasks of providers: thin, safe to run twice."""

from __future__ import annotations

import dataclasses

from celery import shared_task
from django.utils import timezone

from portal.runs import recorded
from providers import expiring, overlaps, rehearsals, testing, watching


@shared_task
def run_tests() -> None:
    """Runs all connection tests that wait."""
    testing.run(now=timezone.now())


@shared_task
def resume_tests() -> None:
    """Ends the connection tests whose worker died, queues again what was forgotten, and judges rehearsals left unjudged."""
    now = timezone.now()
    with recorded("providers.tasks.resume_tests", now) as facts:
        facts["rows"] = testing.resume(now) + rehearsals.finish_complete(now)


@shared_task
def find_expiring() -> None:
    """Tells of servers whose own certificates come near their end, and forgets old trust that has ended."""
    now = timezone.now()
    with recorded("providers.tasks.find_expiring", now) as facts:
        facts.update(dataclasses.asdict(expiring.find_due(now)), closed=overlaps.close_ended(now))


@shared_task
def watch_connections() -> None:
    """Asks for the tests of the drift watch that are due."""
    now = timezone.now()
    with recorded("providers.tasks.watch_connections", now) as facts:
        facts.update(dataclasses.asdict(watching.watch(now)))
