"""Whether the portal lives, and whether it does its work: for load balancers and monitoring, without signing in."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache

from portal import runs


@login_not_required
@never_cache
@transaction.non_atomic_requests
def live(request: HttpRequest) -> HttpResponse:
    """The process answers."""
    return JsonResponse({"live": True})


@login_not_required
@never_cache
@transaction.non_atomic_requests
def ready(request: HttpRequest) -> HttpResponse:
    """503 while the database cannot be read, or when the watch is overdue by two intervals."""
    now = timezone.now()
    try:
        run = runs.last_watch()
        overdue = runs.watch_overdue(run, now)
    except DatabaseError:
        return JsonResponse({"ready": False, "database": "gone", "watch": "unknown"}, status=503)
    last = run.finished_at.isoformat() if run and run.finished_at else None
    said = {"ready": not overdue, "database": "ok", "watch": "overdue" if overdue else "ok", "last_run": last}
    return JsonResponse(said, status=503 if overdue else 200)
