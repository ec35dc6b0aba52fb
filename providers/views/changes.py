"""What changed at a provider's server, as the drift watch and other connection tests saw it."""

from __future__ import annotations

import datetime as dt

from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from portal.paging import page
from portal.permissions import Action, guarded
from providers import drift, schedule
from providers.models import Provider
from providers.views import shared

SIZE = 20


@guarded(Action.SEE, Provider)
def changes(request: HttpRequest, provider: Provider) -> HttpResponse:
    """The changes, the newest first, each beside the tests between which it happened."""
    shown = page(
        provider.changes.all(),
        F("seen_at"),
        descending=True,
        cursor=request.GET.get("cursor", ""),
        size=SIZE,
    )
    context = shared.frame(request, provider, "changes") | {
        "page": shown,
        "rows": list(zip(shown.rows, drift.reports_before(provider, shown.rows), strict=True)),
        "is_daily": schedule.interval() == dt.timedelta(days=1),
    }
    return render(request, "providers/changes.html", context)
