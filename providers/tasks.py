"""Tasks of providers: thin, safe to run twice."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from portal.runs import recorded
from providers import rehearsals, testing


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
