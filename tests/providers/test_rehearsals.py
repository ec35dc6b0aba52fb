"""Rehearsals: a version is tried with real handshakes before it becomes active, and held when one fails."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from portal.audit import SYSTEM, Actor
from portal.errors import Conflict, PortalError
from portal.models import AuditEvent
from providers import rehearsals, testing
from providers.models import ConnectionReport, Host, Rehearsal
from stores import housekeeping, services
from stores.models import Notice, Version
from tests.cast import Cast, client_of, kept
from tests.material import mint
from tests.providers.backends import Switch, activate, begin, days, outcome, run_tests, state
from tests.together import together

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def actor(cast: Cast) -> Actor:
    return Actor(cast.editor)


def due(version: Version) -> None:
    """Its instant has come."""
    Version.objects.filter(pk=version.pk).update(activate_at=timezone.now() - dt.timedelta(minutes=1))


class TestWhoIsTried:
    def test_every_provider_that_shows_it_is_called_with_the_staged_version(
        self, switch: Switch, actor: Actor
    ) -> None:
        one, two = switch.provider("one"), switch.provider("two")
        switch.provider("other", key_certificate=None)
        staged = switch.stage()
        rehearsal = begin(staged, actor)
        assert {report.provider for report in rehearsal.reports.all()} == {one, two}
        assert {report.reason for report in rehearsal.reports.all()} == {"rehearsal"}
        run_tests()
        assert {report.shown for report in rehearsal.reports.all()} == {staged}
        assert outcome(rehearsal) == "passed"
        assert state(staged) == "staged", "nothing becomes active by itself"

    def test_a_trust_store_s_version_is_tried_where_it_is_trusted(self, switch: Switch) -> None:
        provider = switch.provider("one")
        root = mint("Another Root", ca=True, begin=days(-3), end=days(300))
        staged = kept(
            switch.cast,
            root,
            name="backends",
            store="trusted",
            kind="trust",
            now=timezone.now(),
            at_once=False,
        )
        rehearsal = begin(staged)
        run_tests()
        assert outcome(rehearsal) == "passed", "the version in use would stay trusted beside it"
        assert rehearsal.reports.get().provider == provider

    def test_who_cannot_be_tried_is_unproven_with_the_reason_and_never_passed(
        self, switch: Switch, settings: Any
    ) -> None:
        switch.provider("inside", host="10.1.2.3")
        Host.objects.create(
            team=switch.cast.team,
            name="public api",
            host_name="api.example.org",
            key_certificate=switch.certificate,
        )
        rehearsal = begin(switch.stage())
        assert outcome(rehearsal) == "unproven"
        assert not rehearsal.reports.exists()
        inside, host = rehearsal.unproven
        assert (inside["title"], inside["kind"]) == ("inside", "provider")
        assert "10.1.2.3 is not a public address" in inside["why"]
        assert (host["title"], host["kind"], host["why"]) == ("public api", "host", rehearsals.INBOUND)

    def test_a_name_that_leads_where_we_may_not_connect_counts_as_unproven(
        self, switch: Switch, settings: Any
    ) -> None:
        switch.provider("local", host="localhost")
        rehearsal = begin(switch.stage())
        settings.STOREKEEPER_OUTBOUND_ALLOW = []
        run_tests()
        assert rehearsal.reports.get().code == "blocked_by_policy"
        assert outcome(rehearsal) == "unproven"
        assert rehearsal.unproven[0]["title"] == "local"

    def test_what_nothing_uses_is_not_tried(self, switch: Switch) -> None:
        with pytest.raises(PortalError, match="No provider uses this certificate yet"):
            begin(switch.stage())

    def test_what_is_active_or_was_discarded_is_not_tried(self, switch: Switch) -> None:
        switch.provider("one")
        with pytest.raises(Conflict, match="is active already"):
            begin(switch.old)
        staged = switch.stage()
        services.discard(version=staged, actor=SYSTEM, now=timezone.now())
        with pytest.raises(PortalError, match="was discarded"):
            begin(staged)

    def test_what_begins_later_is_tried_when_it_begins(self, switch: Switch) -> None:
        switch.provider("one")
        later = mint("orders", switch.new_ca, begin=days(2), end=days(300))
        staged = kept(switch.cast, later, switch.new_ca, now=timezone.now())
        with pytest.raises(PortalError, match="begins on"):
            begin(staged)

    def test_a_superseded_version_can_be_tried_before_it_is_restored(self, switch: Switch) -> None:
        switch.provider("one", switch.new_ca)
        activate(switch.stage())
        rehearsal = begin(switch.old)
        run_tests()
        assert outcome(rehearsal) == "failed"
        assert activate(switch.old).state == "active", "restoring is never held"


class TestHolding:
    def test_without_a_rehearsal_nothing_is_held(self, switch: Switch) -> None:
        switch.provider("one", switch.old_ca)
        assert activate(switch.stage()).state == "active"

    def test_what_is_being_tried_is_held(self, switch: Switch) -> None:
        switch.provider("one")
        staged = switch.stage()
        begin(staged)
        with pytest.raises(Conflict, match="is being tried now") as refused:
            activate(staged)
        assert refused.value.code == "held"
        run_tests()
        assert activate(staged).state == "active"

    def test_what_failed_is_held_until_it_passes(self, switch: Switch) -> None:
        provider = switch.provider("orders backend", switch.old_ca)
        staged = switch.stage()
        rehearsal = begin(staged)
        run_tests()
        assert outcome(rehearsal) == "failed"
        with pytest.raises(Conflict, match="its rehearsal failed at orders backend"):
            activate(staged)
        switch.backends[0].takes += (switch.new_ca,)
        begin(staged)
        run_tests()
        assert provider.reports.first().ok  # type: ignore[union-attr]
        assert activate(staged).state == "active"

    def test_a_rehearsal_that_proves_nothing_lifts_no_hold(self, switch: Switch) -> None:
        provider = switch.provider("one", switch.old_ca)
        staged = switch.stage()
        begin(staged)
        run_tests()
        type(provider).objects.update(host="10.1.2.3")
        assert outcome(begin(staged)) == "unproven"
        with pytest.raises(Conflict, match="is held"):
            activate(staged)

    def test_an_owner_activates_it_anyway_for_a_reason_that_is_audited(self, switch: Switch) -> None:
        switch.provider("one", switch.old_ca)
        staged = switch.stage()
        rehearsal = begin(staged)
        run_tests()
        rehearsal.refresh_from_db()
        owner = Actor(switch.cast.owner)
        with pytest.raises(PortalError, match="Say why"):
            rehearsals.activate_anyway(rehearsal=rehearsal, reason="  ", actor=owner, now=timezone.now())
        rehearsals.activate_anyway(
            rehearsal=rehearsal, reason="The old one ends today.", actor=owner, now=timezone.now()
        )
        assert state(staged) == "active"
        event = AuditEvent.objects.get(action="version.activated", facts__version=staged.number)
        assert (event.actor, event.facts["reason"]) == (switch.cast.owner, "The old one ends today.")

    def test_a_reason_is_for_failed_rehearsals_only(self, switch: Switch) -> None:
        switch.provider("one")
        staged = switch.stage()
        rehearsal = begin(staged)
        run_tests()
        rehearsal.refresh_from_db()
        with pytest.raises(Conflict, match="holds nothing"):
            rehearsals.activate_anyway(
                rehearsal=rehearsal, reason="Why not?", actor=SYSTEM, now=timezone.now()
            )
        assert state(staged) == "staged"


class TestAtAnInstant:
    def test_what_passes_its_last_rehearsal_becomes_active(self, switch: Switch) -> None:
        switch.provider("one")
        staged = switch.stage()
        due(staged)
        assert housekeeping.activate_due(timezone.now()) == 0
        assert state(staged) == "staged", "it is tried first"
        assert housekeeping.activate_due(timezone.now()) == 0, "tried once only"
        assert Rehearsal.objects.count() == 1
        run_tests()
        assert state(staged) == "active"
        assert AuditEvent.objects.get(action="version.activated", facts__version=2).actor is None

    def test_what_fails_it_stays_staged_and_the_reason_is_kept(self, switch: Switch) -> None:
        switch.provider("orders backend", switch.old_ca)
        staged = switch.stage()
        due(staged)
        housekeeping.activate_due(timezone.now())
        run_tests()
        staged.refresh_from_db()
        assert (staged.state, staged.activate_at) == ("staged", None)
        facts = AuditEvent.objects.get(action="version.not_activated").facts
        assert facts["reason"] == "Its last rehearsal failed at orders backend."
        told = Notice.objects.get(key__startswith="not activated", channel="portal")
        assert (told.recipient, told.title) == (
            switch.cast.owner.email,
            "Version 2 of orders-client did not become active",
        )
        assert "Its last rehearsal failed at orders backend." in told.text

    def test_where_nothing_can_be_tried_it_becomes_active_as_before(self, switch: Switch) -> None:
        switch.provider("inside", host="10.1.2.3")
        staged = switch.stage()
        due(staged)
        assert housekeeping.activate_due(timezone.now()) == 1
        assert state(staged) == "active"

    def test_where_all_turn_out_to_be_out_of_reach_it_becomes_active_as_well(
        self, switch: Switch, settings: Any
    ) -> None:
        switch.provider("local", host="localhost")
        staged = switch.stage()
        due(staged)
        housekeeping.activate_due(timezone.now())
        settings.STOREKEEPER_OUTBOUND_ALLOW = []
        run_tests()
        assert Rehearsal.objects.get().outcome == "unproven"
        assert state(staged) == "active"

    def test_who_postpones_it_while_it_is_tried_has_the_last_word(self, switch: Switch, actor: Actor) -> None:
        switch.provider("one")
        staged = switch.stage()
        due(staged)
        housekeeping.activate_due(timezone.now())
        services.schedule(version=staged, activate_at=days(3), actor=actor)
        run_tests()
        staged.refresh_from_db()
        assert (staged.state, staged.activate_at is None) == ("staged", False)

    def test_a_rehearsal_that_a_person_began_serves_as_the_last_one(
        self, switch: Switch, actor: Actor
    ) -> None:
        switch.provider("one")
        staged = switch.stage()
        rehearsal = begin(staged, actor)
        due(staged)
        housekeeping.activate_due(timezone.now())
        assert Rehearsal.objects.count() == 1
        run_tests()
        assert outcome(rehearsal) == "passed"
        assert state(staged) == "active"

    def test_a_newer_version_that_became_active_meanwhile_stays(self, switch: Switch) -> None:
        switch.provider("one")
        staged = switch.stage()
        due(staged)
        housekeeping.activate_due(timezone.now())
        newer = switch.keep(switch.new_ca)
        run_tests()
        assert (state(staged), state(newer)) == ("staged", "active")
        assert (
            "was made active meanwhile"
            in AuditEvent.objects.get(action="version.not_activated").facts["reason"]
        )

    def test_with_activates_it_becomes_active_for_who_asked(self, switch: Switch, actor: Actor) -> None:
        switch.provider("one")
        staged = switch.stage()
        begin(staged, actor, activates=True)
        run_tests()
        assert state(staged) == "active"
        event = AuditEvent.objects.get(action="version.activated", facts__version=staged.number)
        assert event.actor == switch.cast.editor


class TestAtOnce:
    def test_two_people_and_a_double_click_begin_one_rehearsal(self, switch: Switch, cast: Cast) -> None:
        switch.provider("one")
        address = reverse("providers:rehearse", args=[switch.stage().pk])
        browsers = [client_of(cast.editor), client_of(cast.owner), client_of(cast.editor)]
        answers = together(*(lambda one=one: one.post(address) for one in browsers))
        rehearsal = Rehearsal.objects.get()
        assert {(answer.status_code, answer.headers["Location"]) for answer in answers} == {
            (302, reverse("providers:rehearsal", args=[rehearsal.pk]))
        }
        assert rehearsal.reports.count() == 1

    def test_the_last_two_reports_at_once_finish_it_once(self, switch: Switch) -> None:
        one, two = switch.provider("one"), switch.provider("two")
        rehearsal = begin(switch.stage())
        reports = [rehearsal.reports.get(provider=provider).pk for provider in (one, two)]
        together(*(lambda pk=pk: testing.run([pk], now=timezone.now()) for pk in reports))
        assert outcome(rehearsal) == "passed"
        assert rehearsals.finish(rehearsal, timezone.now()) is False
        assert AuditEvent.objects.filter(action="version.rehearsal_passed").count() == 1

    def test_a_worker_that_dies_after_the_last_report_leaves_the_rest_to_the_scheduled_task(
        self, switch: Switch, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        switch.provider("one")
        staged = switch.stage()
        due(staged)
        housekeeping.activate_due(timezone.now())
        with monkeypatch.context() as patch:
            patch.setattr(rehearsals, "finish", lambda rehearsal, now: False)
            run_tests()
        assert state(staged) == "staged"
        assert rehearsals.finish_complete(timezone.now()) == 1
        assert rehearsals.finish_complete(timezone.now()) == 0
        assert state(staged) == "active"

    def test_a_test_that_was_cut_short_is_made_again_once(self, switch: Switch) -> None:
        switch.provider("one")
        rehearsal = begin(switch.stage())
        for times in (1, 2):
            assert outcome(rehearsal) == ""
            long_ago = timezone.now() - testing.STUCK * 2
            rehearsal.reports.filter(state="waiting").update(state="running", started_at=long_ago)
            assert testing.resume(timezone.now()) == 1
            assert rehearsal.reports.count() == 2, times
        assert outcome(rehearsal) == "failed"
        assert [report.code for report in rehearsals.reports_of(rehearsal)] == ["interrupted"]

    def test_a_provider_that_is_deleted_meanwhile_is_not_waited_for(self, switch: Switch) -> None:
        one, two = switch.provider("one"), switch.provider("two", switch.old_ca)
        rehearsal = begin(switch.stage())
        testing.run([rehearsal.reports.get(provider=one).pk], now=timezone.now())
        assert outcome(rehearsal) == ""
        two.delete()
        rehearsals.finish_complete(timezone.now())
        assert outcome(rehearsal) == "passed"

    def test_a_certificate_that_is_deleted_meanwhile_takes_its_rehearsal_with_it(
        self, switch: Switch
    ) -> None:
        provider = switch.provider("one")
        rehearsal = begin(switch.stage())
        ConnectionReport.objects.update(state="done", ok=True, finished_at=timezone.now())
        provider.delete()
        services.delete_certificate(certificate=switch.certificate, actor=SYSTEM)
        assert rehearsals.finish(rehearsal, timezone.now()) is False

    def test_discarding_while_it_is_tried_leaves_it_discarded(self, switch: Switch) -> None:
        switch.provider("one")
        staged = switch.stage()
        begin(staged, Actor(switch.cast.editor), activates=True)
        services.discard(version=staged, actor=SYSTEM, now=timezone.now())
        run_tests()
        assert state(staged) == "discarded"
