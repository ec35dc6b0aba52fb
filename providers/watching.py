"""The drift watch: asks for a test of each provider whose instant has come."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.db import transaction

from portal.audit import SYSTEM
from portal.outbound import Policy
from providers import testing
from providers.models import ConnectionReport, Provider
from providers.schedule import interval, next_slot

BATCH = 100
"""Tests that may wait or run at a time: after an outage all are due at once, and are caught up with bit by bit."""
State, Reason = ConnectionReport.State, ConnectionReport.Reason


@dataclass
class Watched:
    """What one run of the watch did. `planned` providers are new to it, `asked` ones are tested now."""

    planned: int = 0
    asked: int = 0


def watch(now: dt.datetime) -> Watched:
    """Asks for the tests that are due, each in a transaction of its own. Safe to run ten times at once, and to be killed at any instant."""
    planned = sum(_plan(provider, now) for provider in Provider.objects.unplanned().only("pk")[:BATCH])
    waiting = ConnectionReport.objects.filter(reason=Reason.WATCH).exclude(state=State.DONE)
    due = Provider.objects.to_test(now).exclude(pk__in=waiting.values("provider")).select_related("team")
    room, policy = max(BATCH - waiting.count(), 0), Policy.from_settings()
    return Watched(planned, sum(_ask(provider, policy, now) for provider in due[:room]))


def _plan(provider: Provider, now: dt.datetime) -> int:
    unplanned = Provider.objects.unplanned().filter(pk=provider.pk)
    return unplanned.update(next_test_at=next_slot(provider.pk, now, interval()))


@transaction.atomic
def _ask(provider: Provider, policy: Policy, now: dt.datetime) -> bool:
    """Claims one due provider and asks for its test; False when somebody else was first, or it cannot be tried from here.

    What the address policy forbids stays planned, since the policy may change.
    """
    due = Provider.objects.filter(pk=provider.pk, next_test_at=provider.next_test_at)
    if not due.update(next_test_at=next_slot(provider.pk, now, interval())):
        return False
    if testing.unreachable(provider, policy):
        return False
    testing.ask(provider=provider, reason=Reason.WATCH, actor=SYSTEM, now=now)
    return True
