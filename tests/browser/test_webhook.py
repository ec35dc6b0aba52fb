"""A webhook as its owner gets to know it: added, tried while it fails and once it works, read in its log, sent once more."""

from __future__ import annotations

import pytest

from stores.models import Webhook
from tests.browser.conftest import DESKTOP, PHONE, Visit
from tests.browser.test_pages import faults
from tests.cast import Cast
from tests.receiver import receiving, status
from tests.stores.hooks import verified

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("script", [True, False], ids=["scripts", "no scripts"])
def test_added_tried_read_and_sent_once_more(visit: Visit, cast: Cast, script: bool) -> None:
    page = visit("/team/", cast.owner, viewport=DESKTOP if script else PHONE, script=script)
    page.get_by_role("navigation", name="Team").get_by_role("link", name="Webhooks").click()
    schema = page.get_by_role("link", name="this schema").get_attribute("href")
    assert page.request.get(schema or "").json()["title"] == "Message of Storekeeper to a webhook"
    page.get_by_role("link", name="Add a webhook").click()
    page.get_by_label("Name").fill("pipeline")
    page.get_by_label("Address").fill("http://10.1.2.3/in")
    page.get_by_role("button", name="Add the webhook").click()
    assert "not a public address" in page.locator(".field-error").inner_text()
    assert page.get_by_label("Name").input_value() == "pipeline"
    with receiving(status(503, b"Down for a moment"), status(200, b"Thanks")) as receiver:
        page.get_by_label("Address").fill(receiver.url)
        page.get_by_role("button", name="Add the webhook").click()
        secret = page.locator(".message pre").inner_text()
        page.get_by_role("button", name="Send a test message").click()
        page.get_by_role("heading", name="It did not arrive").wait_for()
        assert page.get_by_text("Down for a moment").is_visible()
        page.get_by_role("button", name="Send it once more").click()
        page.get_by_role("heading", name="It arrived").wait_for()
        first, second = receiver.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert verified(secret, second)["type"] == "portal.test"
    page.get_by_role("link", name="pipeline").click()
    rows = page.locator("tbody tr")
    assert rows.count() == 2
    assert "Arrived 200" in rows.nth(0).inner_text() and "Failed 503" in rows.nth(1).inner_text()
    assert "whsec_" not in page.content() and "s3cret-part" not in page.content()
    page.locator("summary", has_text="More").click()
    page.get_by_role("button", name="Switch off").click()
    page.get_by_text("is told nothing any more").wait_for()
    page.locator("summary", has_text="More").click()
    page.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete pipeline").click()
    page.get_by_text("pipeline was deleted").wait_for()
    assert not Webhook.objects.exists()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_answers_that_show_a_secret_have_no_faults(visit: Visit, cast: Cast, dark: bool) -> None:
    page = visit("/team/webhooks/", cast.owner, viewport=PHONE, dark=dark, free=True)
    assert faults(page, "/team/webhooks/") == []
    page.get_by_role("link", name="Add a webhook").click()
    page.get_by_label("Name").fill("pipeline")
    page.get_by_label("Address").fill("http://127.0.0.1:1/in")
    page.get_by_role("button", name="Add the webhook").click()
    page.locator(".message pre").wait_for()
    width = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert width == 0
