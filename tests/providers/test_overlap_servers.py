"""Old and new trust before a real server that moves from one CA to the other."""

from __future__ import annotations

from html import unescape

import pytest
from django.urls import reverse
from django.utils import timezone

from portal.audit import SYSTEM
from providers import overlaps, testing
from providers.models import Alert, ConnectionReport, Overlap, OverlapProof, Provider, Rehearsal
from stores.models import Version
from tests.cast import client_of, kept
from tests.material import SERVER, Minted, mint
from tests.providers.backends import Switch, activate, authority, begin, days, outcome, run_tests

pytestmark = pytest.mark.django_db(transaction=True)


def tried(provider: Provider) -> ConnectionReport:
    report = testing.ask(provider=provider, reason="asked", actor=SYSTEM, now=timezone.now())
    run_tests()
    report.refresh_from_db()
    return report


def test_a_server_moves_and_the_old_ca_goes_without_a_call_that_fails(switch: Switch) -> None:
    provider, (backend,) = switch.provider("Orders"), switch.backends
    new_root = authority("New Backend Root")
    kept(switch.cast, new_root, name="backends", store="trusted", kind="trust", now=timezone.now())
    run_tests()
    overlap = Overlap.objects.get()

    assert tried(provider).code == "ok"
    assert not OverlapProof.objects.exists()

    backend.shown = _by(new_root)
    report = tried(provider)
    assert report.code == "ok"
    proof = OverlapProof.objects.get()
    assert (proof.provider, proof.anchor) == (provider, "New Backend Root")
    provider.refresh_from_db()
    assert provider.anchor_sha256 == new_root.sha256
    assert provider.server_ends_sha256 == backend.shown.sha256

    overlaps.close(overlap=overlap, actor=switch.cast.actor, now=timezone.now())
    assert tried(provider).code == "ok"
    backend.shown = _by(switch.root)
    assert tried(provider).code == "untrusted_issuer"


class TestRehearsal:
    """A staged trust store version is judged by what would be trusted once it is active."""

    def staged(self, switch: Switch, root: Minted) -> Version:
        return kept(
            switch.cast,
            root,
            name="backends",
            store="trusted",
            kind="trust",
            now=timezone.now(),
            at_once=False,
        )

    def page(self, switch: Switch, rehearsal: Rehearsal) -> str:
        address = reverse("providers:rehearsal", args=[rehearsal.pk])
        return unescape(client_of(switch.cast.viewer).get(address).content.decode())

    def test_a_ca_change_passes_before_the_servers_have_moved_and_says_who_rests_on_the_old_one(
        self, switch: Switch
    ) -> None:
        switch.provider("Orders")
        switch.provider("Moved")
        new_root = authority("New Backend Root")
        switch.backends[1].shown = _by(new_root)
        staged = self.staged(switch, new_root)
        rehearsal = begin(staged)
        run_tests()
        assert outcome(rehearsal) == "passed"
        rest = {str(one.provider): one.details["anchor_goes"] for one in rehearsal.reports.all()}
        assert rest == {"Orders": True, "Moved": False}
        page = self.page(switch, rehearsal)
        assert page.count("still rests on “Backend Root”") == 1
        assert "1 of their servers still rests on entries of the old version" in page
        activate(staged)
        run_tests()
        assert set(ConnectionReport.objects.filter(reason="activation").values_list("ok", flat=True)) == {
            True
        }
        assert not Alert.objects.exists()
        assert set(OverlapProof.objects.values_list("provider__name", flat=True)) == {"Moved"}

    def test_a_server_that_neither_the_old_nor_the_new_version_verifies_fails(self, switch: Switch) -> None:
        switch.provider("Orders")
        switch.backends[0].shown = _by(authority("A Third Root"))
        rehearsal = begin(self.staged(switch, authority("New Backend Root")))
        run_tests()
        assert outcome(rehearsal) == "failed"
        assert rehearsal.reports.get().code == "untrusted_issuer"
        assert "still rests on" not in self.page(switch, rehearsal)

    def test_once_the_old_one_is_trusted_no_longer_it_saves_nobody(self, switch: Switch) -> None:
        switch.provider("Orders")
        new, next_one = authority("New Backend Root"), authority("Next Backend Root")
        activate(self.staged(switch, new))
        overlaps.close(
            overlap=Overlap.objects.get(), actor=switch.cast.actor, now=timezone.now(), despite=True
        )
        run_tests()
        rehearsal = begin(self.staged(switch, next_one))
        run_tests()
        assert outcome(rehearsal) == "failed", "the server shows what was given up"


def _by(root: Minted) -> Minted:
    name = f"backend by {root.certificate.subject}"
    return mint(
        "backend.test", root, key_name=name, begin=days(-1), end=days(200), usages=(SERVER,), hosts=("127.0.0.1",)
    )  # fmt: skip
