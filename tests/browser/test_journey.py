"""From sign-in to replacement in a real Chromium: with the mouse, and once more by keyboard only."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12
from django.utils import timezone
from playwright.sync_api import Page, expect

from portal.models import User
from providers.models import Provider
from stores import watch
from stores.models import Certificate, Version
from tests.browser.conftest import PHONE, Visit
from tests.browser.world import days
from tests.cast import Cast
from tests.material import Minted, mint

pytestmark = pytest.mark.django_db(transaction=True)
PASSWORD = "a-good-password"


def sign_in(page: Page, user: User) -> None:
    page.get_by_label("E-mail").fill(user.email)
    page.get_by_label("Password", exact=True).fill("correct horse battery")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()


def p12(path: Path, leaf: Minted, *above: Minted) -> Path:
    lock = BestAvailableEncryption(PASSWORD.encode())
    path.write_bytes(
        pkcs12.serialize_key_and_certificates(
            b"orders", leaf.key, leaf.certificate, [one.certificate for one in above], lock
        )
    )
    return path


@pytest.fixture
def root() -> Minted:
    return mint("Example Root", ca=True, begin=days(-100), end=days(3000))


def test_a_key_store_from_sign_in_to_replacement(
    visit: Visit, cast: Cast, root: Minted, tmp_path: Path
) -> None:
    page = visit("/certificates/new/")
    sign_in(page, cast.editor)
    expect(page).to_have_url(re.compile("/certificates/new/$"))

    page.get_by_label("File", exact=True).set_input_files(
        p12(tmp_path / "orders.p12", mint("orders", root, begin=days(-80), end=days(5)), root)
    )
    page.get_by_label("Name of the new store").fill("outbound")
    page.get_by_label("Certificate name").fill("orders-client")
    page.get_by_role("button", name="Look inside").click()
    expect(page.locator("#errors")).to_contain_text("password")
    expect(page.get_by_label("Certificate name")).to_have_value("orders-client")
    assert page.get_by_label("File", exact=True).evaluate("input => input.files.length") == 1, (
        "with JavaScript not even the file is lost"
    )
    page.get_by_label("Password of the file").fill(PASSWORD)
    page.get_by_role("button", name="Look inside").click()
    expect(page.get_by_text("It will fail in")).to_be_visible()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("orders-client")

    page.goto("/providers/new/")
    page.get_by_label("Name", exact=False).first.fill("orders")
    page.get_by_label("Host", exact=True).fill("orders.example.org")
    page.get_by_label("Certificate that we show").fill("orders-client")
    choice = page.get_by_role("option").first
    if choice.is_visible():
        choice.click()
    page.get_by_role("button", name="Save").last.click()
    expect(page.get_by_text("checks host name")).to_be_visible()
    assert Provider.objects.get().key_certificate == Certificate.objects.get()

    watch.find_due(timezone.now())
    page.goto("/replace/")
    expect(page.get_by_role("main")).to_contain_text("orders-client")
    page.get_by_role("link", name="Replace", exact=False).last.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Replace orders-client")
    page.get_by_label("File", exact=True).set_input_files(
        p12(tmp_path / "next.p12", mint("orders", root, begin=days(-1), end=days(300), key_name="next"), root)
    )
    page.get_by_label("Password of the file").fill(PASSWORD)
    page.get_by_role("button", name="Look inside").click()
    expect(page.get_by_role("heading", name="Old and new")).to_be_visible()
    expect(page.get_by_role("main")).to_contain_text("orders", use_inner_text=True)
    expect(page.get_by_label("try it first")).to_be_checked()
    page.get_by_label("Make it active now").check()
    page.get_by_role("button", name="Save as the next version").click()
    expect(page.get_by_role("status").filter(has_text="Version 2")).to_be_visible()
    page.goto("/replace/")
    # It is done once the provider was seen with it.
    expect(page.get_by_role("main")).to_contain_text("version 2 is active, 0 of 1 seen")
    assert [version.state for version in Version.objects.order_by("number")] == ["superseded", "active"]


def test_a_trust_store_by_pasting_on_a_phone_without_javascript(
    visit: Visit, cast: Cast, root: Minted
) -> None:
    page = visit("/certificates/new/", cast.editor, viewport=PHONE, script=False)
    page.get_by_label("We trust it").check()
    page.get_by_label("Name of the new store").fill("partners")
    page.get_by_text("The key is in a second file").click()
    page.get_by_label("Or paste PEM text").fill(root.pem.decode())
    page.get_by_role("button", name="Look inside").click()
    expect(page.get_by_role("heading", name="What is in the file")).to_be_visible()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Example Root")
    newer = mint("Example Root", ca=True, begin=days(-1), end=days(4000))
    page.get_by_role("link", name="Replace").click()
    page.get_by_text("The key is in a second file").click()
    page.get_by_label("Or paste PEM text").fill(newer.pem.decode())
    page.get_by_role("button", name="Look inside").click()
    expect(page.get_by_role("row", name="No longer trusted")).to_contain_text("Example Root")
    page.get_by_role("button", name="Save as the next version").click()
    assert Version.objects.get(state="active").number == 2


def reach(page: Page, target: str, most: int = 80) -> None:
    """Presses Tab until the element that matches has the focus."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate("selector => Boolean(document.activeElement?.matches(selector))", target):
            return
    raise AssertionError(f"{target} cannot be reached with Tab")


def test_by_keyboard_only(visit: Visit, cast: Cast, root: Minted) -> None:
    page = visit("/", cast.editor)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "search"
    page.goto("/certificates/new/")
    leaf = mint("orders", root, begin=days(-80), end=days(5))
    reach(page, "#upload summary")
    page.keyboard.press("Enter")
    reach(page, "#id_pasted")
    page.keyboard.insert_text((leaf.key_pem + leaf.pem + root.pem).decode())
    reach(page, "#id_store_name")
    page.keyboard.type("outbound")
    reach(page, "#upload button.btn-primary")
    page.keyboard.press("Enter")
    page.wait_for_url("**/review/**")
    reach(page, "button[value=save]")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("orders")
    reach(page, "main a[href$='/replace/']")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Replace orders")
    reach(page, "#upload summary")
    page.keyboard.press("Enter")
    reach(page, "#id_pasted")
    new = mint("orders", root, begin=days(-1), end=days(300))
    page.keyboard.insert_text((new.key_pem + new.pem + root.pem).decode())
    reach(page, "#upload button.btn-primary")
    page.keyboard.press("Enter")
    page.wait_for_url("**/review/**")
    reach(page, "button[value=save]")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").filter(has_text="Version 2")).to_be_visible()


def test_a_file_can_be_dropped(visit: Visit, cast: Cast, root: Minted) -> None:
    page = visit("/certificates/new/", cast.editor)
    page.evaluate(
        """text => {
          const box = new DataTransfer();
          box.items.add(new File([text], "dropped.pem"));
          const drop = new DragEvent("drop", { dataTransfer: box, bubbles: true, cancelable: true });
          document.querySelector("[data-drop]").dispatchEvent(drop);
        }""",
        root.pem.decode(),
    )
    page.get_by_label("We trust it").check()
    page.get_by_label("Name of the new store").fill("partners")
    page.get_by_role("button", name="Look inside").click()
    page.wait_for_url("**/review/**")
    expect(page.get_by_role("main")).to_contain_text("dropped.pem")
