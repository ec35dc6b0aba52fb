"""Replacing a CA in a real Chromium, with a real server that moves: both trusted, seen with the new one, the old one removed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from providers import testing
from providers.models import Overlap, Provider
from tests.browser.conftest import PHONE, Visit
from tests.cast import Cast
from tests.material import SERVER, Minted, mint
from tests.providers.backends import Backend, Switch, authority, days, run_tests

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def switch(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Iterator[Switch]:
    """Tests wait until `run_tests` runs them."""
    monkeypatch.setattr(testing, "queue", lambda: None)
    made = Switch(cast)
    yield made
    made.close()


@pytest.fixture
def provider(switch: Switch) -> Provider:
    return switch.provider("Orders")


def move(backend: Backend, root: Minted, *, ends: float = 300) -> None:
    """The server shows a certificate by this CA from now on."""
    backend.shown = mint(
        "backend.test", root, key_name="moved", begin=days(-1), end=days(ends), usages=(SERVER,), hosts=("127.0.0.1",)
    )  # fmt: skip


def replace(page: Page, root: Minted, folder: Path) -> None:
    file = folder / "new-root.pem"
    file.write_bytes(root.pem)
    page.get_by_label("File", exact=True).set_input_files(file)
    page.get_by_role("button", name="Look inside").click()
    page.get_by_label("now", exact=False).first.check()
    page.get_by_role("button", name="Save as the next version").click()
    expect(page.get_by_text("Version 1 is still trusted beside version 2")).to_be_visible()


def test_a_ca_is_replaced_and_the_old_one_goes_when_all_have_moved(
    visit: Visit, switch: Switch, provider: Provider, tmp_path: Path
) -> None:
    certificate = switch.trust_store.certificates.get()
    new_root = authority("New Backend Root")
    page = visit(reverse("stores:replace", args=[certificate.pk]), switch.cast.editor)
    replace(page, new_root, tmp_path)
    run_tests()
    page.goto(certificate.get_absolute_url())
    page.get_by_role("link", name="Who has moved?").click()
    expect(page.get_by_role("heading", name="Old and new are trusted")).to_be_visible()
    expect(page.get_by_text("0 of 1 seen with the new one")).to_be_visible()

    move(switch.backends[0], new_root)
    overlap_page = page.url
    page.get_by_role("button", name="Test now").click()
    expect(page).to_have_url(re.compile("/providers/reports/"))
    run_tests()
    page.goto(overlap_page)
    expect(page.get_by_text("Safe to remove the old one")).to_be_visible()
    expect(page.get_by_text("with a chain ending in New Backend Root")).to_be_visible()
    page.get_by_role("button", name="Remove version 1 from trust").click()
    expect(page.get_by_text("Version 1 is not trusted any more.")).to_be_visible()
    assert Overlap.objects.get().closed_by == switch.cast.editor


@pytest.mark.parametrize("script", [True, False], ids=["with a script", "without"])
def test_who_removes_it_too_soon_is_asked_once(
    visit: Visit, switch: Switch, provider: Provider, tmp_path: Path, script: bool
) -> None:
    certificate = switch.trust_store.certificates.get()
    page = visit(
        reverse("stores:replace", args=[certificate.pk]), switch.cast.editor, viewport=PHONE, script=script
    )
    replace(page, authority("New Backend Root"), tmp_path)
    page.get_by_role("link", name="Who has moved?").click()
    page.get_by_role("button", name="Remove it all the same").click()
    expect(page.get_by_text("Calls to these may fail from now on")).to_be_visible()
    expect(page.get_by_role("listitem").filter(has_text="Orders")).to_be_visible()
    assert Overlap.objects.get().closed_at is None
    page.get_by_role("button", name="Remove version 1 all the same").click()
    expect(page.get_by_text("Version 1 is not trusted any more.")).to_be_visible()
