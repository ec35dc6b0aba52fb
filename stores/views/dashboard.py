"""The dashboard: what fails next, what must I do, can I trust the watch (DESIGN section 17)."""

from __future__ import annotations

import datetime as dt
from typing import Any, cast

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from portal import runs
from portal.models import Team, User
from portal.permissions import Action, allowed, guarded
from stores.context import MOST, Glance
from stores.models import Case, Certificate, Notice, Store, Version
from stores.prompts import Prompt, Row, explained_cases, explained_versions, prompts_of
from stores.standing import next_due
from stores.theirs import TheirEnd, their_ends
from stores.timeline import timeline

ROWS = 8
MOST_KEPT = 10_000
WAITING = (Notice.State.WAITING, Notice.State.SENDING)


class WideGlance(Glance):
    """What the dashboard counts beside what every page counts, in the same query."""

    def counted(self, team: Team) -> dict[str, tuple[QuerySet[Any], int]]:
        notices, cases, now = Notice.objects.filter(team=team), Case.objects.filter(team=team), timezone.now()
        more: dict[str, tuple[QuerySet[Any], int]] = {
            "theirs": (team.providers.exclude(server_stage=""), MOST),
            "changes": (team.changes.all(), MOST),
            "mine": (cases.awake(now).held_by(self.user), MOST),
            "snoozed": (cases.asleep(now), MOST),
            "unproven": (cases.awake(now).filter(successor__isnull=False), MOST),
            "staged": (Version.objects.filter(team=team, state=Version.State.STAGED), MOST),
            "waiting": (notices.filter(state__in=WAITING), MOST),
            "failed": (notices.filter(state=Notice.State.FAILED), MOST),
            "certificates": (Certificate.objects.filter(team=team), MOST_KEPT),
            "stores": (Store.objects.filter(team=team), MOST_KEPT),
            "providers": (team.providers.all(), MOST_KEPT),
            "hosts": (team.hosts.all(), MOST_KEPT),
        }
        return super().counted(team) | more


@guarded(Action.SEE)
def dashboard(request: HttpRequest, team: Team) -> HttpResponse:
    """What fails next, first; an empty portal says what to do first."""
    now, glance = timezone.now(), WideGlance(team, cast(User, request.user))
    request._glance = glance  # type: ignore[attr-defined]
    context: dict[str, Any] = {"figures": glance.figures} | _watch(glance, now)
    if glance.figures["certificates"]:
        prompts = fails_next(team, now, addresses=allowed(request.user, Action.SEE_ADDRESSES, team))
        context |= {"first": next(iter(prompts), None), "then": prompts[1:]}
        context["line"] = timeline(team, now, near=request.GET.get("ahead") == "90")
    return render(request, "stores/dashboard.html", context)


def _watch(glance: Glance, now: dt.datetime) -> dict[str, Any]:
    """What the card on the watch says."""
    last, due = glance.pulse.runs, next_due()
    oldest = Notice.objects.filter(team=glance.team, state__in=WAITING).order_by("created_at")
    return {
        "run": last.get(runs.WATCH),
        "delivery": last.get(runs.DELIVERY),
        "signal": last.get(runs.SIGNAL) if settings.STOREKEEPER_PING_URL else None,
        "next_due": due,
        "lags": due and due <= now,
        "lags_much": due and now - due > 2 * runs.interval(),
        "oldest": oldest.values_list("created_at", flat=True).first() if glance.figures["waiting"] else None,
    }


def fails_next(team: Team, now: dt.datetime, *, addresses: bool) -> list[Prompt | TheirEnd]:
    """What of ours and of the servers of providers ends, the first to end first; `addresses` as for `their_ends`."""
    ends: list[Prompt | TheirEnd] = [*_ours(team, now), *their_ends(team, now, ROWS, addresses=addresses)]
    return sorted(ends, key=lambda end: (end.ends_at, end.label))[:ROWS]


def _ours(team: Team, now: dt.datetime) -> list[Prompt]:
    """Open cases, but for those that only wait for proof, and where these are few what ends after them."""
    open_cases = Case.objects.open().filter(team=team, successor=None).order_by("fails_at", "pk")
    rows: list[Row] = list(explained_cases(open_cases)[:ROWS])
    if len(rows) < ROWS:
        quiet = Version.objects.current().filter(certificate__team=team, certificate__fails_at__isnull=False)
        quiet = quiet.exclude(certificate__in=[row.certificate_id for row in rows if isinstance(row, Case)])
        rows += explained_versions(quiet.order_by("certificate__fails_at", "certificate"))[: ROWS - len(rows)]
    return prompts_of(rows, now)
