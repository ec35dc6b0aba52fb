"""Whom a provider's server is believed by: entries of its trust store alone, and what overlaps keep."""

from __future__ import annotations

import datetime as dt

from cryptography import x509

from providers.models import Overlap, Provider
from providers.trust import anchors_of, outgoing_of
from stores import services
from stores.models import Version
from tests.cast import Cast, kept
from tests.material import NOW, Minted, mint

DAY = dt.timedelta(days=1)


def root(name: str) -> Minted:
    return mint(name, ca=True)


def trusting(cast: Cast, version: Version, *, alone: bool = False) -> Provider:
    certificate = version.certificate
    return Provider.objects.create(
        team=cast.team,
        name=f"p{Provider.objects.count()}",
        host="orders.example.org",
        trust_store=certificate.store,
        trust_certificate=certificate if alone else None,
    )


def trusted(cast: Cast, *roots: Minted, name: str = "partner-ca", at_once: bool = True) -> Version:
    return kept(cast, *roots, name=name, store="partners", kind="trust", at_once=at_once)


def overlap(old: Version, new: Version) -> Overlap:
    return Overlap.objects.create(
        team=old.certificate.team, certificate=old.certificate, old=old, new=new, opened_at=NOW
    )


def certificates(*minted: Minted) -> set[x509.Certificate]:
    return {one.certificate for one in minted}


class TestAnchors:
    def test_without_a_trust_store_they_are_the_public_roots(self, cast: Cast) -> None:
        assert anchors_of(Provider.objects.create(team=cast.team, name="p", host="h")) is None

    def test_all_certificates_of_the_store_are_trusted_each_entry_once(self, cast: Cast) -> None:
        one, two, three = root("A"), root("B"), root("C")
        version = trusted(cast, one, two)
        trusted(cast, two, three, name="other-ca")
        found = anchors_of(trusting(cast, version))
        assert found is not None
        assert set(found) == certificates(one, two, three)
        assert len(found) == 3

    def test_one_certificate_alone_is_trusted_where_it_is_chosen(self, cast: Cast) -> None:
        one = root("A")
        version = trusted(cast, one)
        trusted(cast, root("B"), name="other-ca")
        assert set(anchors_of(trusting(cast, version, alone=True)) or ()) == certificates(one)

    def test_an_empty_store_trusts_nobody(self, cast: Cast) -> None:
        version = trusted(cast, root("A"), at_once=False)
        assert anchors_of(trusting(cast, version)) == ()

    def test_a_staged_version_takes_the_place_of_the_active_one_of_its_certificate(self, cast: Cast) -> None:
        other, new = root("B"), root("C")
        provider = trusting(cast, trusted(cast, root("A")))
        trusted(cast, other, name="other-ca")
        staged = trusted(cast, new, at_once=False)
        assert set(anchors_of(provider, staged=staged) or ()) == certificates(other, new)

    def test_a_staged_version_of_another_store_changes_nothing(self, cast: Cast) -> None:
        one = root("A")
        provider = trusting(cast, trusted(cast, one))
        assert set(anchors_of(provider, staged=kept(cast, at_once=False)) or ()) == certificates(one)

    def test_an_open_overlap_keeps_the_old_version_trusted(self, cast: Cast) -> None:
        old, new = root("A"), root("B")
        first = trusted(cast, old)
        second = trusted(cast, new)
        provider, kept_on = trusting(cast, second), overlap(first, second)
        assert set(outgoing_of(provider, now=NOW)) == certificates(old)
        assert set(anchors_of(provider) or ()) == certificates(new)
        kept_on.closed_at = NOW
        kept_on.save()
        assert outgoing_of(provider, now=NOW) == ()

    def test_overlaps_do_not_prove_each_other_superfluous(self, cast: Cast) -> None:
        shared, new = root("A"), root("B")
        first = trusted(cast, shared)
        second = trusted(cast, shared, root("C"))
        third = trusted(cast, new)
        provider = trusting(cast, third)
        overlap(first, second)
        Overlap.objects.get_or_create(
            old=second, closed_at=None,
            defaults={"team": cast.team, "certificate": second.certificate, "new": third, "opened_at": NOW},
        )  # fmt: skip
        assert set(anchors_of(provider) or ()) == certificates(new)

    def test_the_order_is_constant(self, cast: Cast) -> None:
        version = trusted(cast, root("A"), root("B"))
        trusted(cast, root("C"), name="other-ca")
        provider = trusting(cast, version)
        assert anchors_of(provider) == anchors_of(Provider.objects.get(pk=provider.pk))


class TestRehearsed:
    """What would be trusted once a staged version is active, which is what its rehearsal must go by."""

    def test_the_version_whose_place_it_takes_stays_trusted_as_after_its_activation(self, cast: Cast) -> None:
        old, new = root("A"), root("B")
        provider = trusting(cast, trusted(cast, old))
        staged = trusted(cast, new, at_once=False)
        before = anchors_of(provider, staged=staged), outgoing_of(provider, staged=staged, now=NOW)
        assert before == ((new.certificate,), (old.certificate,))
        assert outgoing_of(provider, now=NOW) == (), "nothing is staged for who tries what is active"
        services.activate(version=staged, actor=cast.actor, now=NOW)
        assert (anchors_of(provider), outgoing_of(provider, now=NOW)) == before

    def test_one_that_loses_nothing_lets_nothing_stay(self, cast: Cast) -> None:
        old, new = root("A"), root("B")
        provider = trusting(cast, trusted(cast, old))
        assert outgoing_of(provider, staged=trusted(cast, old, new, at_once=False), now=NOW) == ()

    def test_what_stays_already_stays(self, cast: Cast) -> None:
        first, second, third = root("A"), root("B"), root("C")
        provider = trusting(cast, trusted(cast, first))
        trusted(cast, second)
        staged = trusted(cast, third, at_once=False)
        assert set(outgoing_of(provider, staged=staged, now=NOW)) == certificates(first, second)

    def test_a_restored_one_leaves_the_other_trusted_only_where_a_server_was_seen_with_it(
        self, cast: Cast
    ) -> None:
        old, new = root("A"), root("B")
        provider = trusting(cast, restored := trusted(cast, old))
        trusted(cast, new)
        assert set(outgoing_of(provider, staged=restored, now=NOW)) == certificates(old), (
            "its own overlap would end"
        )
        provider.anchor_sha256 = new.sha256
        provider.save()
        assert set(outgoing_of(provider, staged=restored, now=NOW)) == certificates(old, new)

    def test_what_has_ended_does_not_stay(self, cast: Cast) -> None:
        provider = trusting(cast, trusted(cast, mint("Short CA", ca=True, end=1)))
        staged = trusted(cast, root("B"), at_once=False)
        assert outgoing_of(provider, staged=staged, now=NOW + 2 * DAY) == ()
