"""Being told, as a person sees it: the inbox, what is mailed, who else is told, and the way out of a mail."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from stores.models import Notice, Preferences, Watcher
from stores.notices import unsubscribe
from stores.notices.digest import digest_of, rows_of
from tests.browser.conftest import PHONE, Visit
from tests.browser.world import World, days, make_world
from tests.cast import Cast

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def world(cast: Cast) -> World:
    return make_world(cast)


def test_notices_are_read_one_by_one_and_all_at_once(visit: Visit, world: World) -> None:
    page = visit("/notices/", world.cast.owner)
    count = Notice.objects.inbox(world.cast.owner).unread().count()
    expect(page.get_by_role("link", name=f"Notices {count} unread")).to_be_visible()
    page.get_by_role("button", name=re.compile("Mark as read ?: orders-client fails")).click()
    page.get_by_role("link", name=f"Unread {count - 1}").click()
    expect(page.get_by_role("link", name=re.compile("^partners: 1 of 2 ends"))).to_be_visible()
    expect(page.get_by_role("link", name=re.compile("^orders-client fails"))).to_have_count(0)
    page.get_by_role("button", name="Mark all as read").click()
    page.get_by_role("link", name="Unread").click()
    expect(page.get_by_role("heading", name="Nothing is unread")).to_be_visible()


def test_a_person_chooses_what_is_mailed(visit: Visit, world: World) -> None:
    page = visit("/notices/", world.cast.owner, viewport=PHONE)
    page.get_by_role("link", name="What is mailed to you").last.click()
    expired = page.get_by_role("checkbox", name="Expired: a certificate has ended")
    expect(expired).to_be_checked()
    expect(expired).to_be_disabled()
    page.get_by_role("checkbox", name="Notes: what is no end").uncheck()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    expect(page.get_by_role("checkbox", name="Notes: what is no end")).not_to_be_checked()
    assert Preferences.objects.get(user=world.cast.owner).silent == ["info"]


def test_an_address_is_told_of_a_certificate_and_no_longer(visit: Visit, world: World) -> None:
    page = visit(world.urgent.certificate.get_absolute_url(), world.cast.editor)
    page.get_by_role("link", name="Tell another address").click()
    page.get_by_label("E-mail address").fill("ops@example.org")
    page.get_by_role("button", name="Tell this address").click()
    expect(page.get_by_text("ops@example.org is told of orders-client from now on.")).to_be_visible()
    page.get_by_role("link", name="orders-client").click()
    expect(page.get_by_text("1 plain address, at each stage.")).to_be_visible()
    page.get_by_role("link", name="See or change them").click()
    page.get_by_role("button", name="Remove ops@example.org").click()
    expect(page.get_by_role("heading", name="Nobody else is told")).to_be_visible()
    assert not Watcher.objects.exists()


@pytest.mark.parametrize("script", [True, False], ids=["script", "plain"])
def test_the_link_in_a_mail_stops_mails_without_signing_in(visit: Visit, world: World, script: bool) -> None:
    mine = Notice.objects.filter(channel="email", user=world.cast.owner)
    address = unsubscribe.address_of(digest_of(rows_of(mine), days(0)))
    page = visit(address.removeprefix("http://localhost:8000"), script=script)
    page.get_by_role("button", name="Mail me only what has expired").click()
    expect(page.get_by_role("heading", name="Done")).to_be_visible()
    assert set(Preferences.objects.get().silent) == {"info", "notice", "warning", "urgent"}
