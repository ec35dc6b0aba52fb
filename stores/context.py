"""What every page says of the watch: open cases, unread notices, whether the watch runs, and whether what it finds can be told."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import cached_property

from portal.errors import PortalError
from portal.models import Team, User
from portal.permissions import current_team
from portal.runs import DELIVERY, Pulse
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
        found: dict[str, tuple[QuerySet[Any], int]] = {
            "open_cases": (Case.objects.filter(team=team).awake(timezone.now()), MOST),
            "open_alerts": (team.alerts.filter(closed_at=None), MOST),
            "unread_notices": (Notice.objects.inbox(self.user).unread().filter(team=team), MOST),
        }
        if self.user.is_staff:
            found["told_nobody"] = (Notice.objects.for_nobody(), MOST)
        return found

    @cached_property
    def figures(self) -> dict[str, Figure]:
        return figures(self.team, self.counted(self.team)) if self.team else {}

    @cached_property
    def told_nobody(self) -> bool:
        """Whether something of any team could be told to nobody; only administrators of the site are asked to mend that."""
        if not self.user.is_staff:
            return False
        return bool(self.figures["told_nobody"]) if self.team else Notice.objects.for_nobody().exists()

    @cached_property
    def pulse(self) -> Pulse:
        return Pulse(timezone.now())

    @cached_property
    def mail_lost(self) -> dict[str, Any] | None:
        """Why and since when no mail can be sent; None while it can, as far as is known."""
        delivery = self.pulse.runs.get(DELIVERY)
        said = delivery.facts.get("lost", {}).get(Notice.Channel.EMAIL) if delivery else None
        return {"why": said["why"], "since": dt.datetime.fromisoformat(said["since"])} if said else None


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
        "watch_overdue": lambda: glance.pulse.watch_overdue,
        "delivery_overdue": lambda: glance.pulse.delivery_overdue,
        "mail_lost": lambda: glance.mail_lost,
        "told_nobody": lambda: glance.told_nobody,
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
