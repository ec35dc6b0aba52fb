"""Every page: no violation found by axe-core, light and dark; no sideways scrolling on a phone; one heading; no error in the console."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.core import signing
from django.urls import reverse
from playwright.sync_api import Page

from portal.models import User
from stores import drafts
from stores.inspection import inspect
from stores.models import IssuerNote
from stores.notices import unsubscribe
from tests.browser.conftest import DESKTOP, PHONE, Visit
from tests.browser.world import World, days, make_world
from tests.cast import Cast, pem_upload
from tests.material import mint
from tests.test_routes import GUARDED

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def world(cast: Cast) -> World:
    User.objects.filter(pk=cast.owner.pk).update(is_staff=True)
    return make_world(cast)


def review_of(world: World) -> str:
    from django.utils import timezone

    leaf = mint("orders-client", world.root, begin=days(-1), end=days(300))
    upload = pem_upload(leaf, world.root)
    inspection = inspect(upload, timezone.now())
    certificate = world.urgent.certificate
    target = drafts.Target(
        kind="key", store=certificate.store_id, certificate=certificate.pk, name=certificate.name
    )
    draft = drafts.propose(
        team=world.cast.team,
        user=world.cast.owner,
        upload=upload,
        inspection=inspection,
        target=target,
        now=timezone.now(),
    )
    return reverse("stores:review", args=[draft.pk])


def addresses(world: World) -> list[str]:
    """All guarded pages, with the rows of the world; taken from the routes, so that a new page is visited as well."""
    rows: dict[str, Any] = {
        type(row).__name__: row.pk
        for row in (
            world.urgent,
            world.urgent.certificate,
            world.urgent.certificate.store,
            world.provider,
            world.host,
            world.cast.team,
            world.cases[0],
            IssuerNote.objects.get(team=world.cast.team),
            *world.tested,
        )
    }
    found = []
    for path, name, (_, model) in GUARDED:
        kwargs = {} if model is None else {"id": rows.get(model.__name__)}
        if path.count("<") == (1 if kwargs.get("id") else 0):
            found.append(reverse(name, kwargs=kwargs))
    return [
        *dict.fromkeys(found),
        *reports_of(world),
        *(case.get_absolute_url() for case in world.cases),
        "/replace/?state=snoozed",
        "/replace/?state=closed",
        review_of(world),
        world.shared,
        way_out(world),
        "/notices/unsubscribe/wrong/",
        "/share/wrong/",
        "/nothing-here/",
    ]


def way_out(world: World) -> str:
    """Where a mail to the owner can be stopped."""
    token = signing.dumps({"user": world.cast.owner.pk}, salt=unsubscribe.SALT)
    return reverse("stores:unsubscribe", args=[token])


def reports_of(world: World) -> list[str]:
    """A test that passed, one that failed, and both side by side."""
    failed, passed = world.reports
    both = f"{reverse('providers:compare', args=[world.provider.pk])}?a={failed.pk}&b={passed.pk}"
    return [passed.get_absolute_url(), failed.get_absolute_url(), both]


def is_page(page: Page, address: str) -> bool:
    """Not a file, a part of a page, or what answers to a POST only."""
    answer = page.request.get(address)
    return answer.status in (200, 404) and answer.text().lstrip().lower().startswith("<!doctype html")


def faults(page: Page, address: str) -> list[str]:
    """What is wrong with a page, in words."""
    page.goto(address)
    wrong = [
        f"{one['id']}: {node['html'][:200]}"
        for one in Axe().run(page).response["violations"]
        for node in one["nodes"][:2]
    ]
    if page.locator("h1").count() != 1:
        wrong.append(f"{page.locator('h1').count()} headings of the first level")
    width = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    if width > 0:
        wrong.append(f"scrolls {width} px sideways")
    return [f"{address}: {one}" for one in wrong]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.timeout(400)
def test_every_page(visit: Visit, world: World, dark: bool, viewport: dict[str, int]) -> None:
    page = visit("/", world.cast.owner, dark=dark, viewport=viewport, free=True)
    wrong: list[str] = []
    page.on(
        "console",
        lambda message: (
            wrong.append(f"{page.url}: {message.text}")
            if message.type == "error" and "404" not in message.text
            else None
        ),
    )
    page.on("pageerror", lambda error: wrong.append(f"{page.url}: {error}"))
    pages = [address for address in addresses(world) if is_page(page, address)]
    assert len(pages) > 20
    for address in pages:
        wrong += faults(page, address)
    assert wrong == []


@pytest.mark.parametrize("address", ["/accounts/login/", "/accounts/password/reset/"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_entrance(visit: Visit, db: None, address: str, dark: bool) -> None:
    page = visit(address, dark=dark, viewport=PHONE, free=True)
    assert faults(page, address) == []


def test_the_content_policy_stops_nothing_of_ours(visit: Visit, world: World) -> None:
    page = visit("/", world.cast.owner)
    wrong: list[str] = []
    page.on(
        "console",
        lambda message: wrong.append(message.text) if "Content Security Policy" in message.text else None,
    )
    for address in filter(lambda one: is_page(page, one), addresses(world)):
        page.goto(address)
    assert wrong == []
