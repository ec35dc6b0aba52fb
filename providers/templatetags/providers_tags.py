"""What pages of stores say of providers: open alerts, and the last rehearsal of a version."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from django import template
from django.template.context import Context

from portal.models import Team
from portal.permissions import Action, allowed
from providers import rehearsals
from providers.models import Alert, Provider, Rehearsal
from stores.models import Certificate, Version

register = template.Library()
MOST_ALERTS = 200


@register.inclusion_tag("providers/alerts.html", takes_context=True)
def open_alerts(
    context: Context, team: Team, provider: Provider | None = None, certificate: Certificate | None = None
) -> dict[str, Any]:
    """The open alerts of a team, or only those of one provider or certificate; those of one switch together."""
    rows = Alert.objects.filter(team=team, closed_at=None)
    if provider:
        rows = rows.filter(provider=provider)
    if certificate:
        rows = rows.filter(certificate=certificate)
    request = context["request"]
    return {
        "groups": _by_switch(
            rows.select_related("provider", "certificate", "version", "previous")[:MOST_ALERTS]
        ),
        "may": allowed(request.user, Action.CHANGE, team),
        "sees": allowed(request.user, Action.SEE_ADDRESSES, team),
        "csrf_token": context.get("csrf_token"),
        "request": request,
    }


def _by_switch(alerts: Iterable[Alert]) -> list[list[Alert]]:
    """One switch can fail many providers, and one click puts all of them right."""
    groups: defaultdict[tuple[str, str | None], list[Alert]] = defaultdict(list)
    for alert in alerts:
        groups[alert.version_id, alert.previous_id].append(alert)
    return list(groups.values())


@register.simple_tag
def last_rehearsal(version: Version) -> Rehearsal | None:
    """The rehearsal of the version that was asked for last."""
    return version.rehearsals.first()


@register.simple_tag
def held(version: Version) -> str:
    """Why the version cannot become active now, as a sentence; empty when it can."""
    return rehearsals.held(version)
