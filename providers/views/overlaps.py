"""The page of an overlap: who has been seen with the new version, and removing the old one."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST

from portal.audit import actor_of
from portal.errors import Conflict
from portal.permissions import Action, guarded
from providers import overlaps
from providers.models import Overlap
from providers.views.shared import sees_addresses


@guarded(Action.SEE, Overlap)
def overlap(request: HttpRequest, row: Overlap) -> HttpResponse:
    """Per user of the certificate: seen with the new version or not; and whether the old one may go."""
    return render(request, "providers/overlap.html", _context(request, row))


@guarded(Action.CHANGE, Overlap)
@require_POST
def close(request: HttpRequest, row: Overlap) -> HttpResponse:
    """Removes the old version from trust; asks once where somebody was not seen with the new one."""
    try:
        overlaps.close(
            overlap=row, actor=actor_of(request), now=timezone.now(), despite="despite" in request.POST
        )
    except Conflict as error:
        return render(request, "providers/overlap_close.html", _context(request, row), status=error.status)
    messages.success(request, f"Version {row.old.number} is not trusted any more.")
    return redirect(row.certificate)


@guarded(Action.DELETE, Overlap)
@require_POST
def by_itself(request: HttpRequest, row: Overlap) -> HttpResponse:
    """Has the old version removed as soon as that is safe, or leaves it to a person."""
    wanted = "removes_itself" in request.POST
    overlaps.let_remove_itself(overlap=row, wanted=wanted, actor=actor_of(request), now=timezone.now())
    row.refresh_from_db()
    if row.closed_at:
        messages.success(request, f"It was safe already: version {row.old.number} is not trusted any more.")
    elif wanted:
        messages.success(request, f"Version {row.old.number} will go as soon as that is safe.")
    else:
        messages.success(request, f"Version {row.old.number} stays trusted until somebody removes it.")
    return redirect("providers:overlap", id=row.pk)


def _context(request: HttpRequest, found_row: Overlap) -> dict[str, Any]:
    rows = Overlap.objects.select_related("team", "certificate__store", "old", "new", "closed_by")
    row = rows.get(pk=found_row.pk)
    found = overlaps.standings(row)
    missing = overlaps.unproven(found)
    return {
        "overlap": row,
        "certificate": row.certificate,
        "standings": found,
        "missing": missing,
        "proven": len(found) - len(missing),
        "sees": sees_addresses(request, row.team),
        "old_chain": list(row.old.chain.defer("der")),
        "new_chain": list(row.new.chain.defer("der")),
    }
