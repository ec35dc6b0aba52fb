"""Who may do what (DESIGN section 11). Roles and guards live here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import wraps
from typing import Any, Protocol, TypeVar, cast

from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import Http404, HttpRequest, HttpResponseBase

from portal.errors import PortalError
from portal.models import Membership, Role, Team, User, only

Row = TypeVar("Row", bound=models.Model)
RANK = {role: rank for rank, role in enumerate((Role.VIEWER, Role.EDITOR, Role.OWNER))}


class Action(Enum):
    """What is guarded; the value is the least role that may do it."""

    SEE = "see stores, certificates, providers, cases, dates", Role.VIEWER
    SEE_ADDRESSES = "see host names, user names of provider credentials, webhook addresses", Role.EDITOR
    CHANGE = "upload, replace, stage, rehearse, restore, associate, take and snooze cases", Role.EDITOR
    DELETE = "delete", Role.OWNER
    PURGE = "purge", Role.OWNER
    OVERRIDE = "activate what a rehearsal holds", Role.OWNER
    EXPORT_KEY = "export a key", Role.OWNER
    MANAGE_TEAM = "tokens, members, policy, webhooks, audit", Role.OWNER

    @property
    def least(self) -> Role:
        return self.value[1]


class TeamOwned(Protocol):
    """A model whose rows belong to a team."""

    pk: Any
    team: Team
    team_id: str


def _memberships(user: User) -> dict[str, Membership]:
    """Team id to membership, by name of the team; asked once per user object."""
    known: dict[str, Membership] | None = user.__dict__.get("_memberships")
    if known is None:
        rows = sorted(
            Membership.objects.filter(user=user).select_related("team"), key=lambda row: row.team.folded_name
        )
        known = user.__dict__["_memberships"] = {row.team_id: row for row in rows}
    return known


def role_in(user: object, team: Team) -> Role | None:
    """The user's role; None for outsiders."""
    if not isinstance(user, User):
        return None
    found = _memberships(user).get(team.pk)
    return Role(found.role) if found else None


def allowed(user: object, action: Action, team: Team) -> bool:
    """Whether the user may do this in the team."""
    role = role_in(user, team)
    return role is not None and RANK[role] >= RANK[action.least]


def require(user: object, action: Action, team: Team) -> None:
    """Outsiders get 404, members of a lower role 403."""
    if role_in(user, team) is None:
        raise Http404
    if not allowed(user, action, team):
        raise PermissionDenied(f"Your role in {team} does not allow this. Ask an owner of the team.")


def teams_of(request: HttpRequest) -> list[Team]:
    """All teams of the user, for the switcher."""
    return [row.team for row in _memberships(request.user).values()] if isinstance(request.user, User) else []


def current_team(request: HttpRequest) -> Team:
    """The team of the object shown, else the one chosen in the switcher, else the first; PortalError when there is none."""
    shown: Team | None = getattr(request, "_team", None)
    if shown is not None:
        return shown
    teams, chosen = teams_of(request), request.session.get("team")
    if not teams:
        raise PortalError(
            "no_team", "You are in no team yet. Ask an owner of your team to add you.", status=403
        )
    return next((team for team in teams if team.pk == chosen), teams[0])


def load(request: HttpRequest, action: Action, model: type[Row], pk: str) -> Row:
    """Loads a row of a team and authorises in one step. The team comes with the membership, which is read anyway."""
    row = only(model._default_manager.filter(pk=pk))
    if row is None or not isinstance(request.user, User):
        raise Http404
    team_id = row.pk if isinstance(row, Team) else cast(TeamOwned, row).team_id
    membership = _memberships(request.user).get(team_id)
    if membership is None:
        raise Http404
    team = membership.team
    if not isinstance(row, Team):
        cast(TeamOwned, row).team = team
    require(request.user, action, team)
    request._team = team  # type: ignore[attr-defined]
    return row


View = Callable[..., HttpResponseBase]


def guarded(action: Action, model: type[models.Model] | None = None) -> Callable[[View], View]:
    """Guards a view: it gets the object of the address' `id`, or without a model the current team, and may use it.

    Every view of the portal that is not public carries this guard; a test walks all routes and tries each as everybody.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def guard(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if model is None:
                team = current_team(request)
                require(request.user, action, team)
                return view(request, team, *args, **kwargs)
            row = load(request, action, model, kwargs.pop("id"))
            return view(request, row, *args, **kwargs)

        guard.guard = (action, model)  # type: ignore[attr-defined]
        return guard

    return decorate
