"""Old and new are trusted side by side until every provider was seen with the new one."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.db.models import QuerySet

from portal.audit import SYSTEM
from portal.errors import Conflict
from portal.models import AuditEvent
from providers import overlaps
from providers.models import Host, Overlap, OverlapProof, Provider
from providers.trust import anchors_of, outgoing_of
from stores import services
from stores.models import Store, Version
from tests.cast import Cast, kept
from tests.material import NOW, Minted, mint
from tests.providers.seen import seen

OLD, NEW, LATEST = (mint(name, ca=True, end=2000) for name in ("Old CA", "New CA", "Latest CA"))
DAY = dt.timedelta(days=1)
pytestmark = pytest.mark.usefixtures("now")


def server(issuer: Minted) -> Minted:
    return mint("orders.example.org", issuer)


def entries(cast: Cast, *roots: Minted, name: str = "partner-ca") -> Version:
    return kept(cast, *roots, name=name, store="partners", kind="trust")


def activate(cast: Cast, version: Version, now: dt.datetime = NOW) -> Version:
    return services.activate(version=version, actor=cast.actor, now=now)


def still_open() -> QuerySet[Overlap]:
    return Overlap.objects.filter(closed_at__isnull=True).order_by("old__number")


def pairs() -> list[tuple[int, int]]:
    return list(still_open().values_list("old__number", "new__number"))


def trusted(provider: Provider) -> set[Any]:
    return {*(anchors_of(provider) or ()), *outgoing_of(provider, now=NOW)}


@pytest.fixture
def first(cast: Cast) -> Version:
    return entries(cast, OLD)


@pytest.fixture
def provider(cast: Cast, first: Version) -> Provider:
    return Provider.objects.create(
        team=cast.team, name="orders", host="orders.example.org", trust_store=first.certificate.store
    )


@pytest.fixture
def overlap(cast: Cast, provider: Provider) -> Overlap:
    """Version 1 (Old CA) trusted beside version 2 (New CA)."""
    entries(cast, NEW)
    return Overlap.objects.get()


class TestOpening:
    def test_the_old_version_stays_trusted_when_another_takes_its_place(
        self, cast: Cast, provider: Provider, overlap: Overlap
    ) -> None:
        assert pairs() == [(1, 2)]
        assert trusted(provider) == {OLD.certificate, NEW.certificate}
        assert AuditEvent.objects.get(action="overlap.opened").facts == {"version": 1}

    def test_nothing_is_kept_where_the_new_version_has_all_entries_of_the_old(
        self, cast: Cast, provider: Provider
    ) -> None:
        entries(cast, OLD, NEW)
        assert pairs() == []

    def test_nothing_is_kept_where_nobody_uses_it(self, cast: Cast, first: Version) -> None:
        entries(cast, NEW)
        assert pairs() == []

    def test_a_host_counts_as_somebody_who_uses_it(self, cast: Cast, first: Version) -> None:
        Host.objects.create(
            team=cast.team, name="api", host_name="api.example.org", trust_store=first.certificate.store
        )
        entries(cast, NEW)
        assert pairs() == [(1, 2)]

    def test_an_old_version_that_has_ended_altogether_is_never_trusted_on(self, cast: Cast) -> None:
        short = entries(cast, mint("Short CA", ca=True, end=1))
        Provider.objects.create(team=cast.team, name="p", host="h", trust_store=short.certificate.store)
        later = NOW + 2 * DAY
        kept(cast, NEW, name="partner-ca", store="partners", kind="trust", now=later)
        assert pairs() == []

    def test_a_key_store_has_no_overlaps(self, cast: Cast) -> None:
        certificate = kept(cast).certificate
        Provider.objects.create(team=cast.team, name="p", host="h", key_certificate=certificate)
        kept(cast)
        assert certificate.versions.count() == 2
        assert pairs() == []

    def test_several_in_a_row_each_stay_until_their_own_end(
        self, cast: Cast, provider: Provider, overlap: Overlap
    ) -> None:
        entries(cast, LATEST)
        assert pairs() == [(1, 2), (2, 3)]
        assert trusted(provider) == {OLD.certificate, NEW.certificate, LATEST.certificate}
        overlaps.close(overlap=overlap, actor=cast.actor, now=NOW, despite=True)
        assert trusted(provider) == {NEW.certificate, LATEST.certificate}


class TestRestoring:
    def test_what_was_activated_by_mistake_is_trusted_no_longer(
        self, cast: Cast, first: Version, provider: Provider, overlap: Overlap
    ) -> None:
        activate(cast, first)
        assert pairs() == []
        assert trusted(provider) == {OLD.certificate}
        closed = AuditEvent.objects.get(action="overlap.closed")
        assert closed.facts == {"version": 1, "reason": "it is active again"}

    def test_what_a_server_has_moved_to_stays_trusted(
        self, cast: Cast, first: Version, provider: Provider, overlap: Overlap
    ) -> None:
        seen(provider, server(NEW), anchor=NEW)
        activate(cast, first)
        assert pairs() == [(2, 1)]
        assert trusted(provider) == {OLD.certificate, NEW.certificate}

    def test_in_a_row_only_the_restored_one_ends(
        self, cast: Cast, provider: Provider, overlap: Overlap
    ) -> None:
        entries(cast, LATEST)
        activate(cast, overlap.new)
        assert pairs() == [(1, 2)]
        assert trusted(provider) == {OLD.certificate, NEW.certificate}

    def test_activated_once_more_it_overlaps_anew(
        self, cast: Cast, first: Version, provider: Provider, overlap: Overlap
    ) -> None:
        activate(cast, first)
        activate(cast, overlap.new)
        assert pairs() == [(1, 2)]


class TestProof:
    def test_a_chain_that_the_new_one_alone_verifies_proves_the_provider(
        self, provider: Provider, overlap: Overlap
    ) -> None:
        report = seen(provider, server(NEW), anchor=NEW)
        proof = OverlapProof.objects.get()
        assert (proof.overlap, proof.provider, proof.anchor, proof.report) == (
            overlap,
            provider,
            "New CA",
            report,
        )
        assert proof.seen_at == NOW

    def test_a_chain_that_only_the_old_one_verifies_proves_nothing(
        self, provider: Provider, overlap: Overlap
    ) -> None:
        seen(provider, server(OLD), anchor=OLD)
        assert not OverlapProof.objects.exists()

    def test_the_first_sight_stays_the_proof(self, provider: Provider, overlap: Overlap) -> None:
        seen(provider, server(NEW), anchor=NEW)
        seen(provider, server(NEW), anchor=NEW, now=NOW + DAY)
        assert OverlapProof.objects.get().seen_at == NOW

    def test_a_server_that_went_back_is_proven_no_longer(self, provider: Provider, overlap: Overlap) -> None:
        seen(provider, server(NEW), anchor=NEW)
        seen(provider, server(OLD), anchor=OLD, now=NOW + DAY)
        assert not OverlapProof.objects.exists()

    @pytest.mark.parametrize("code", ["untrusted_issuer", "server_name_mismatch", "pin_mismatch", "timeout"])
    def test_a_server_that_was_not_believed_proves_nothing(
        self, provider: Provider, overlap: Overlap, code: str
    ) -> None:
        seen(provider, server(NEW), anchor=NEW, code=code)
        assert not OverlapProof.objects.exists()

    @pytest.mark.parametrize("code", ["http_unauthorized", "client_certificate_expired"])
    def test_what_fails_after_the_server_was_believed_takes_nothing_from_the_proof(
        self, provider: Provider, overlap: Overlap, code: str
    ) -> None:
        seen(provider, server(NEW), anchor=NEW, code=code)
        assert OverlapProof.objects.exists()

    def test_the_rest_of_the_store_counts(self, cast: Cast, provider: Provider, overlap: Overlap) -> None:
        other = mint("Other CA", ca=True)
        entries(cast, other, name="other-ca")
        seen(provider, server(other), anchor=other)
        assert OverlapProof.objects.get().anchor == "Other CA"

    def test_two_overlaps_do_not_prove_each_other(
        self, cast: Cast, provider: Provider, overlap: Overlap
    ) -> None:
        shared = mint("Shared CA", ca=True)
        entries(cast, NEW, shared)
        entries(cast, OLD, shared)
        entries(cast, LATEST)
        seen(provider, server(shared), anchor=shared)
        assert not OverlapProof.objects.exists()
        seen(provider, server(LATEST), anchor=LATEST)
        assert OverlapProof.objects.count() == still_open().count() > 1

    def test_a_provider_that_trusts_another_certificate_alone_has_no_part_in_it(
        self, cast: Cast, overlap: Overlap
    ) -> None:
        other = entries(cast, mint("Other CA", ca=True), name="other-ca")
        aside = Provider.objects.create(
            team=cast.team, name="aside", host="h", trust_store=other.certificate.store, trust_certificate=other.certificate
        )  # fmt: skip
        seen(aside, server(NEW), anchor=NEW)
        assert not OverlapProof.objects.exists()
        assert [one.user.name for one in overlaps.standings(overlap)] == ["orders"]


class TestClosing:
    def test_it_is_refused_while_a_provider_is_not_proven(
        self, cast: Cast, provider: Provider, overlap: Overlap
    ) -> None:
        with pytest.raises(Conflict, match="Not seen with the new version yet: orders") as refused:
            overlaps.close(overlap=overlap, actor=cast.actor, now=NOW)
        assert refused.value.code == "not_proven"
        assert pairs() == [(1, 2)]

    def test_who_knows_that_may_close_it_and_it_is_on_record(
        self, cast: Cast, provider: Provider, overlap: Overlap
    ) -> None:
        overlaps.close(overlap=overlap, actor=cast.actor, now=NOW, despite=True)
        assert trusted(provider) == {NEW.certificate}
        closed = AuditEvent.objects.get(action="overlap.closed")
        assert closed.actor == cast.owner
        assert closed.facts == {"version": 1, "reason": "not seen with the new version: orders"}

    def test_once_all_are_proven_nothing_speaks_against_it(
        self, cast: Cast, provider: Provider, overlap: Overlap
    ) -> None:
        seen(provider, server(NEW), anchor=NEW)
        overlaps.close(overlap=overlap, actor=cast.actor, now=NOW)
        overlap.refresh_from_db()
        assert (overlap.closed_at, overlap.closed_by) == (NOW, cast.owner)
        assert trusted(provider) == {NEW.certificate}

    def test_closed_twice_it_is_closed_once(self, cast: Cast, provider: Provider, overlap: Overlap) -> None:
        overlaps.close(overlap=overlap, actor=cast.actor, now=NOW, despite=True)
        overlaps.close(overlap=overlap, actor=SYSTEM, now=NOW + DAY, despite=True)
        overlap.refresh_from_db()
        assert overlap.closed_at == NOW
        assert AuditEvent.objects.filter(action="overlap.closed").count() == 1

    def test_a_provider_on_premise_keeps_it_from_being_safe(self, cast: Cast, overlap: Overlap) -> None:
        far = Provider.objects.create(
            team=cast.team, name="zulu", host="10.0.0.1", trust_store=overlap.certificate.store
        )
        standing = overlaps.standings(overlap)[-1]
        assert standing.user == far
        assert "may not connect" in standing.why

    def test_a_host_keeps_it_from_being_safe(self, cast: Cast, provider: Provider, overlap: Overlap) -> None:
        host = Host.objects.create(
            team=cast.team, name="api", host_name="h", trust_store=overlap.certificate.store
        )
        seen(provider, server(NEW), anchor=NEW)
        assert [one.user for one in overlaps.unproven(overlaps.standings(overlap))] == [host]

    def test_it_goes_by_itself_only_where_an_owner_chose_so(
        self, cast: Cast, provider: Provider, overlap: Overlap
    ) -> None:
        seen(provider, server(NEW), anchor=NEW)
        assert pairs() == [(1, 2)]
        overlaps.let_remove_itself(overlap=overlap, wanted=True, actor=cast.actor, now=NOW)
        assert pairs() == []

    def test_it_goes_by_itself_with_the_last_proof_and_not_before(
        self, cast: Cast, provider: Provider, overlap: Overlap
    ) -> None:
        other = Provider.objects.create(
            team=cast.team, name="other", host="h", trust_store=overlap.certificate.store
        )
        overlaps.let_remove_itself(overlap=overlap, wanted=True, actor=cast.actor, now=NOW)
        seen(provider, server(NEW), anchor=NEW)
        assert pairs() == [(1, 2)]
        seen(other, server(NEW), anchor=NEW)
        assert pairs() == []
        closed = AuditEvent.objects.get(action="overlap.closed")
        assert closed.actor is None
        assert closed.facts["reason"] == "every provider was seen with the new version"

    def test_an_old_version_is_trusted_no_longer_than_it_lasts(
        self, cast: Cast, provider: Provider, overlap: Overlap
    ) -> None:
        assert overlaps.close_ended(NOW + 1999 * DAY) == 0
        assert overlaps.close_ended(NOW + 2001 * DAY) == 1
        assert pairs() == []


class TestGuards:
    def test_an_old_version_that_is_trusted_on_is_not_purged(
        self, cast: Cast, provider: Provider, first: Version, overlap: Overlap
    ) -> None:
        with pytest.raises(Conflict, match="still trusted") as refused:
            services.purge_version(version=first, actor=cast.actor, now=NOW)
        assert refused.value.code == "still_trusted"
        overlaps.close(overlap=overlap, actor=cast.actor, now=NOW, despite=True)
        services.purge_version(version=first, actor=cast.actor, now=NOW)
        first.refresh_from_db()
        assert first.purged_at == NOW

    def test_overlaps_go_with_their_certificate(
        self, cast: Cast, provider: Provider, overlap: Overlap
    ) -> None:
        provider.delete()
        services.delete_store(store=Store.objects.get(name="partners"), actor=cast.actor)
        assert not Overlap.objects.exists()
