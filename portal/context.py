"""What every page knows."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from portal.errors import PortalError
from portal.models import User
from portal.permissions import current_team, teams_of


def page(request: HttpRequest) -> dict[str, Any]:
    """The team shown and the teams to switch to."""
    if not isinstance(getattr(request, "user", None), User):
        return {}
    try:
        team = current_team(request)
    except PortalError:
        team = None
    return {"team": team, "teams": teams_of(request)}
