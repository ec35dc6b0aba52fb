"""Connection tests: asked for once, of what is registered, and never a secret in what is kept."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from portal.celery import app
from portal.errors import PortalError
from portal.models import AuditEvent
from portal.outbound import Policy
from providers import testing
from providers.connection import Report
from providers.models import ConnectionReport, Provider, Rehearsal
from providers.targets import target_of
from stores import history
from stores.models import Version
from tests.cast import Cast, kept
from tests.material import Minted, mint
from tests.providers.backend import Backend
from tests.providers.backends import LOOPBACK
from tests.providers.conftest import Register
from tests.providers.trial import ask, backend, client_ca, days, orders, report_of, server_ca, shown, trusted
from tests.stores.test_secrets import messages, tables

__all__ = ["backend", "client_ca", "orders", "server_ca", "shown", "trusted"]
State, Reason = ConnectionReport.State, ConnectionReport.Reason


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
        policy = Policy(tuple(LOOPBACK))
        assert testing.unreachable(register(), policy) == ""
        assert testing.unreachable(register(name="here", host="127.0.0.1"), policy) == ""


@pytest.mark.django_db
class TestTarget:
    def test_it_is_what_the_provider_says(self, orders: Provider, shown: Version, trusted: Version) -> None:
        Provider.objects.filter(pk=orders.pk).update(
            server_name="inner.example.net", trust_public=True, spki_pins=["a" * 43 + "="]
        )
        orders.refresh_from_db()
        target = target_of(orders, now=timezone.now()).target
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
        prepared = target_of(register(use_tls=False, port=80), now=timezone.now())
        assert prepared.shown is None and prepared.target.client is None and not prepared.target.tls
