"""Figures for a monitoring system, in the text format of Prometheus."""

from __future__ import annotations

import ipaddress

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest

from portal import runs
from portal.models import TaskRun
from portal.sign_of_life import failure_of
from stores.expiry import Stage
from stores.models import Case
from stores.standing import standing

FORWARDED = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_VIA")


@login_not_required
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    """For this machine itself, and for those who know the token; read anew at each request, so that all web processes say the same."""
    if not (_has_token(request) or _is_local(request)):
        return HttpResponse("Metrics are for this machine and for holders of the token.\n", "text/plain", 403)
    registry = CollectorRegistry()
    _add_runs(registry)
    _add_cases(registry)
    _add_standing(registry)
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _has_token(request: HttpRequest) -> bool:
    token, given = settings.STOREKEEPER_METRICS_TOKEN, request.headers.get("Authorization", "")
    return bool(token) and constant_time_compare(given, f"Bearer {token}")


def _is_local(request: HttpRequest) -> bool:
    """Called from this machine, and not by a proxy on it for somebody else."""
    if any(header in request.META for header in FORWARDED):
        return False
    try:
        return ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False


def _add_runs(registry: CollectorRegistry) -> None:
    pulse = runs.Pulse(timezone.now())
    watch, delivery = pulse.watch_overdue, pulse.delivery_overdue
    _add(registry, "watch_overdue", "1 when the watch has not run for two intervals.", watch)
    _add(registry, "delivery_overdue", "1 when the delivery has not run for two intervals.", delivery)
    if settings.STOREKEEPER_PING_URL:
        failure = failure_of(pulse.runs.get(runs.SIGNAL))
        _add(registry, "signal_failed", "1 when the last sign of life could not be sent.", bool(failure))
    finished = _by_task("storekeeper_task_finished_timestamp_seconds", "End of the last good run.", registry)
    seconds = _by_task("storekeeper_task_duration_seconds", "Duration of the last good run.", registry)
    facts = Gauge("storekeeper_task_rows", "What the last good run did.", ("task", "what"), registry=registry)
    for run in TaskRun.objects.filter(finished_at__isnull=False):
        task = run.task.rpartition(".")[2]
        finished.labels(task).set(run.finished_at.timestamp() if run.finished_at else 0)
        seconds.labels(task).set(run.seconds or 0)
        for what, count in run.facts.items():
            if isinstance(count, int):
                facts.labels(task, what).set(count)


def _by_task(name: str, text: str, registry: CollectorRegistry) -> Gauge:
    return Gauge(name, text, ("task",), registry=registry)


def _add_cases(registry: CollectorRegistry) -> None:
    gauge = Gauge("storekeeper_open_cases", "Certificates to replace.", ("stage",), registry=registry)
    counts = Case.objects.open().order_by().values_list("stage").annotate(count=Count("pk"))
    found = dict(counts)
    for stage in Stage:
        gauge.labels(stage.value).set(found.get(stage.value, 0))


def _add_standing(registry: CollectorRegistry) -> None:
    stands = standing(timezone.now())
    _add(
        registry,
        "watch_lag_seconds",
        "How long the version that is longest due has not been judged.",
        stands.lag,
    )
    if stands.next_due:
        _add(
            registry,
            "watch_next_due_timestamp_seconds",
            "When the watch has something to flag again.",
            stands.next_due.timestamp(),
        )
    gauge = Gauge("storekeeper_notices", "Notices that are not sent.", ("state",), registry=registry)
    for state, count in stands.notices.items():
        gauge.labels(state).set(count)
    _add(
        registry,
        "notices_oldest_seconds",
        "How long the oldest waiting notice has been queued.",
        stands.oldest_age,
    )
    _add(
        registry,
        "notices_late_seconds",
        "How long the notice that is longest due has not been sent.",
        stands.lateness,
    )


def _add(registry: CollectorRegistry, name: str, text: str, value: float) -> None:
    """One figure without a label."""
    Gauge(f"storekeeper_{name}", text, registry=registry).set(value)
