"""Finding: which servers of providers have a certificate that came nearer to its end; each stage is told once (DESIGN section 10)."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Q
from django.urls import reverse

from portal.models import Team, User
from providers.endings_seen import ending_of
from providers.models import Provider
from stores import expiry, notices, policy
from stores.expiry import Stage
from stores.policy import Audience

log = logging.getLogger("storekeeper")
BATCH = 500


@dataclass
class Found:
    """What one run did. `failed` providers stay due; the log says why."""

    providers: int = 0
    notices: int = 0
    failed: int = 0


def find_due(now: dt.datetime, batch: int = BATCH) -> Found:
    """Tells the stage that each due server's certificate is in, each provider in a transaction of its own.

    Of several stages that were crossed only the last is told. Safe to run ten times at once.
    """
    found = Found()
    for due in _batches(now, batch):
        people = notices.recipients(due)
        for provider in due:
            try:
                _prompt(provider, people[provider.pk], now, found)
            except (OperationalError, InterfaceError):
                raise
            except Exception:
                log.exception("the server of provider %s could not be judged; it stays due", provider.pk)
                found.failed += 1
    return found


def rejudge(team: Team, now: dt.datetime) -> int:
    """The team's policy has changed: the servers of its providers are due, and judged anew; how many. What was told is not told again."""
    ended = Q(server_next_stage_at=None, server_stage=Stage.EXPIRED)
    rows = Provider.objects.filter(team=team, server_ends_at__isnull=False).exclude(ended)
    return rows.update(server_next_stage_at=now)


def _batches(now: dt.datetime, size: int) -> Iterator[list[Provider]]:
    """Due providers, the longest overdue first; read from a partial index."""
    due = Provider.objects.filter(server_next_stage_at__lte=now).order_by("server_next_stage_at", "pk")
    rows = due.select_related("team").defer("sealed_password", "description")
    batch = list(rows[:size])
    while batch:
        yield batch
        last = batch[-1]
        later = Q(server_next_stage_at__gt=last.server_next_stage_at)
        after = later | Q(server_next_stage_at=last.server_next_stage_at, pk__gt=last.pk)
        batch = list(rows.filter(after)[:size]) if len(batch) == size else []


def _prompt(provider: Provider, people: Sequence[User], now: dt.datetime, found: Found) -> None:
    """Claims one due provider and tells its people; nothing when somebody else was first, or another chain was seen meanwhile."""
    ending, said = ending_of(provider), policy.read(provider.team.policy)
    if ending is None:
        return
    stage = expiry.stage_at(ending.not_before, ending.not_after, now, said.days)
    values = {
        "server_stage": stage or "",
        "server_next_stage_at": expiry.next_stage_at([ending], now, said.days),
    }
    as_read = Provider.objects.filter(
        pk=provider.pk,
        server_next_stage_at=provider.server_next_stage_at,
        server_ends_sha256=provider.server_ends_sha256,
    )
    with transaction.atomic():
        if not as_read.update(**values):
            return
        told = 0
        if stage:
            up = notices.owners_of(provider.team) if Audience.TEAM in said.routes[stage].who else []
            told = _tell(provider, {*people, *up}, stage, ending.not_after, now)
    found.providers += 1
    found.notices += told


def _tell(
    provider: Provider, people: Iterable[User], stage: Stage, ends_at: dt.datetime, now: dt.datetime
) -> int:
    """Without the certificate's name, which is the server's address more often than not."""
    day, is_over = f"{ends_at.day} {ends_at:%B %Y}", stage == Stage.EXPIRED
    verb = "ended" if is_over else "ends"
    consequence = "since then every call to it fails" if is_over else "from then on every call to it fails"
    return notices.tell(
        team=provider.team,
        people=people,
        key=f"server:{provider.pk}:{provider.server_ends_sha256}:{stage}",
        title=f"{provider}: its server's certificate {verb} on {day}",
        text=f"It {verb} on {day} at {ends_at:%H:%M} UTC, and {consequence}. Only the people behind {provider} can replace it: "
        "ask them, and hand over what they need.",
        url=reverse("providers:share", args=[provider.pk]),
        now=now,
        severity=stage,
    )
