"""A replacement from its first notice to its proof in a real Chromium: taken, noted, snoozed, woken, replaced, tested, closed."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from stores import watch
from stores.expiry import Policy, Stage
from stores.models import Case
from stores.policy import TeamPolicy, write
from tests.browser.conftest import PHONE, Visit
from tests.material import mint
from tests.providers.backends import Switch, days

pytestmark = pytest.mark.django_db(transaction=True)
SECONDS = 60_000


def come_nearer(switch: Switch, notice: int, warning: int) -> None:
    """The team is told so many days before the end: its certificate ends in 300."""
    kept = write(TeamPolicy(days=Policy(notice=notice, warning=warning, urgent=3)))
    type(switch.cast.team).objects.filter(pk=switch.cast.team.pk).update(policy=kept)
    switch.cast.team.refresh_from_db()
    watch.rejudge(switch.cast.team, timezone.now())
    watch.find_due(timezone.now())


def upload(page: Page, switch: Switch, folder: Path) -> None:
    leaf = mint("orders", switch.new_ca, key_name="later", begin=days(-1), end=days(900))
    file = folder / "orders.pem"
    file.write_bytes(leaf.pem + switch.new_ca.pem + leaf.key_pem)
    page.get_by_label("File", exact=True).set_input_files(file)
    page.get_by_role("button", name="Look inside").click()
    page.get_by_label("Now", exact=False).first.check()
    page.get_by_role("button", name="Save as the next version").click()


def test_from_the_first_stage_to_the_proof(visit: Visit, switch: Switch, tmp_path: Path) -> None:
    switch.provider("Orders")
    switch.provider("Billing", switch.old_ca)
    come_nearer(switch, 310, 200)
    page = visit("/replace/", switch.cast.editor)
    page.get_by_role("link", name="outbound / orders-client").click()
    page.get_by_role("button", name="Take it").click()
    expect(page.get_by_role("region", name="Who has it")).to_contain_text("You")

    page.get_by_label("Note").fill("Asked for under https://tickets.example.org/1.")
    page.get_by_role("button", name="Add the note").click()
    done = page.get_by_role("region", name="What has been done")
    expect(done.get_by_role("link", name="https://tickets.example.org/1")).to_be_visible()

    page.locator("summary", has_text="Snooze it").click()
    page.get_by_label("Until").fill("2001-01-01")
    page.get_by_label("Why it can wait").fill("The CA moves first.")
    page.get_by_role("button", name="Snooze", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("This day has begun already")
    expect(page.get_by_label("Why it can wait")).to_have_value("The CA moves first.")
    page.get_by_label("Until").fill(days(40).date().isoformat())
    page.get_by_role("button", name="Snooze", exact=True).click()
    wait = page.get_by_role("region", name="Can it wait?")
    expect(wait).to_contain_text("The CA moves first.")
    page.goto("/replace/")
    page.get_by_role("link", name="Snoozed 1").click()

    come_nearer(switch, 320, 310)
    page.get_by_role("link", name="outbound / orders-client").click()
    expect(done).to_contain_text("Woken")
    expect(wait).not_to_contain_text("The CA moves first.")

    page.get_by_role("link", name="Replace", exact=True).last.click()
    upload(page, switch, tmp_path)
    expect(page.get_by_text("Version 2 has not been seen everywhere yet")).to_be_visible()
    page.get_by_role("link", name="what is missing").click()
    proof = page.get_by_role("region", name="What shows that it is done")
    case = page.url
    for _ in range(30):
        if "1 of 2 seen" in page.content():
            break
        page.reload()
    expect(proof).to_contain_text("Not seen yet Billing")
    switch.backends[1].takes = (switch.new_ca,)
    proof.get_by_role("button", name="Test it now").click()
    expect(page.locator(".hero").last).to_contain_text("The connection works", timeout=SECONDS)
    page.goto(case)
    expect(page.get_by_role("region", name="What showed that it is done")).to_contain_text("Billing")
    assert Case.objects.get().closed_at
    page.goto("/replace/?state=closed")
    expect(page.get_by_role("row", name="orders-client")).to_contain_text("Done")


def test_handed_over_by_keyboard_on_a_phone_without_javascript(visit: Visit, switch: Switch) -> None:
    come_nearer(switch, 310, 200)
    case = Case.objects.get()
    page = visit(case.get_absolute_url(), switch.cast.owner, viewport=PHONE, script=False)
    page.locator("summary", has_text="Hand it").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type("editor")
    page.keyboard.press("Tab")
    page.keyboard.type("Please do it this week.")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Editor has it now, and is told.")).to_be_visible()
    expect(page.get_by_text("To Editor: Please do it this week.")).to_be_visible()
    case.refresh_from_db()
    assert (case.owner, case.stage) == (switch.cast.editor, Stage.NOTICE)
