"""When the drift watch tests which provider: spread over the interval, sooner again after a failure, later and later."""

from __future__ import annotations

import datetime as dt
import hashlib

from django.conf import settings

from providers.models import ConnectionReport, Provider

PAUSES = tuple(dt.timedelta(minutes=minutes) for minutes in (15, 60, 360))
"""How long to wait after each failure in a row, where that is sooner than the provider's own instant."""
MOST_COUNTED = 1000


def interval() -> dt.timedelta:
    """The time between two tests of one provider."""
    return dt.timedelta(seconds=settings.STOREKEEPER_TEST_INTERVAL)


def next_slot(provider_id: str, now: dt.datetime, every: dt.timedelta) -> dt.datetime:
    """The provider's next instant after `now`; a digest of its id says where in the interval that lies."""
    digest = int.from_bytes(hashlib.sha256(provider_id.encode()).digest()[:8])
    begin = dt.datetime.fromtimestamp(digest % int(every.total_seconds()), dt.UTC)
    return begin + ((now - begin) // every + 1) * every


def retry_at(provider_id: str, failures: int, now: dt.datetime, every: dt.timedelta) -> dt.datetime:
    """When to test again what failed so many times in a row."""
    slot = next_slot(provider_id, now, every)
    return min(slot, now + PAUSES[failures - 1]) if failures <= len(PAUSES) else slot


def after(report: ConnectionReport, now: dt.datetime) -> None:
    """Plans the next test of a provider that is watched, and counts how often in a row the watch has failed."""
    provider, values = report.provider, {}
    if provider.next_test_at is None:
        return
    if report.ok and provider.failures:
        values = {"failures": 0, "next_test_at": next_slot(provider.pk, now, interval())}
    elif not report.ok and report.reason == ConnectionReport.Reason.WATCH:
        failures = min(provider.failures + 1, MOST_COUNTED)
        values = {"failures": failures, "next_test_at": retry_at(provider.pk, failures, now, interval())}
    if values:
        Provider.objects.filter(pk=provider.pk).update(**values)
