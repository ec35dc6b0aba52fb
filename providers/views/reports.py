"""Connection tests of a provider: asking for one, its report, all reports, two side by side."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST

from portal.audit import actor_of
from portal.permissions import Action, guarded
from providers import reading, testing
from providers.models import REPORTS_KEPT, ConnectionReport, Provider
from providers.reading import Reading
from providers.views import shared

MOST_SHOWN = 2 * REPORTS_KEPT
"""More than are kept, but for some that wait or are needed still."""

WITH_NAMES = ConnectionReport.objects.select_related("provider__team", "asked_by", "shown__certificate")


@guarded(Action.CHANGE, Provider)
@require_POST
def test(request: HttpRequest, provider: Provider) -> HttpResponse:
    """Asks for a test, and shows its report as it grows."""
    asked = ConnectionReport.Reason.ASKED
    report = testing.ask(provider=provider, reason=asked, actor=actor_of(request), now=timezone.now())
    return redirect(report)


@guarded(Action.SEE, ConnectionReport)
def report(request: HttpRequest, row: ConnectionReport) -> HttpResponse:
    """What one test found; while it runs the page asks for itself every second."""
    row = get_object_or_404(WITH_NAMES, pk=row.pk)
    context = shared.frame(request, row.provider, "connection")
    shown = Reading(row, sees=context["sees"], now=timezone.now())
    return render(request, "providers/report.html", context | {"report": row, "reading": shown})


@guarded(Action.SEE, Provider)
def reports(request: HttpRequest, provider: Provider) -> HttpResponse:
    """The last tests, two of which can be chosen."""
    context, now = shared.frame(request, provider, "connection"), timezone.now()
    rows = provider.reports.select_related("asked_by").defer("details", "steps")[:MOST_SHOWN]
    done = [row.pk for row in rows if row.state == ConnectionReport.State.DONE]
    context |= {
        "readings": [Reading(row, sees=context["sees"], now=now) for row in rows],
        "comparable": done[:2] if len(done) > 1 else None,
        "kept": REPORTS_KEPT,
    }
    return render(request, "providers/reports.html", context)


@guarded(Action.SEE, Provider)
def compare(request: HttpRequest, provider: Provider) -> HttpResponse:
    """Two finished tests side by side, the older one first."""
    context, now = shared.frame(request, provider, "connection"), timezone.now()
    chosen = [request.GET.get("a", ""), request.GET.get("b", "")]
    rows = provider.reports.filter(pk__in=chosen, state=ConnectionReport.State.DONE)
    found = [Reading(row, sees=context["sees"], now=now) for row in rows.select_related("shown__certificate")]
    if len(found) != 2:
        messages.warning(request, "Choose two different tests that are done, one as A and one as B.")
        return redirect("providers:reports", id=provider.pk)
    first, second = reversed(found)
    context |= {
        "readings": [first, second],
        "rows": reading.compare(first, second),
        "times": reading.times(first, second),
    }
    return render(request, "providers/compare.html", context)
