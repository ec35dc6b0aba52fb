"""Takes the pictures of README and docs: `make pictures`. No test: it is collected only when it is named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.urls import reverse
from django.utils import timezone

from portal.audit import Actor
from portal.models import TaskRun
from providers import rehearsals, sharing, testing
from providers.models import Alert, ConnectionReport, Overlap, Provider
from stores import services
from tests.browser.conftest import DESKTOP, PHONE, Visit
from tests.browser.test_overlap import move
from tests.browser.test_pages import review_of
from tests.browser.world import make_world
from tests.cast import Cast, kept
from tests.providers.backends import Switch, activate, authority, begin, days, run_tests

IMAGES = Path(__file__).parents[2] / "docs" / "images"


def watched() -> None:
    """The scheduled tasks have just run."""
    now = timezone.now()
    TaskRun.objects.update_or_create(
        task="stores.tasks.find_expiring", defaults={"started_at": now, "finished_at": now, "seconds": 0.009}
    )


def tried(provider: Provider, actor: Actor) -> ConnectionReport:
    report = testing.ask(provider=provider, reason="asked", actor=actor, now=timezone.now())
    run_tests()
    return report


@pytest.mark.django_db(transaction=True)
def test_pictures(visit: Visit, cast: Cast) -> None:
    world = make_world(cast)
    watched()
    pages = {
        "dashboard": "/",
        "certificates": "/certificates/",
        "certificate": world.urgent.certificate.get_absolute_url(),
        "review": review_of(world),
        "upload": "/certificates/new/",
        "provider": world.provider.get_absolute_url(),
        "replace": "/replace/",
    }
    desk, phone = (
        visit("/", cast.owner, viewport=viewport, dark=dark)
        for viewport, dark in ((DESKTOP, False), (PHONE, True))
    )
    for name, address in pages.items():
        desk.goto(address)
        desk.screenshot(path=IMAGES / f"{name}.png")
    phone.goto("/")
    phone.screenshot(path=IMAGES / "dashboard-phone-dark.png")


@pytest.fixture
def switch(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Iterator[Switch]:
    monkeypatch.setattr(testing, "queue", lambda: None)
    made = Switch(cast)
    yield made
    made.close()


@pytest.mark.django_db(transaction=True)
def test_pictures_of_two_way_tls(visit: Visit, cast: Cast, switch: Switch) -> None:
    """What is shown was seen at real servers of this machine."""
    actor, now = Actor(cast.owner), timezone.now()
    orders, billing, ledger = (
        switch.provider(name, *takes, title=f"{name.capitalize()} API", collection_path="/services")
        for name, takes in (("orders", ()), ("billing", (switch.old_ca,)), ("ledger", ()))
    )
    page = visit("/", cast.owner)

    def take(name: str, address: str) -> None:
        watched()
        page.goto(address)
        page.screenshot(path=IMAGES / f"{name}.png")

    move(switch.backends[0], switch.root, ends=45)
    take("report", tried(orders, actor).get_absolute_url())
    passed = tried(billing, actor)
    tried(ledger, actor)
    staged = switch.stage()
    rehearsal = begin(staged, actor)
    run_tests()
    take("rehearsal", reverse("providers:rehearsal", args=[rehearsal.pk]))
    rehearsal.refresh_from_db()
    rehearsals.activate_anyway(
        rehearsal=rehearsal, reason="The old one ends tonight.", actor=actor, now=timezone.now()
    )
    run_tests()
    take("alert", "/")
    failed = Alert.objects.get().report
    take(
        "compare", f"{reverse('providers:compare', args=[billing.pk])}?a={passed.pk}&b={failed and failed.pk}"
    )

    new_root = authority("New Backend Root")
    activate(kept(cast, new_root, name="backends", store="trusted", kind="trust", now=now, at_once=False))
    move(switch.backends[0], new_root)
    run_tests()
    take("overlap", reverse("providers:overlap", args=[Overlap.objects.get().pk]))
    services.schedule(version=switch.stage(authority("Next Client CA")), activate_at=days(14), actor=actor)
    _, token = sharing.make(
        provider=orders,
        days=30,
        note="Please install it on both nodes, and tell us here.",
        actor=actor,
        now=now,
    )
    take("handover", reverse("providers:handover", args=[token]))
