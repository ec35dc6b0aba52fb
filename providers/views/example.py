"""Loads and removes the example team."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from portal.audit import actor_of
from portal.models import Team
from portal.permissions import Action, guarded
from providers import example


@guarded(Action.MANAGE_TEAM)
@require_POST
def load(request: HttpRequest, team: Team) -> HttpResponse:
    """Makes the example team, and shows it. For owners: who owns a team may invite people."""
    loaded = example.load(actor=actor_of(request), now=timezone.now())
    request.session["team"] = loaded.pk
    messages.success(request, f"This is the team {loaded.name}. Your own teams are untouched.")
    return redirect("stores:dashboard")


@guarded(Action.MANAGE_TEAM, Team)
@require_POST
def remove(request: HttpRequest, team: Team) -> HttpResponse:
    """Removes the example team with all that it keeps."""
    example.remove(team=team, actor=actor_of(request))
    request.session.pop("team", None)
    messages.success(request, f"The team {team.name} and all that it kept are gone.")
    return redirect("stores:dashboard")
