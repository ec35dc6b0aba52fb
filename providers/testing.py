"""Connection tests: asked for, run by the worker, kept as reports.

Any number may be asked for; `SLOTS` run at a time. Threads without a database connection try the servers; the thread that
calls `run` claims what waits, opens the keys of the tests that begin, and writes steps and results as they come.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from django.db import IntegrityError, InterfaceError, OperationalError, transaction
from django.db.models import Case, Q, QuerySet, Value, When

from portal import audit
from portal.audit import Actor
from portal.celery import app
from portal.errors import PortalError, Unavailable
from portal.outbound import Policy
from providers import aftermath
from providers.connection import Report, Step, probe
from providers.connection.target import ip_address
from providers.models import REPORTS_KEPT, Alert, ConnectionReport, Provider, Rehearsal
from providers.targets import Prepared, is_another_connection, target_of
from providers.wording import EDITED_MEANWHILE
from stores.models import Version

log = logging.getLogger("storekeeper")
SLOTS = 20
"""Tests that run at the same time in one process, and so private keys that lie open in its memory."""
STUCK = dt.timedelta(minutes=2)
"""A test takes some ten seconds: one that runs for longer than this has lost its worker."""
FORGOTTEN = dt.timedelta(seconds=45)
"""What waits for longer is queued again, since a worker that dies takes its message with it."""
INTERRUPTED = Unavailable(
    "interrupted", "The test was cut short: the worker stopped while it ran. Nothing is known; test again."
)
EDITED = Unavailable(
    EDITED_MEANWHILE,
    "What the test saw is of the connection as it was before, so it changes nothing. Test again.",
)
NEEDED = ("provider", "team", "asked_by", "rehearsal__version__certificate")
State, Reason = ConnectionReport.State, ConnectionReport.Reason
_slots = threading.BoundedSemaphore(SLOTS)


@transaction.atomic
def ask(
    *,
    provider: Provider,
    reason: str,
    actor: Actor,
    now: dt.datetime,
    rehearsal: Rehearsal | None = None,
    activated: Version | None = None,
) -> ConnectionReport:
    """Queues a test of the provider on commit; the report that waits for it.

    Of a person's tests of one provider only one waits or runs: asked for again, it is given back. PortalError `not_testable`
    when the provider cannot be tried from here.
    """
    if why := unreachable(provider, Policy.from_settings()):
        raise PortalError("not_testable", why)
    report = ConnectionReport(
        team=provider.team,
        provider=provider,
        reason=reason,
        rehearsal=rehearsal,
        activated=activated,
        asked_by=actor.user,
        asked_at=now,
    )
    try:
        with transaction.atomic():
            report.save(force_insert=True)
    except IntegrityError:
        under_way = provider.reports.filter(reason=Reason.ASKED).exclude(state=State.DONE).first()
        if reason != Reason.ASKED or under_way is None:
            raise
        return under_way
    _queue_on_commit()
    return report


def _queue_on_commit() -> None:
    """Once for all tests of a transaction. What a broker that is down does not take, `resume` queues later."""
    if not any(work is queue for _, work, *_ in transaction.get_connection().run_on_commit):
        transaction.on_commit(queue, robust=True)


def queue() -> None:
    """Wakes a worker, which runs all that waits."""
    app.send_task("providers.tasks.run_tests")


def unreachable(provider: Provider, policy: Policy) -> str:
    """Why the provider cannot be tested from here, as a sentence; empty when it can be tried.

    Of a host name only the test itself can tell where it leads.
    """
    if provider.type == Provider.Type.ON_PREMISE:
        return (
            "It is called through the connector of its location, which this portal does not reach: "
            "a connection test would not say anything about it."
        )
    address = ip_address(provider.host)
    refusal = policy.refusal(address) if address else ""
    return f"This portal may not connect to it: {refusal}." if refusal else ""


def run(reports: Collection[str] | None = None, *, now: dt.datetime) -> int:
    """Runs what waits, of these ids or of all, those that a person asked for first; how many it ran.

    What somebody else has claimed is left to him. Returns at once when all slots of the process are taken and `reports` is
    None: those who hold them see what waits when they let go.
    """
    rows = ConnectionReport.objects.filter(state=State.WAITING)
    if reports is not None:
        rows = rows.filter(pk__in=reports)
    with ThreadPoolExecutor(SLOTS, "probe") as pool:
        return _Round(pool, rows, is_patient=reports is not None, now=now).run()


def resume(now: dt.datetime) -> int:
    """Ends the tests whose worker died, and queues again what was forgotten; how many were ended."""
    ended, stuck = 0, ConnectionReport.objects.filter(state=State.RUNNING, started_at__lt=now - STUCK)
    for report in stuck:
        with _alone(report):
            ended += _finish(report, INTERRUPTED, now)
    if ConnectionReport.objects.filter(state=State.WAITING, asked_at__lt=now - FORGOTTEN).exists():
        queue()
    return ended


class _Round:
    """One call of `run`: the tests that it has begun, and what it hears of them."""

    def __init__(
        self,
        pool: ThreadPoolExecutor,
        rows: QuerySet[ConnectionReport],
        *,
        is_patient: bool,
        now: dt.datetime,
    ) -> None:
        self._pool = pool
        first = Case(When(reason=Reason.ASKED, then=Value(0)), default=Value(1))
        self._rows = rows.order_by(first, "asked_at", "pk")
        self._is_patient = is_patient
        self._begun, self._now = time.monotonic(), now
        self._policy = Policy.from_settings()
        self._flying: dict[str, ConnectionReport] = {}
        self._heard: SimpleQueue[tuple[str, Step | Future[Report]]] = SimpleQueue()
        self._count = 0

    def run(self) -> int:
        self._fill()
        while self._flying:
            heard = self._listen()
            self._write_steps([(pk, one) for pk, one in heard if isinstance(one, Step)])
            done = [(pk, one) for pk, one in heard if isinstance(one, Future)]
            for pk, future in done:
                self._end(self._flying.pop(pk), future)
            if done:
                self._fill()
        return self._count

    def _instant(self) -> dt.datetime:
        return self._now + dt.timedelta(seconds=time.monotonic() - self._begun)

    def _fill(self) -> None:
        """Begins tests while there are slots and something waits."""
        while _slots.acquire(blocking=self._is_patient and not self._flying):
            claimed = None
            try:
                claimed = self._claim()
            finally:
                if claimed is None:
                    _slots.release()
            if claimed is None:
                return
            self._begin(*claimed)

    def _claim(self) -> tuple[ConnectionReport, Prepared] | None:
        """The next report that waits, running from now on, and its connection; None when nothing waits.

        One that cannot be prepared is ended, and the next one taken.
        """
        while report := self._rows.select_related(*NEEDED).first():
            running = {"state": State.RUNNING, "started_at": self._instant()}
            if not ConnectionReport.objects.filter(pk=report.pk, state=State.WAITING).update(**running):
                continue
            self._count += 1
            with _alone(report):
                try:
                    return report, _prepare(report, self._instant())
                except PortalError as error:
                    _finish(report, error, self._instant())
        return None

    def _begin(self, report: ConnectionReport, prepared: Prepared) -> None:
        self._flying[report.pk] = report
        future = self._pool.submit(
            probe, prepared.target, self._policy, now=self._instant(), on_step=partial(self._hear, report.pk)
        )
        future.add_done_callback(partial(self._land, report.pk))

    def _hear(self, pk: str, step: Step) -> None:
        self._heard.put((pk, step))

    def _land(self, pk: str, future: Future[Report]) -> None:
        _slots.release()
        self._heard.put((pk, future))

    def _listen(self) -> list[tuple[str, Step | Future[Report]]]:
        """Waits for something to be heard, and takes all that has been."""
        heard = [self._heard.get()]
        try:
            while True:
                heard.append(self._heard.get_nowait())
        except Empty:
            return heard

    def _write_steps(self, steps: Iterable[tuple[str, Step]]) -> None:
        """Shows how far the tests are; many steps of one test are one write."""
        grown = {}
        for pk, step in steps:
            self._flying[pk].steps.append(asdict(step))
            grown[pk] = self._flying[pk].steps
        for pk, so_far in grown.items():
            ConnectionReport.objects.filter(pk=pk, state=State.RUNNING).update(steps=so_far)

    def _end(self, report: ConnectionReport, future: Future[Report]) -> None:
        """Writes one result."""
        with _alone(report):
            _finish(report, future.result(), self._instant())


@contextmanager
def _alone(report: ConnectionReport) -> Iterator[None]:
    """What goes wrong with one test must not keep the others from being run and written; `resume` ends it as cut short."""
    try:
        yield
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        log.exception("connection test %s could not be finished", report.pk)


@transaction.atomic
def _prepare(report: ConnectionReport, now: dt.datetime) -> Prepared:
    """Opens what the test needs; the use of a private key is audited."""
    rehearsed = report.rehearsal.version if report.rehearsal else None
    prepared = target_of(report.provider, staged=rehearsed, now=now)
    if shown := prepared.shown:
        ConnectionReport.objects.filter(pk=report.pk).update(shown=shown)
        report.shown = shown
        audit.record(
            Actor(report.asked_by),
            "key.used",
            shown.certificate,
            team=report.team,
            version=shown.number,
            provider=report.provider.name,
        )
    return prepared


@transaction.atomic
def _finish(report: ConnectionReport, outcome: Report | PortalError, at: dt.datetime) -> bool:
    """Writes the result and all that follows from it; False when somebody has ended the test meanwhile, or it is gone."""
    provider = (
        Provider.objects.select_for_update(no_key=True, of=("self",))
        .select_related("team")
        .filter(pk=report.provider_id)
        .first()
    )
    if provider is None:
        return False
    if isinstance(outcome, Report) and is_another_connection(provider, report.provider):
        outcome = EDITED
    values = _as_columns(outcome) | {"state": State.DONE, "finished_at": at}
    if not ConnectionReport.objects.filter(pk=report.pk, state=State.RUNNING).update(**values):
        return False
    for name, value in values.items():
        setattr(report, name, value)
    report.provider = provider
    _follow(report, outcome if isinstance(outcome, Report) else None, at)
    _trim(provider)
    return True


def _follow(report: ConnectionReport, parsed: Report | None, at: dt.datetime) -> None:
    """A mistake of ours in what follows from a result must not lose the result, nor be repeated for ever."""
    try:
        with transaction.atomic():
            aftermath.after(report, parsed, at)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        log.exception("connection test %s is written without what should follow from it", report.pk)


def _as_columns(outcome: Report | PortalError) -> dict[str, Any]:
    if isinstance(outcome, PortalError):
        return {"ok": False, "code": outcome.code, "message": outcome.sentence}
    kept = outcome.to_dict()
    return {
        "ok": outcome.ok,
        "code": outcome.code,
        "message": outcome.message,
        "steps": kept["steps"],
        "details": kept,
    }


def _trim(provider: Provider) -> None:
    """Keeps the last `REPORTS_KEPT`, and what a rehearsal, an alert or the drift watch still needs."""
    done = provider.reports.filter(state=State.DONE)
    old = list(done.values_list("pk", flat=True)[REPORTS_KEPT:])
    if not old:
        return
    good = Provider.objects.filter(pk=provider.pk, last_good__isnull=False).values("last_good")
    open_alerts = Alert.objects.filter(provider=provider, closed_at__isnull=True, report__isnull=False)
    needed = (
        Q(rehearsal__isnull=False, rehearsal__finished_at__isnull=True)
        | Q(pk__in=good)
        | Q(pk__in=open_alerts.values("report"))
    )
    provider.reports.filter(pk__in=old).exclude(needed).delete()
