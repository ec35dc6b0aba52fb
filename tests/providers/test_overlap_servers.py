"""Old and new trust before a real server that moves from one CA to the other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.utils import timezone

from portal.audit import SYSTEM
from providers import overlaps, testing
from providers.models import ConnectionReport, Overlap, OverlapProof, Provider
from tests.cast import Cast, kept
from tests.material import SERVER, Minted, mint
from tests.providers.backends import Switch, authority, days, run_tests

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def switch(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Iterator[Switch]:
    monkeypatch.setattr(testing, "queue", lambda: None)
    made = Switch(cast)
    yield made
    made.close()


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


def _by(root: Minted) -> Minted:
    name = f"backend by {root.certificate.subject}"
    return mint(
        "backend.test", root, key_name=name, begin=days(-1), end=days(200), usages=(SERVER,), hosts=("127.0.0.1",)
    )  # fmt: skip
