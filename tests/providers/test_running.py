"""Connection tests run once each, bounded, written as they come, whatever dies meanwhile; and the last ones are kept."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import OperationalError
from django.utils import timezone

from providers import aftermath, targets, tasks, testing
from providers.connection import Report
from providers.models import REPORTS_KEPT, Alert, ConnectionReport, Provider, Rehearsal
from stores.models import Version
from tests.cast import Cast, kept
from tests.material import Minted, mint
from tests.providers.backend import Backend
from tests.providers.conftest import Register
from tests.providers.reported import FINE
from tests.providers.trial import ask, backend, client_ca, days, orders, report_of, server_ca, shown, trusted
from tests.running import free_port
from tests.together import together

__all__ = ["backend", "client_ca", "orders", "server_ca", "shown", "trusted"]
State, Reason = ConnectionReport.State, ConnectionReport.Reason


@pytest.mark.django_db
class TestLife:
    def test_a_report_that_somebody_else_claimed_is_left_to_him(
        self, orders: Provider, backend: Backend
    ) -> None:
        report = ask(orders)
        ConnectionReport.objects.update(state=State.RUNNING, started_at=timezone.now())
        assert testing.run([report.pk], now=timezone.now()) == 0
        assert backend.connections == 0

    def test_a_test_whose_worker_died_is_ended_in_words(self, orders: Provider) -> None:
        now = timezone.now()
        report = ask(orders)
        ConnectionReport.objects.update(state=State.RUNNING, started_at=now - 2 * testing.STUCK)
        assert testing.resume(now) == 1
        report.refresh_from_db()
        assert (report.state, report.ok, report.code) == (State.DONE, False, "interrupted")
        assert "test again" in report.message
        assert testing.resume(now) == 0

    def test_a_test_that_has_just_begun_is_left_alone(self, orders: Provider) -> None:
        ask(orders)
        ConnectionReport.objects.update(state=State.RUNNING, started_at=timezone.now())
        assert testing.resume(timezone.now()) == 0

    def test_what_ended_meanwhile_is_not_written_again(
        self, orders: Provider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A worker that was taken for dead comes back with a result."""
        report = ask(orders)

        def listen(round_: Any) -> Any:
            ConnectionReport.objects.filter(state=State.RUNNING).update(started_at=days(-1))
            testing.resume(timezone.now())
            return plain(round_)

        plain = testing._Round._listen
        monkeypatch.setattr(testing._Round, "_listen", listen)
        testing.run([report.pk], now=timezone.now())
        report.refresh_from_db()
        assert report.code == "interrupted" and report.details == {}

    def test_what_was_forgotten_is_queued_again(
        self, orders: Provider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        queued: list[str] = []
        monkeypatch.setattr(testing, "queue", lambda: queued.append("queued"))
        ask(orders)
        testing.resume(timezone.now())
        assert queued == []
        testing.resume(timezone.now() + 2 * testing.FORGOTTEN)
        assert queued == ["queued"]

    def test_the_tasks_do_it_for_all(self, orders: Provider, backend: Backend) -> None:
        report = ask(orders)
        tasks.run_tests()
        tasks.run_tests()
        tasks.resume_tests()
        report.refresh_from_db()
        assert report.ok and backend.connections == 1

    def test_who_asked_comes_before_the_watch(self, orders: Provider, backend: Backend) -> None:
        watch = ask(orders, reason=Reason.WATCH)
        asked = ask(orders)
        testing.run(now=timezone.now())
        watch.refresh_from_db()
        asked.refresh_from_db()
        assert asked.started_at and watch.started_at and asked.started_at < watch.started_at

    def test_one_that_breaks_what_follows_does_not_stop_the_others(
        self,
        orders: Provider,
        register: Register,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        other = register(name="other", host="127.0.0.1", port=free_port())

        def after(report: ConnectionReport, parsed: Report | None, now: dt.datetime) -> None:
            if report.provider == other:
                raise KeyError("a mistake of ours")

        monkeypatch.setattr(aftermath, "after", after)
        bad, good = ask(other), ask(orders)
        testing.run([bad.pk, good.pk], now=timezone.now())
        assert ConnectionReport.objects.get(pk=good.pk).ok
        left = ConnectionReport.objects.get(pk=bad.pk)
        assert (left.state, left.code) == (State.DONE, "connection_refused"), "its own result is kept"
        assert caplog.text.count("without what should follow") == 1 and "a mistake of ours" in caplog.text
        assert testing.resume(timezone.now() + 2 * testing.STUCK) == 0
        assert testing.run(now=timezone.now()) == 0
        assert caplog.text.count("without what should follow") == 1, "nothing is repeated"

    def test_what_cannot_be_prepared_by_a_mistake_of_ours_keeps_no_slot_and_stops_nobody(
        self, orders: Provider, register: Register, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = register(name="other", host="127.0.0.1", port=free_port())
        plain = targets.target_of

        def target(provider: Provider, **more: Any) -> Any:
            if provider == other:
                raise KeyError("a mistake of ours")
            return plain(provider, **more)

        monkeypatch.setattr(testing, "target_of", target)
        bad, good = ask(other), ask(orders)
        for _ in range(testing.SLOTS + 1):
            ConnectionReport.objects.update(state=State.WAITING)
            assert testing.run(now=timezone.now()) == 2
        assert ConnectionReport.objects.get(pk=good.pk).ok
        assert testing.resume(timezone.now() + 2 * testing.STUCK) == 1
        assert ConnectionReport.objects.get(pk=bad.pk).code == "interrupted"

    def test_a_database_that_goes_away_keeps_no_slot(
        self, orders: Provider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def gone(report: ConnectionReport, now: dt.datetime) -> None:
            raise OperationalError("the connection is lost")

        ask(orders)
        with monkeypatch.context() as patch:
            patch.setattr(testing, "_prepare", gone)
            for _ in range(testing.SLOTS + 1):
                ConnectionReport.objects.update(state=State.WAITING)
                with pytest.raises(OperationalError):
                    testing.run(now=timezone.now())
        ConnectionReport.objects.update(state=State.WAITING)
        testing.run(now=timezone.now())
        assert ConnectionReport.objects.get().ok

    def test_a_provider_deleted_meanwhile_is_no_error(self, orders: Provider, backend: Backend) -> None:
        report = ask(orders)
        plain = testing._Round._listen

        def listen(round_: Any) -> Any:
            heard = plain(round_)
            Provider.objects.all().delete()
            return heard

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(testing._Round, "_listen", listen)
            testing.run([report.pk], now=timezone.now())
        assert ConnectionReport.objects.count() == 0


@pytest.mark.django_db
class TestKept:
    @pytest.fixture
    def old(self, orders: Provider) -> Callable[..., ConnectionReport]:
        """A finished report of long ago."""

        def make(number: int, **fields: Any) -> ConnectionReport:
            at = days(-200 + number)
            defaults = {"reason": Reason.WATCH, "ok": False, "state": State.DONE, "code": "timeout"}
            fields = defaults | {"asked_at": at, "finished_at": at} | fields
            return ConnectionReport.objects.create(team=orders.team, provider=orders, **fields)

        return make

    def test_the_last_ones_are_kept(self, orders: Provider, old: Any) -> None:
        rows = [old(number) for number in range(REPORTS_KEPT + 5)]
        report = report_of(orders)
        left = set(orders.reports.values_list("pk", flat=True))
        assert left == {report.pk, *(row.pk for row in rows[6:])}

    def test_what_is_still_needed_is_kept_beside(
        self, orders: Provider, old: Any, cast: Cast, shown: Version
    ) -> None:
        now = timezone.now()
        ended, running = (
            Rehearsal.objects.create(
                team=cast.team, version=kept(cast, now=now, at_once=False), asked_at=now, finished_at=at,
                outcome="passed" if at else "",
            )
            for at in (now, None)
        )  # fmt: skip
        needed = [old(0, reason=Reason.REHEARSAL, rehearsal=running), old(1)]
        not_needed = [old(2, reason=Reason.REHEARSAL, rehearsal=ended), old(3)]
        good = old(4, ok=True, code="ok", details=FINE.to_dict())
        Provider.objects.filter(pk=orders.pk).update(last_good=good)
        for report, closed in ((needed[1], None), (not_needed[1], now)):
            Alert.objects.create(
                team=cast.team, provider=orders, certificate=shown.certificate, version=shown, report=report, code="timeout",
                message="x", opened_at=now, closed_at=closed, closed="dismissed" if closed else "",
            )  # fmt: skip
        for number in range(10, 10 + REPORTS_KEPT):
            old(number)
        Provider.objects.filter(pk=orders.pk).update(port=free_port())
        report_of(orders)
        left = set(orders.reports.values_list("pk", flat=True))
        assert {row.pk for row in (*needed, good)} <= left
        assert not {row.pk for row in not_needed} & left


@pytest.mark.django_db(transaction=True)
class TestMany:
    def test_two_clicks_at_the_same_instant_make_one_test(self, orders: Provider) -> None:
        found = together(*[lambda: ask(orders).pk] * 6)
        assert len(set(found)) == 1 and ConnectionReport.objects.count() == 1

    def test_workers_at_the_same_instant_run_each_test_once(
        self, orders: Provider, backend: Backend, register: Register
    ) -> None:
        reports = [ask(orders, reason=Reason.WATCH) for _ in range(12)]
        ids = [report.pk for report in reports]
        counts = together(*[lambda: testing.run(ids, now=timezone.now())] * 3)
        assert sum(counts) == 12
        assert backend.connections == 12
        assert ConnectionReport.objects.filter(ok=True).count() == 12

    def test_no_more_than_the_slots_at_once_and_the_slow_delay_nobody(
        self, cast: Cast, tmp_path: Path, backend: Backend, orders: Provider, server_ca: Minted, client_ca: Minted,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        """Three servers never answer before all others are done: they hold three slots, the others pass by."""
        leaf = mint("slow backend", server_ca, begin=days(-1), end=days(90), hosts=("127.0.0.1",))
        slow = Backend(tmp_path, leaf, client_ca, hold=True)
        stuck = Provider.objects.get(pk=orders.pk)
        stuck.pk, stuck.name, stuck.port, stuck.sealed_password, stuck.authentication = (
            "stuck",
            "stuck",
            slow.port,
            None,
            "none",
        )
        stuck.save(force_insert=True)
        for _ in range(3):
            ask(stuck, reason=Reason.WATCH)
        for _ in range(30):
            ask(orders, reason=Reason.WATCH)
        plain = testing._Round._end

        def end(round_: Any, report: ConnectionReport, future: Any) -> None:
            plain(round_, report, future)
            if not ConnectionReport.objects.filter(provider=orders).exclude(state=State.DONE).exists():
                slow.go.set()

        monkeypatch.setattr(testing._Round, "_end", end)
        assert testing.run(now=timezone.now()) == 33
        slow.close()
        assert ConnectionReport.objects.filter(provider=orders, ok=True).count() >= REPORTS_KEPT
        assert stuck.reports.filter(ok=True).count() == 3
        assert 2 <= backend.most_at_once <= testing.SLOTS

    def test_steps_are_seen_while_it_runs(
        self, cast: Cast, tmp_path: Path, orders: Provider, server_ca: Minted, client_ca: Minted,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        leaf = mint("slow backend", server_ca, begin=days(-1), end=days(90), hosts=("127.0.0.1",))
        slow = Backend(tmp_path, leaf, client_ca, hold=True)
        Provider.objects.filter(pk=orders.pk).update(port=slow.port)
        report, seen = ask(orders), []
        plain = testing._Round._write_steps

        def write(round_: Any, steps: Any) -> None:
            plain(round_, steps)
            row = ConnectionReport.objects.get(pk=report.pk)
            seen.append((row.state, [step["name"] for step in row.steps]))
            if row.steps:
                slow.go.set()

        monkeypatch.setattr(testing._Round, "_write_steps", write)
        testing.run(now=timezone.now())
        slow.close()
        state, names = seen[0]
        assert state == State.RUNNING and names and len(names) < len(report.steps or names) + len(seen[-1][1])
        report.refresh_from_db()
        assert report.ok and len(report.steps) > len(names)

    def test_a_message_in_the_queue_names_nothing(self, orders: Provider) -> None:
        ask(orders)
        if not settings.REDIS_URL:
            written = b"".join(path.read_bytes() for path in (settings.BROKER / "queue").iterdir())
            assert b"run_tests" in written and orders.pk.encode() not in written
