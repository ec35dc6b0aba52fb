"""What changed at a provider in a real Chromium: from the notice in the inbox to both tests side by side."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from providers.models import Provider
from providers.watching import watch
from tests.browser.conftest import PHONE, Visit
from tests.browser.world import days
from tests.cast import Cast
from tests.material import SERVER, mint
from tests.providers.backends import Switch, run_tests
from tests.running import free_port

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def switch(cast: Cast) -> Iterator[Switch]:
    one = Switch(cast)
    yield one
    one.close()


def watch_once() -> None:
    """A run of the watch, and of the worker."""
    Provider.objects.update(next_test_at=timezone.now())
    watch(timezone.now())
    run_tests()


def test_from_the_notice_to_both_tests_side_by_side(visit: Visit, cast: Cast, switch: Switch) -> None:
    provider = switch.provider("orders", title="Orders API")
    watch_once()
    switch.backends[0].shown = mint(
        "backend.test", switch.root, begin=days(-1), end=days(90), usages=(SERVER,), hosts=("127.0.0.1",),
        key_name="another key",
    )  # fmt: skip
    watch_once()

    page = visit("/", cast.owner)
    expect(page.get_by_role("main")).to_contain_text("What changed at your providers")
    page.goto("/notices/")
    page.get_by_role("link", name="Orders API: the server shows a new certificate").click()
    main = page.get_by_role("main")
    for said in ("Certificate chain", "Key of the server", "issued by CN=Backend Root", "Tested by itself"):
        expect(main).to_contain_text(said)
    page.get_by_role("link", name="both side by side").first.click()
    expect(main).to_contain_text(f"until {days(90):%d %b %Y}")

    Provider.objects.update(port=free_port())
    watch_once()
    page = visit(f"/providers/{provider.pk}/changes/", cast.viewer, viewport=PHONE)
    expect(page.get_by_role("main")).to_contain_text("Nothing listens on the port")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
