"""Connection tests: asked for once, run once, bounded, written as they come, and never a secret in what is kept."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import OperationalError, transaction
from django.utils import timezone

from portal.audit import SYSTEM, Actor
from portal.celery import app
from portal.errors import PortalError
from portal.models import AuditEvent
from portal.outbound import Policy
from providers import aftermath, targets, tasks, testing
from providers.connection import Report
from providers.models import REPORTS_KEPT, Alert, ConnectionReport, Provider, Rehearsal
from providers.targets import target_of
from stores import history
from stores.models import Version
from tests.cast import Cast, kept
from tests.material import Minted, mint
from tests.providers.backend import Backend
from tests.providers.conftest import Register
from tests.providers.reported import FINE
from tests.running import free_port
from tests.stores.test_secrets import messages, tables
from tests.together import together

State, Reason = ConnectionReport.State, ConnectionReport.Reason


def days(number: float) -> dt.datetime:
    """From the real instant: TLS libraries have no other clock."""
    return timezone.now() + dt.timedelta(days=number)


@pytest.fixture
def client_ca() -> Minted:
    return mint("Client Root", ca=True, begin=days(-30), end=days(3000), key_usage=True)


@pytest.fixture
def server_ca() -> Minted:
    return mint("Backend Root", ca=True, begin=days(-30), end=days(3000), key_usage=True)


@pytest.fixture
def backend(tmp_path: Path, server_ca: Minted, client_ca: Minted) -> Iterator[Backend]:
    leaf = mint("backend", server_ca, begin=days(-1), end=days(90), hosts=("127.0.0.1",))
    one = Backend(tmp_path, leaf, client_ca)
    yield one
    one.close()


@pytest.fixture
def shown(cast: Cast, client_ca: Minted) -> Version:
    leaf = mint("orders", client_ca, begin=days(-1), end=days(300))
    return kept(cast, leaf, client_ca, now=timezone.now())


@pytest.fixture
def trusted(cast: Cast, server_ca: Minted) -> Version:
    return kept(cast, server_ca, name="backend-root", store="partners", kind="trust", now=timezone.now())


@pytest.fixture
def orders(register: Register, backend: Backend, shown: Version, trusted: Version) -> Provider:
    """A provider whose two-way TLS works, with a password to sign in."""
    return register(
        host="127.0.0.1", port=backend.port, key_certificate=shown.certificate, trust_store=trusted.certificate.store,
        path_prefix="/v1", collection_path="/services", authentication="basic", user_name="storekeeper", password="open sesame",
    )  # fmt: skip


def ask(
    provider: Provider, actor: Actor = SYSTEM, reason: str = Reason.ASKED, **more: Any
) -> ConnectionReport:
    return testing.ask(provider=provider, reason=reason, actor=actor, now=timezone.now(), **more)


def report_of(provider: Provider, **more: Any) -> ConnectionReport:
    report = ask(provider, **more)
    testing.run([report.pk], now=timezone.now())
    report.refresh_from_db()
    return report


@pytest.mark.django_db
class TestOneTest:
    def test_it_says_step_by_step_that_two_way_tls_works(
        self, orders: Provider, cast: Cast, backend: Backend, shown: Version
    ) -> None:
        report = report_of(orders, actor=cast.actor)
        assert (report.ok, report.code, report.state) == (True, "ok", State.DONE), report.message
        assert report.shown == shown
        assert report.started_at and report.finished_at and report.started_at <= report.finished_at
        seen = Report.from_dict(report.details)
        assert seen.client_certificate_sent and seen.http_status == 200
        assert [step["name"] for step in report.steps] == [step.name for step in seen.steps]
        assert b"/v1/services" in backend.requests[0]
        assert base64.b64encode(b"storekeeper:open sesame") in backend.requests[0]

    def test_without_a_catalogue_no_password_is_sent(self, orders: Provider, backend: Backend) -> None:
        Provider.objects.filter(pk=orders.pk).update(path_prefix="", collection_path="")
        assert report_of(orders).ok
        assert b"uthorization" not in backend.requests[0]

    def test_the_use_of_the_key_is_audited_as_the_person_who_asked(
        self, orders: Provider, cast: Cast, shown: Version
    ) -> None:
        report_of(orders, actor=cast.actor)
        event = AuditEvent.objects.get(action="key.used")
        assert (event.actor, event.object_id) == (cast.owner, shown.certificate.pk)
        assert event.facts == {"version": 1, "provider": "orders"}
        assert (
            history.told(event).sentence
            == "used the private key of version 1 to test the connection to orders"
        )

    def test_what_shows_no_certificate_uses_no_key(self, orders: Provider) -> None:
        Provider.objects.filter(pk=orders.pk).update(key_certificate=None)
        report = report_of(orders)
        assert report.code == "client_certificate_required" and report.shown is None
        assert not AuditEvent.objects.filter(action="key.used").exists()

    def test_a_rehearsal_shows_the_staged_version(
        self, orders: Provider, cast: Cast, client_ca: Minted
    ) -> None:
        leaf = mint("orders", client_ca, begin=days(-1), end=days(300), key_name="next")
        staged = kept(cast, leaf, client_ca, now=timezone.now(), at_once=False)
        rehearsal = Rehearsal.objects.create(team=cast.team, version=staged, asked_at=timezone.now())
        assert report_of(orders, reason=Reason.REHEARSAL, rehearsal=rehearsal).shown == staged

    def test_a_key_that_does_not_open_is_said_and_no_connection_made(
        self, orders: Provider, backend: Backend, shown: Version
    ) -> None:
        Version.objects.filter(pk=shown.pk).update(sealed_key=b"SK\x01damaged")
        report = report_of(orders)
        assert (report.ok, report.code) == (False, "key_does_not_open")
        assert "key ring" in report.message and backend.connections == 0

    def test_a_password_that_does_not_open_is_said(self, orders: Provider, backend: Backend) -> None:
        Provider.objects.filter(pk=orders.pk).update(sealed_password=b"SK\x01damaged")
        assert report_of(orders).code == "password_does_not_open"
        assert backend.connections == 0

    def test_nothing_secret_is_kept_logged_or_queued(
        self, orders: Provider, shown: Version, caplog: pytest.LogCaptureFixture, client_ca: Minted
    ) -> None:
        caplog.set_level("DEBUG")
        with pytest.MonkeyPatch.context() as patch:
            sent: list[Any] = []
            patch.setattr(app, "send_task", lambda *args, **kwargs: sent.append((args, kwargs)))
            testing.queue()
        report = report_of(orders)
        assert report.ok
        opened = mint("orders", client_ca).key_der
        forms = (
            b"open sesame",
            base64.b64encode(b"storekeeper:open sesame"),
            opened,
            base64.b64encode(opened),
        )
        written = [value if isinstance(value, bytes) else value.encode() for _, value in tables()]
        written += [*messages(), caplog.text.encode(), repr(sent).encode()]
        assert len(written) > 100
        assert not [form for form in forms if any(form in value for value in written)]


@pytest.mark.django_db
class TestAsking:
    def test_a_second_click_gives_the_test_that_waits(self, orders: Provider) -> None:
        assert ask(orders).pk == ask(orders).pk
        assert ConnectionReport.objects.count() == 1

    def test_after_it_is_done_there_is_a_new_one(self, orders: Provider) -> None:
        assert report_of(orders).pk != report_of(orders).pk

    def test_the_watch_waits_for_nobody(self, orders: Provider) -> None:
        assert ask(orders).pk != ask(orders, reason=Reason.WATCH).pk

    def test_many_in_one_transaction_wake_one_worker(
        self, orders: Provider, django_capture_on_commit_callbacks: Any
    ) -> None:
        with django_capture_on_commit_callbacks() as queued:
            for _ in range(5):
                ask(orders, reason=Reason.WATCH)
        assert queued == [testing.queue]

    def test_what_is_undone_does_not_keep_the_rest_from_being_queued(
        self, orders: Provider, django_capture_on_commit_callbacks: Any
    ) -> None:
        with django_capture_on_commit_callbacks() as queued:
            with transaction.atomic():
                ask(orders, reason=Reason.WATCH)
                transaction.set_rollback(True)
            ask(orders, reason=Reason.WATCH)
        assert queued == [testing.queue]

    def test_a_provider_on_premise_is_refused_in_words(self, register: Register) -> None:
        provider = register(type="on_premise", location_id="berlin")
        with pytest.raises(PortalError, match="connector") as refused:
            ask(provider)
        assert refused.value.code == "not_testable"
        assert ConnectionReport.objects.count() == 0

    @pytest.mark.parametrize("host", ["169.254.169.254", "10.1.2.3", "::ffff:10.1.2.3"])
    def test_an_address_that_policy_forbids_is_refused_in_words(self, register: Register, host: str) -> None:
        provider = register(host=host)
        assert "may not connect" in testing.unreachable(provider, Policy())
        with pytest.raises(PortalError, match="may not connect"):
            ask(provider)

    def test_a_name_and_an_allowed_address_can_be_tried(self, register: Register) -> None:
        policy = Policy.from_settings()
        assert testing.unreachable(register(), policy) == ""
        assert testing.unreachable(register(name="here", host="127.0.0.1"), policy) == ""


@pytest.mark.django_db
class TestTarget:
    def test_it_is_what_the_provider_says(self, orders: Provider, shown: Version, trusted: Version) -> None:
        Provider.objects.filter(pk=orders.pk).update(
            server_name="inner.example.net", trust_public=True, spki_pins=["a" * 43 + "="]
        )
        orders.refresh_from_db()
        target = target_of(orders).target
        assert (target.host, target.port, target.server_name) == (
            "127.0.0.1",
            orders.port,
            "inner.example.net",
        )
        assert target.path == "/v1/services" and target.credentials == ("storekeeper", "open sesame")
        assert target.also_public and target.pins == ("a" * 43 + "=",)
        assert target.client and len(target.client.chain) == shown.chain.count()
        assert target.trust and len(target.trust) == 1
        assert "sesame" not in repr(target) and "PrivateKey" not in repr(target)

    def test_without_tls_nothing_is_shown(self, register: Register) -> None:
        prepared = target_of(register(use_tls=False, port=80))
        assert prepared.shown is None and prepared.target.client is None and not prepared.target.tls


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
        assert ConnectionReport.objects.get(pk=bad.pk).state == State.RUNNING
        assert "could not be finished" in caplog.text

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
        def gone(report: ConnectionReport) -> None:
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
        for _ in range(60):
            ask(orders, reason=Reason.WATCH)
        plain = testing._Round._end

        def end(round_: Any, report: ConnectionReport, future: Any) -> None:
            plain(round_, report, future)
            if not ConnectionReport.objects.filter(provider=orders).exclude(state=State.DONE).exists():
                slow.go.set()

        monkeypatch.setattr(testing._Round, "_end", end)
        assert testing.run(now=timezone.now()) == 63
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
