"""Tasks of providers: thin, safe to run twice."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from portal.runs import recorded
from providers import testing


@shared_task
def run_tests(reports: list[str]) -> None:
    """Runs the connection tests of these reports; what somebody else has begun is left to him."""
    testing.run(reports, now=timezone.now())


@shared_task
def resume_tests() -> None:
    """Runs the tests that were forgotten, and ends those whose worker died."""
    now = timezone.now()
    with recorded("providers.tasks.resume_tests", now) as facts:
        facts["rows"] = testing.resume(now)
