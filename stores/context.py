"""What every page says of the watch: open cases, unread notices, and whether the watch runs."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import cached_property

from portal import runs
from portal.errors import PortalError
from portal.models import TaskRun, Team, User
from portal.permissions import current_team
from stores.figures import Figure, figures
from stores.models import Case, Notice

MOST = 99


class Glance:
    """Read when a template first asks, once per request."""

    def __init__(self, team: Team | None, user: User) -> None:
        self.team = team
        self.user = user

    def counted(self, team: Team) -> dict[str, tuple[QuerySet[Any], int]]:
        """What is counted, and up to where; a page that counts more adds it to the same query."""
        return {
            "open_cases": (Case.objects.open().filter(team=team), MOST),
            "open_alerts": (team.alerts.filter(closed_at=None), MOST),
            "unread_notices": (Notice.objects.inbox(self.user).unread().filter(team=team), MOST),
        }

    @cached_property
    def figures(self) -> dict[str, Figure]:
        return figures(self.team, self.counted(self.team)) if self.team else {}

    @cached_property
    def run(self) -> TaskRun | None:
        return runs.last_watch()

    @cached_property
    def overdue(self) -> bool:
        return runs.watch_overdue(self.run, timezone.now())


def watch(request: HttpRequest) -> dict[str, Any]:
    """Callables, so that parts of pages that show none of it cost nothing."""
    user = getattr(request, "user", None)
    if not isinstance(user, User):
        return {}
    glance = glance_of(request, user)
    return {
        "open_cases": lambda: glance.figures.get("open_cases"),
        "has_alerts": lambda: bool(glance.figures.get("open_alerts")),
        "unread_notices": lambda: glance.figures.get("unread_notices"),
        "watch_overdue": lambda: glance.overdue,
    }


def glance_of(request: HttpRequest, user: User) -> Glance:
    """The glance of this request; a view that wants a wider one puts it there first."""
    known: Glance | None = getattr(request, "_glance", None)
    if known is None:
        known = Glance(_team(request), user)
        request._glance = known  # type: ignore[attr-defined]
    return known


def _team(request: HttpRequest) -> Team | None:
    try:
        return current_team(request)
    except PortalError:
        return None
