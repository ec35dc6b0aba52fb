"""A case closes on what real servers have seen: in every way in which that can come about."""

from __future__ import annotations

import datetime as dt

import pytest
from django.utils import timezone

from portal.audit import SYSTEM
from providers import services as provider_services
from providers.models import Overlap, Provider
from stores import cases, proof, services
from stores.models import Case, Version
from tests.cast import kept
from tests.providers.backends import Switch, activate, authority, begin, run_tests
from tests.providers.trial import report_of

pytestmark = pytest.mark.django_db


def opened(version: Version, in_days: float = 20) -> Case:
    """The case that a scan would open of the version."""
    now = timezone.now()
    return Case.objects.create(
        team=version.team, certificate=version.certificate, version=version, stage="warning", opened_at=now,
        fails_at=now + dt.timedelta(days=in_days),
    )  # fmt: skip


def is_closed(case: Case) -> bool:
    case.refresh_from_db()
    return case.closed_at is not None


def seen(case: Case) -> list[tuple[str, int]]:
    """Who was seen with which version, as the case has it."""
    case.refresh_from_db()
    return [(one["provider"], one["version"]) for one in case.evidence if one["kind"] == "seen"]


@pytest.fixture
def case(switch: Switch) -> Case:
    return opened(switch.old)


class TestKeyStore:
    def test_each_server_that_takes_the_new_version_is_noted_and_the_last_one_closes_it(
        self, switch: Switch, case: Case
    ) -> None:
        orders, billing = switch.provider("Orders"), switch.provider("Billing", switch.old_ca)
        switch.keep(switch.new_ca)
        assert not is_closed(case)
        report_of(orders)
        assert not report_of(billing).ok
        assert (is_closed(case), seen(case)) == (False, [("Orders", 2)])
        switch.backends[1].takes = (switch.new_ca,)
        report_of(billing)
        assert (is_closed(case), seen(case)) == (True, [("Orders", 2), ("Billing", 2)])
        assert [one.kind for one in case.events.all()][-1] == "closed"

    def test_the_tests_that_follow_an_activation_are_enough(self, switch: Switch, case: Case) -> None:
        report_of(switch.provider("Orders"))
        switch.keep(switch.new_ca)
        run_tests()
        assert is_closed(case)

    @pytest.mark.django_db(transaction=True)
    def test_a_rehearsal_is_no_proof_of_what_is_active(self, switch: Switch, case: Case) -> None:
        switch.provider("Orders")
        staged = switch.stage()
        begin(staged)
        run_tests()
        activate(staged)
        assert cases.settle_all(timezone.now()) == 0
        assert not is_closed(case)

    @pytest.mark.parametrize("how", ["dissociated", "deleted", "on premise"])
    def test_who_uses_it_no_more_is_waited_for_no_more(self, switch: Switch, case: Case, how: str) -> None:
        last = switch.provider("Orders", switch.old_ca)
        switch.keep(switch.new_ca)
        assert cases.settle_all(timezone.now()) == 0
        if how == "deleted":
            provider_services.delete_provider(provider=last, actor=SYSTEM)
        elif how == "dissociated":
            Provider.objects.update(key_certificate=None)
        else:
            Provider.objects.update(
                type="on_premise", location_id="plant-7", key_certificate=None, trust_store=None
            )
        assert cases.settle_all(timezone.now()) == 1
        assert is_closed(case)

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
    def test_who_may_not_be_reached_is_not_waited_for(
        self, switch: Switch, case: Case, host: str, settings: pytest.FixtureRequest
    ) -> None:
        """Of a name only the test itself can tell."""
        provider = switch.provider("Orders", host=host)
        settings.STOREKEEPER_OUTBOUND_ALLOW = []  # type: ignore[attr-defined]
        switch.keep(switch.new_ca)
        if host == "localhost":
            assert not is_closed(case)
            assert report_of(provider).code == "blocked_by_policy"
        assert cases.settle_all(timezone.now()) == (host == "localhost")
        assert is_closed(case)

    def test_a_second_replacement_has_to_be_seen_anew(self, switch: Switch, case: Case) -> None:
        orders, billing = switch.provider("Orders"), switch.provider("Billing")
        switch.keep(switch.new_ca)
        report_of(orders)
        switch.keep(switch.new_ca)
        report_of(billing)
        assert cases.settle_all(timezone.now()) == 0
        assert (is_closed(case), seen(case)) == (False, [("Orders", 2), ("Billing", 3)])
        report_of(orders)
        assert is_closed(case)

    def test_what_was_seen_before_a_version_was_restored_counts_no_more(
        self, switch: Switch, case: Case
    ) -> None:
        orders, _ = switch.provider("Orders"), switch.provider("Billing")
        second = switch.keep(switch.new_ca)
        report_of(orders)
        switch.keep(switch.new_ca)
        activate(Version.objects.get(pk=second.pk))
        case.refresh_from_db()
        assert case.successor == second
        [missing, _] = cases.standings(case, proof.standings(second))
        assert missing.seen_at is None
        assert cases.seen_already(case) == {}

    def test_restoring_the_version_that_ends_keeps_it_open(self, switch: Switch, case: Case) -> None:
        switch.provider("Orders")
        switch.keep(switch.new_ca)
        old = Version.objects.get(pk=switch.old.pk)
        Case.objects.update(fails_at=old.fails_at)
        activate(old)
        run_tests()
        case.refresh_from_db()
        assert (case.closed_at, case.successor, case.version) == (None, None, old)
        assert "Version 1 is the one that has to be replaced" in case.events.get(kind="stays").text

    def test_deleting_what_nothing_uses_ends_it(self, switch: Switch, case: Case) -> None:
        services.delete_certificate(certificate=switch.certificate, actor=SYSTEM)
        assert not Case.objects.exists()


class TestTrustStore:
    def test_while_old_and_new_are_trusted_a_chain_that_the_new_one_verifies_closes_it(
        self, switch: Switch
    ) -> None:
        provider = switch.provider("Orders")
        entry = switch.trust_store.certificates.get()
        case = opened(entry.active)  # type: ignore[arg-type]
        new_root = authority("New Backend Root")
        kept(switch.cast, new_root, name=entry.name, store="trusted", kind="trust", now=timezone.now())
        assert Overlap.objects.filter(closed_at=None).exists()
        assert report_of(provider).ok, "trusted through the old one"
        assert cases.settle_all(timezone.now()) == 0
        assert not is_closed(case)
        switch.backends[0].shown = type(switch.backends[0])(new_root, ()).shown
        assert report_of(provider).ok
        assert is_closed(case)

    def test_without_an_overlap_a_test_that_passed_since_is_enough(self, switch: Switch) -> None:
        provider = switch.provider("Orders")
        entry = switch.trust_store.certificates.get()
        case = opened(entry.active)  # type: ignore[arg-type]
        both = (switch.root, authority("Another Root"))
        kept(switch.cast, *both, name=entry.name, store="trusted", kind="trust", now=timezone.now())
        assert not Overlap.objects.filter(closed_at=None).exists()
        assert not is_closed(case)
        report_of(provider)
        assert is_closed(case)
