"""When a team is told: for reading by everybody, and for changing by its owners, who see first what would change for whom."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils import timezone

from portal.audit import actor_of
from portal.errors import Conflict
from portal.models import Team
from portal.permissions import Action, guarded
from stores import policy_words
from stores.ahead import preview
from stores.expiry import Policy
from stores.policy import DEFAULT
from stores.policy_change import change, current, fingerprint, require_unchanged
from stores.policy_forms import PolicyForm

REFUSED, CONFLICT = 422, 409


@guarded(Action.SEE)
def policy(request: HttpRequest, team: Team) -> HttpResponse:
    """What the team has said."""
    now = current(team)
    context = {
        "policy": now,
        "stages": policy_words.stages(now),
        "quiet": policy_words.quiet(now),
        "summary": policy_words.summary(now),
    }
    return render(request, "stores/policy.html", context | _lifetimes(now.days))


@guarded(Action.MANAGE_TEAM)
def edit(request: HttpRequest, team: Team) -> HttpResponse:
    """The form, what it would change, and saving it: three answers of one address, so that what is typed is kept without a script."""
    form = PolicyForm(request.POST or None, now=current(team), seen=fingerprint(team))
    if not form.is_bound or not form.is_valid():
        return _form(request, form, REFUSED if form.is_bound else 200)
    try:
        return _answer(request, team, form)
    except Conflict as error:
        team.refresh_from_db(fields=["policy"])
        form = PolicyForm(_seen_anew(request, team), now=current(team), seen=fingerprint(team))
        form.is_valid()
        form.add_error(None, error.sentence)
        return _form(request, form, CONFLICT, policy_words.differences(current(team), form.wanted))


def _answer(request: HttpRequest, team: Team, form: PolicyForm) -> HttpResponse:
    """To a form that makes sense: back to it, saved, or what saving would change."""
    seen, wanted, now = form.cleaned_data["seen"], form.wanted, timezone.now()
    if request.POST.get("do") == "back":
        return _form(request, form)
    if request.POST.get("do") == "save":
        changed = change(team=team, wanted=wanted, seen=seen, actor=actor_of(request), now=now)
        messages.success(request, "Saved. The next scan goes by it." if changed else "Nothing was changed.")
        return redirect("stores:policy")
    require_unchanged(team, seen)
    changed = policy_words.differences(current(team), wanted)
    context: dict[str, Any] = {"form": form, "changed": changed}
    if changed:
        context["preview"] = preview(team, wanted, now)
    return render(request, "stores/policy_preview.html", context | _lifetimes(wanted.days))


def _form(
    request: HttpRequest, form: PolicyForm, status: int = 200, would_change: list[str] | None = None
) -> HttpResponse:
    context = {"form": form, "would_change": would_change}
    return render(request, "stores/policy_form.html", context | _lifetimes(DEFAULT.days), status=status)


def _seen_anew(request: HttpRequest, team: Team) -> QueryDict:
    data = request.POST.copy()
    data["seen"] = fingerprint(team)
    return data


def _lifetimes(days: Policy) -> dict[str, Any]:
    """How long before the end the stages begin, for certificates of different lifetimes."""
    return {"lifetimes": policy_words.LIFETIMES.values(), "distances": policy_words.distances(days)}
