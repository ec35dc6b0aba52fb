"""Whether the portal lives, and whether it does its work: for load balancers and monitoring, without signing in."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache

from portal import runs
from portal.models import TaskRun
from portal.sign_of_life import failure_of

Figures = Callable[[dt.datetime], dict[str, Any]]
"""What else is worth knowing, in a few cheap queries; nothing that only some may see."""

_figures: list[Figures] = []


def announce(figures: Figures) -> None:
    """Called once by each app that has something to say of how it stands."""
    if figures not in _figures:
        _figures.append(figures)


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
    """503 while the database cannot be read, or when the watch or the delivery is silent for two intervals."""
    try:
        said = _said(timezone.now())
    except DatabaseError:
        unknown = {"watch": "unknown", "delivery": "unknown"}
        return JsonResponse({"ready": False, "database": "gone", **unknown}, status=503)
    return JsonResponse(said, status=200 if said["ready"] else 503)


def _said(now: dt.datetime) -> dict[str, Any]:
    pulse = runs.Pulse(now)
    last, silent = pulse.runs, {"watch": pulse.watch_overdue, "delivery": pulse.delivery_overdue}
    said: dict[str, Any] = {"ready": not any(silent.values()), "database": "ok"}
    said |= {name: "overdue" if overdue else "ok" for name, overdue in silent.items()}
    said |= _run("run", last.get(runs.WATCH)) | _run("delivery", last.get(runs.DELIVERY))
    if settings.STOREKEEPER_PING_URL:
        said["signal"] = "failed" if failure_of(last.get(runs.SIGNAL)) else "ok"
    for figures in _figures:
        said |= figures(now)
    return said


def _run(name: str, run: TaskRun | None) -> dict[str, Any]:
    """The end of the last good run and how long it took."""
    ended = run.finished_at.isoformat() if run and run.finished_at else None
    return {f"last_{name}": ended, f"last_{name}_seconds": run.seconds if run else None}
