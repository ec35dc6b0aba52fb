"""Connection tests of a provider: asking for one, its report, all reports, two side by side."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST

from portal.audit import actor_of
from portal.permissions import Action, guarded
from providers import testing
from providers.models import ConnectionReport, Provider
from providers.views import shared


@guarded(Action.CHANGE, Provider)
@require_POST
def test(request: HttpRequest, provider: Provider) -> HttpResponse:
    """Asks for a test, and shows its report as it grows."""
    report = testing.ask(
        provider=provider,
        reason=ConnectionReport.Reason.ASKED,
        actor=actor_of(request),
        now=timezone.now(),
    )
    return redirect(report)


@guarded(Action.SEE, ConnectionReport)
def report(request: HttpRequest, row: ConnectionReport) -> HttpResponse:
    """What one test found."""
    context = shared.frame(request, row.provider, "connection") | {"report": row}
    return render(request, "providers/report.html", context)


@guarded(Action.SEE, Provider)
def reports(request: HttpRequest, provider: Provider) -> HttpResponse:
    """The last tests."""
    context = shared.frame(request, provider, "connection") | {"reports": provider.reports.all()}
    return render(request, "providers/reports.html", context)


@guarded(Action.SEE, Provider)
def compare(request: HttpRequest, provider: Provider) -> HttpResponse:
    """Two reports side by side."""
    return render(request, "providers/compare.html", shared.frame(request, provider, "connection"))
