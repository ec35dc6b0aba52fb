"""What pages of stores say of the drift watch."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django import template
from django.utils import timezone

from portal.models import Team
from providers.models import Change

register = template.Library()
MOST_SHOWN = 5
RECENT = dt.timedelta(days=7)


@register.inclusion_tag("providers/changed.html")
def recent_changes(team: Team) -> dict[str, Any]:
    """What changed at the team's providers in the last days, the newest first."""
    rows = Change.objects.filter(team=team, seen_at__gte=timezone.now() - RECENT)
    return {"changes": rows.select_related("provider")[:MOST_SHOWN]}
