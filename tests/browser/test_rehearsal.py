"""Switching to the next version in a real Chromium: tried first, held when it fails, and put right with one click."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page, expect

from portal.audit import SYSTEM
from portal.models import AuditEvent
from providers import testing
from stores import services
from stores.models import Version
from tests.browser.conftest import PHONE, Visit
from tests.providers.backends import Switch, client, run_tests

pytestmark = pytest.mark.django_db(transaction=True)
SECONDS = 60_000


def upload(page: Page, switch: Switch, folder: Path) -> None:
    """The next version, by the new CA, up to its review."""
    leaf = client("orders", switch.new_ca)
    file = folder / "orders.pem"
    file.write_bytes(leaf.pem + switch.new_ca.pem + leaf.key_pem)
    page.get_by_label("File", exact=True).set_input_files(file)
    page.get_by_role("button", name="Look inside").click()
    expect(page.get_by_text("Old and new")).to_be_visible()


@pytest.mark.parametrize("script", [True, False], ids=["with a script", "without"])
def test_the_next_version_is_tried_first_and_activated_with_one_click(
    visit: Visit, switch: Switch, tmp_path: Path, script: bool
) -> None:
    for name in ("Orders", "Billing"):
        switch.provider(name)
    page = visit(reverse("stores:replace", args=[switch.certificate.pk]), switch.cast.editor, script=script)
    upload(page, switch, tmp_path)
    expect(page.get_by_label("try it first")).to_be_checked()
    page.get_by_role("button", name="Save as the next version").click()
    expect(page).to_have_url(re.compile("/certificates/rehearsals/"))
    while not script and page.get_by_role("link", name="look again").count():
        page.get_by_role("link", name="look again").click()
    expect(page.get_by_text("All 2 providers take it")).to_be_visible(timeout=SECONDS)
    assert Version.objects.get(number=2, certificate=switch.certificate).state == "staged"
    page.get_by_role("button", name="Activate now").click()
    expect(page.get_by_text("Version 2 is active.")).to_be_visible()


def test_one_fails_it_is_held_and_an_owner_gives_a_reason(
    visit: Visit, switch: Switch, tmp_path: Path
) -> None:
    switch.provider("Orders", switch.old_ca)
    switch.provider("Billing")
    editor = visit(reverse("stores:replace", args=[switch.certificate.pk]), switch.cast.editor)
    upload(editor, switch, tmp_path)
    editor.get_by_role("button", name="Save as the next version").click()
    expect(editor.get_by_text("1 of 2 fails")).to_be_visible(timeout=SECONDS)
    expect(editor.get_by_text("its rehearsal failed at Orders")).to_be_visible()
    expect(editor.get_by_role("button", name="Activate now")).to_have_count(0)
    expect(editor.locator("summary", has_text="Activate it anyway")).to_have_count(0)

    owner = visit(urlsplit(editor.url).path, switch.cast.owner, viewport=PHONE)
    owner.locator("summary", has_text="Activate it anyway").click()
    owner.get_by_label("Why it becomes active").fill("The old one ends tonight.")
    owner.get_by_role("button", name="Activate version 2 anyway").click()
    expect(owner.get_by_text("Version 2 is active.")).to_be_visible()
    event = AuditEvent.objects.get(action="version.activated", facts__version=2)
    assert (event.actor, event.facts["reason"]) == (switch.cast.owner, "The old one ends tonight.")


def test_a_provider_that_fails_since_is_red_on_the_dashboard_and_restored_with_one_click(
    visit: Visit, switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = switch.provider("Orders", switch.old_ca)
    with monkeypatch.context() as patch:
        patch.setattr(testing, "queue", lambda: None)
        testing.ask(provider=provider, reason="asked", actor=SYSTEM, now=timezone.now())
        run_tests()
        services.activate(version=switch.stage(), actor=SYSTEM, now=timezone.now())
        run_tests()
    page = visit("/", switch.cast.editor)
    alert = page.get_by_role("region", name="Orders fails since version 2 of orders-client is active")
    expect(alert).to_be_visible()
    alert.get_by_role("button", name="Restore version 1").click()
    expect(page.get_by_text("Version 1 of orders-client is active again.")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_have_text("Orders")
    assert switch.certificate.active == switch.old
    page.goto("/")
    expect(alert).to_have_count(0)
