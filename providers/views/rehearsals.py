"""Rehearsals: beginning one, its page, and activating in spite of it."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST

from portal.audit import actor_of
from portal.errors import PortalError
from portal.names import fold
from portal.permissions import Action, guarded
from providers import rehearsals
from providers.models import Rehearsal
from providers.reading import Reading
from providers.views.shared import REFUSED, sees_addresses
from stores.locking import Gone
from stores.models import Version
from stores.warning import warnings


@guarded(Action.CHANGE, Version)
@require_POST
def begin(request: HttpRequest, version: Version) -> HttpResponse:
    """Begins to try a version, and shows how it goes."""
    return redirect(rehearsals.rehearse(version, actor_of(request), timezone.now()))


@guarded(Action.SEE, Rehearsal)
def rehearsal(request: HttpRequest, row: Rehearsal) -> HttpResponse:
    """Who was tried and what came of it; while it runs the page asks for itself every second."""
    return _show(request, row)


@guarded(Action.OVERRIDE, Rehearsal)
@require_POST
def activate_anyway(request: HttpRequest, row: Rehearsal) -> HttpResponse:
    """Activates the version although its rehearsal failed, for a reason that is typed and audited."""
    reason = request.POST.get("reason", "")
    try:
        version = rehearsals.activate_anyway(
            rehearsal=row, reason=reason, actor=actor_of(request), now=timezone.now()
        )
    except Gone:
        raise
    except PortalError as error:
        return _show(request, row, error, reason)
    messages.success(request, f"Version {version.number} is active.")
    return redirect("stores:certificate_versions", id=version.certificate_id)


def _show(
    request: HttpRequest, row: Rehearsal, error: PortalError | None = None, reason: str = ""
) -> HttpResponse:
    sees, now = sees_addresses(request, row.team), timezone.now()
    reports = [report for report in rehearsals.reports_of(row) if report.code not in rehearsals.UNJUDGED]
    readings = [Reading(report, sees=sees, now=now) for report in reports]
    context = {
        "rehearsal": row,
        "version": row.version,
        "certificate": row.version.certificate,
        "readings": sorted(readings, key=_failures_first),
        "done": sum(reading.is_done for reading in readings),
        "passed": sum(report.ok is True for report in reports),
        "resting": sum(
            bool(report.ok and reading.rests_on) for report, reading in zip(reports, readings, strict=True)
        ),
        "failed": sum(report.ok is False for report in reports),
        "held": rehearsals.held(row.version) if row.finished_at else "",
        "warnings": warnings(row.version.certificate, list(row.version.chain.all())),
        "failed_before": rehearsals.failed_before(row, reports),
        "sees": sees,
        "error": error,
        "reason": reason,
    }
    status = (error.status if error.status != PortalError.status else REFUSED) if error else 200
    return render(request, "providers/rehearsal.html", context, status=status)


def _failures_first(reading: Reading) -> tuple[bool, str]:
    return reading.row.ok is not False, fold(str(reading.row.provider))
