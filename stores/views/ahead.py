"""What will be told, to whom and when, as things stand."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from typing import Any, cast

from django import forms
from django.db.models import Exists, OuterRef
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.utils import timezone

from portal.forms import StyledForm
from portal.models import Team, User
from portal.permissions import Action, allowed, guarded
from stores import ahead
from stores.ahead import AHEAD, Entry, Names
from stores.expiry import BEFORE_END, Policy, Stage
from stores.forecast import foretell, watched_of
from stores.models import Certificate, ChainCertificate, Webhook
from stores.months import Span, months
from stores.policy_change import current
from stores.querysets import VersionQuerySet

MOST = 200
MOST_AT_ONCE = 2000
"""Of more certificates than this one month is shown at a time."""
QUIET = dt.timedelta(days=1)
"""No quiet hours hold anything back for longer."""


class AheadFilter(StyledForm, forms.Form):
    """The filters of the page; they stand in the address."""

    q = forms.CharField(label="Certificate", required=False, max_length=500)
    who = forms.ChoiceField(label="Told to", required=False)
    month = forms.ChoiceField(label="Month", required=False)

    def __init__(self, data: QueryDict, *, who: Iterable[str], spans: Iterable[Span]) -> None:
        super().__init__(data, auto_id="filter_%s")
        self._offer("who", "Anybody", ((one, one) for one in who))
        self._offer("month", "Any", ((one.key, one.label) for one in spans))
        self.full_clean()

    def _offer(self, name: str, anything: str, choices: Iterable[tuple[str, str]]) -> None:
        cast(forms.ChoiceField, self.fields[name]).choices = [("", anything), *choices]

    @property
    def is_set(self) -> bool:
        """Whether anything is filtered at all."""
        return any(self.cleaned_data.values())


@guarded(Action.SEE)
def coming(request: HttpRequest, team: Team) -> HttpResponse:
    """The next twelve months; plain addresses are only shown to those who may see such things."""
    now, sees = timezone.now(), allowed(request.user, Action.SEE_ADDRESSES, team)
    spans = months(now, now + AHEAD)
    form = AheadFilter(request.GET, who=_who(team, addresses=sees), spans=spans)
    context: dict[str, Any] = {"form": form, "entries": [], "most": MOST}
    if form.is_valid():
        wanted = form.cleaned_data
        chosen = next((one for one in spans if one.key == wanted["month"]), None)
        if chosen is None and not wanted["q"] and _is_large(team):
            chosen = spans[0]
            context["only"] = chosen
        found = _entries(team, wanted["q"], chosen, now, Names(team, addresses=sees))
        if wanted["who"]:
            found = (entry for entry in found if wanted["who"] in entry.channels)
        context["entries"], context["more"] = ahead.first(found, MOST)
    return render(request, "stores/ahead.html", context)


def _who(team: Team, *, addresses: bool) -> list[str]:
    """By which names somebody can be looked for."""
    people = User.objects.filter(memberships__team=team).order_by("email").values_list("email", flat=True)
    hooks = Webhook.objects.filter(team=team).order_by("folded_name").values_list("name", flat=True)
    plain = current(team).addresses if addresses else ()
    return list(dict.fromkeys([*people, *(f"webhook {name}" for name in hooks), *plain]))


def _is_large(team: Team) -> bool:
    return len(Certificate.objects.filter(team=team).values_list("pk")[: MOST_AT_ONCE + 1]) > MOST_AT_ONCE


def _entries(team: Team, text: str, month: Span | None, now: dt.datetime, names: Names) -> Iterator[Entry]:
    """What is told of the certificates that the text finds, in one month or within the year."""
    rows, until = watched_of(team), now + AHEAD
    if text:
        rows = rows.filter(certificate__in=Certificate.objects.filter(team=team).search(text))
    if month:
        until = min(until, month.end)
        if month.begin > now:
            rows = _with_a_stage_in(rows, month, current(team).days)
    for entry in ahead.entries_of(foretell(rows, now, until + QUIET), names):
        if (month is None or month.begin <= entry.at) and entry.at < until:
            yield entry


def _with_a_stage_in(rows: VersionQuerySet, month: Span, days: Policy) -> VersionQuerySet:
    """Those in which a certificate ends near enough to the month to come into a stage in it."""
    longest = dt.timedelta(days=days.own_days(Stage.NOTICE) or BEFORE_END[Stage.NOTICE][0])
    near = ChainCertificate.objects.filter(
        version=OuterRef("pk"), not_after__gte=month.begin, not_after__lte=month.end + longest
    )
    return rows.filter(Exists(near))
