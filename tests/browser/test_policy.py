"""Saying when a team is told, with and without scripts, and looking along the year."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from portal.models import Team
from stores import policy
from stores.expiry import Policy
from tests.browser.conftest import PHONE, Visit
from tests.browser.test_pages import faults
from tests.browser.world import World, make_world
from tests.cast import Cast

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def world(cast: Cast) -> World:
    return make_world(cast)


@pytest.mark.parametrize("script", [True, False], ids=["with scripts", "without"])
def test_edit_preview_save(visit: Visit, world: World, script: bool) -> None:
    page = visit("/team/policy/", world.cast.owner, script=script)
    page.get_by_role("link", name="Edit").click()
    page.get_by_label("Expires soon: days before the end").fill("20")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#errors")).to_contain_text("“Warning” begins 30 days before the end")
    page.get_by_label("Expires soon: days before the end").fill("410")
    told = page.get_by_role("group", name="Expires soon is told to")
    told.get_by_label("Owners of the team").check()
    page.get_by_role("textbox", name="Extra addresses").fill("duty@example.net")
    page.get_by_label("Quiet from").fill("22:00")
    page.get_by_label("Quiet until").fill("06:00")
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("What would change")
    expect(page.locator(".hero .big")).to_contain_text("would be told at once")
    expect(page.get_by_role("row", name="duty@example.net")).not_to_have_count(0)
    page.get_by_role("button", name="Back").click()
    expect(page.get_by_role("textbox", name="Extra addresses")).to_have_value("duty@example.net")
    page.get_by_role("button", name="Preview").click()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved. The next scan goes by it.")).to_be_visible()
    expect(page.locator("main")).to_contain_text("410 days before the end")
    kept = policy.read(Team.objects.get(pk=world.cast.team.pk).policy)
    assert kept.days == Policy(notice=410)
    assert kept.addresses == ("duty@example.net",)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_preview_and_the_near_view_have_no_faults(visit: Visit, world: World, dark: bool) -> None:
    page = visit("/team/policy/edit/", world.cast.owner, viewport=PHONE, dark=dark, free=True)
    page.get_by_label("Expires soon: days before the end").fill("410")
    page.get_by_role("button", name="Preview").click()
    assert [one["id"] for one in Axe().run(page).response["violations"]] == []
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    for address in ("/?ahead=90", "/", "/notices/ahead/", "/certificates/?from=2026-01-01"):
        assert faults(page, address) == []


def test_a_bar_leads_to_what_ends_then(visit: Visit, world: World) -> None:
    page = visit("/", world.cast.viewer, viewport=PHONE)
    page.get_by_role("link", name="90 days").click()
    bar = page.locator("svg.time a").first
    words = bar.get_attribute("aria-label")
    assert words is not None
    assert "1 urgent" in words
    bar.click()
    expect(page.locator("main tbody tr")).to_have_count(1)
    expect(page.locator("main tbody")).to_contain_text("orders-client")
