"""Handing over and pinning, as people do it: a link made, opened on a phone, confirmed, seen as evidence; a key pinned from a report."""

from __future__ import annotations

import pytest
from django.urls import reverse

from providers.addresses import BACKUP_COMMANDS
from providers.models import Installed, Provider
from stores.models import Version
from stores.writing import write
from tests.browser.conftest import PHONE, Visit
from tests.browser.test_pages import faults
from tests.browser.world import World, days, make_world
from tests.cast import Cast
from tests.material import SERVER, mint
from tests.providers.test_pins import BACKUP, pin, saw

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def world(cast: Cast) -> World:
    return make_world(cast)


def test_a_link_is_made_opened_on_a_phone_and_confirmed(visit: Visit, world: World) -> None:
    staged = Version.objects.get(certificate=world.urgent.certificate, state="staged")
    chain = [bytes(one.der) for one in staged.chain.all()]
    desk = visit(reverse("providers:share", args=[world.provider.pk]), world.cast.editor)
    desk.get_by_label("Days that the link works").fill("14")
    desk.get_by_label("What you say to them").fill("Ask Kim when it is done.")
    desk.get_by_role("button", name="Make the link").click()
    link = desk.locator(".message pre").inner_text()
    desk.reload()

    phone = visit("/" + link.split("/", 3)[3], viewport=PHONE)
    assert phone.get_by_role("heading", level=1).inner_text() == "Payments calls Orders API"
    assert phone.get_by_text("Ask Kim when it is done.").is_visible()
    card = phone.locator("section.card", has_text="Comes next")
    card.get_by_label("Your name").fill("Jo of ops")
    card.get_by_role("button", name="We have installed it").click()
    card.get_by_text("You told the team").wait_for()
    assert phone.get_by_role("button", name="We have installed it").count() == 1
    with phone.expect_download() as download:
        card.get_by_role("link", name="Chain as PEM").click()
    assert download.value.path().read_bytes() == write(chain, "pem")

    desk.goto(reverse("stores:cases"))
    assert desk.get_by_text(
        f"Orders API says that version {staged.number} is installed (“Jo of ops”)"
    ).is_visible()
    desk.goto(reverse("providers:share", args=[world.provider.pk]))
    desk.get_by_role("row", name="Jo of ops").get_by_role("button", name="Revoke").click()
    assert desk.get_by_text("The link is revoked").is_visible()
    phone.reload()
    assert phone.get_by_role("heading", level=1).inner_text() == "This link opens nothing"
    assert Installed.objects.get().sha256 == staged.chain.get(position=0).sha256


def test_the_page_works_without_a_script(visit: Visit, world: World) -> None:
    page = visit(world.shared, script=False)
    page.get_by_role("button", name="We have installed it").first.click()
    assert page.get_by_text("You told the team").is_visible()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_key_is_pinned_from_a_report(visit: Visit, world: World, dark: bool) -> None:
    server = mint("orders.example.org", world.root, usages=[SERVER], begin=days(-1), end=days(90))
    report = saw(world.provider, server, world.root, anchor=world.root)
    page = visit(report.get_absolute_url(), world.cast.editor, dark=dark, free=True)
    page.get_by_role("link", name="Pin a key of this chain").click()
    assert page.get_by_label("orders.example.org").is_checked()
    page.get_by_role("button", name="Keep these pins").click()
    assert page.locator("#errors").get_by_text("A backup pin is missing").is_visible()
    assert page.get_by_text(BACKUP_COMMANDS[0], exact=True).is_visible()
    page.get_by_label("Other pins").fill(BACKUP)
    page.get_by_role("button", name="Keep these pins").click()
    assert page.get_by_text("2 keys are pinned.").is_visible()
    assert Provider.objects.get(pk=world.provider.pk).spki_pins == [pin(server), BACKUP]
    assert faults(page, page.url) == []
    page.get_by_role("button", name="Remove all pins").click()
    page.get_by_role("button", name="Put them back").click()
    assert page.get_by_text("2 keys are pinned.").is_visible()
