"""A connection test in a real Chromium: registered, tested while somebody watches, read, tested again, compared."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone
from playwright.sync_api import Page, expect

from providers import testing
from providers.models import ConnectionReport, Provider
from stores.models import Store
from tests.browser.conftest import PHONE, Visit
from tests.browser.world import days
from tests.cast import Cast, kept
from tests.material import Minted, mint
from tests.providers.backend import Backend
from tests.providers.backends import LOOPBACK

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def client_ca() -> Minted:
    return mint("Client Root", ca=True, begin=days(-30), end=days(3000), key_usage=True)


@pytest.fixture
def backend(tmp_path: Path, cast: Cast, client_ca: Minted, settings: Any) -> Iterator[Backend]:
    """A server that holds who comes until it is told to go on; what it shows is trusted, and ours is known to it."""
    settings.STOREKEEPER_OUTBOUND_ALLOW = LOOPBACK
    root = mint("Backend Root", ca=True, begin=days(-30), end=days(3000), key_usage=True)
    now = timezone.now()
    kept(cast, mint("orders", client_ca, begin=days(-1), end=days(300)), client_ca, now=now)
    kept(cast, root, name="backend-root", store="partners", kind="trust", now=now)
    leaf = mint("backend", root, begin=days(-1), end=days(90), hosts=("127.0.0.1",))
    one = Backend(tmp_path, leaf, client_ca, hold=True)
    yield one
    one.close()


@contextmanager
def worker() -> Iterator[None]:
    """Runs all tests that wait, as the worker does, beside what happens inside; ends when they have."""

    def work() -> None:
        try:
            testing.run(now=timezone.now())
        finally:
            connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    yield
    thread.join(30)
    assert not thread.is_alive()


def register(page: Page, port: int) -> None:
    page.goto("/providers/new/")
    page.get_by_label("Name", exact=False).first.fill("orders")
    page.get_by_label("Host", exact=True).fill("127.0.0.1")
    page.get_by_label("Port").fill(str(port))
    for label, name in (("Certificate that we show", "orders-client"), ("Trust store", "partners")):
        page.get_by_label(label).first.fill(name)
        page.locator(".pick-list").get_by_role("option").first.click()
    page.get_by_label("Service collection path", exact=False).fill("/services")
    page.get_by_role("button", name="Save").last.click()
    expect(page.get_by_text("Never tested")).to_be_visible()


def test_from_the_button_to_two_reports_side_by_side(visit: Visit, cast: Cast, backend: Backend) -> None:
    page = visit("/", cast.editor)
    register(page, backend.port)
    page.get_by_role("button", name="Test the connection").click()
    expect(page.locator("#report")).to_contain_text("The test begins as soon as a worker is free")

    with worker():
        expect(page.locator(".trail")).to_contain_text("TCP", ignore_case=True, timeout=9_000)
        expect(page.locator("#report")).to_contain_text("The test runs")
        assert ConnectionReport.objects.get().state == "running"
        backend.go.set()
        expect(page.locator(".hero")).to_contain_text("The connection works")
    expect(page.locator("#progress")).to_have_text("The connection works")
    main = page.get_by_role("main")
    for said in ("TLSv1.3", "Backend Root", "sent and accepted", "127.0.0.1"):
        expect(main).to_contain_text(said)
    passed = page.url

    backend.trust_only(mint("Another Root", ca=True, begin=days(-30), end=days(3000), key_usage=True))
    page.get_by_role("button", name="Test the connection").click()
    with worker():
        expect(page.locator(".hero")).to_contain_text("Failed")
    expect(main).to_contain_text("sent and refused")
    assert page.url != passed

    page.get_by_role("link", name="All tests of this provider").click()
    expect(page.get_by_role("row")).to_have_count(3)
    page.get_by_role("button", name="Compare A with B").click()
    row = page.get_by_role("row", name="Our certificate differs")
    expect(row).to_contain_text("sent and accepted")
    expect(row).to_contain_text("sent and refused")


def test_on_a_phone_without_javascript(visit: Visit, cast: Cast, backend: Backend) -> None:
    backend.go.set()
    Provider.objects.create(
        team=cast.team,
        name="orders",
        host="127.0.0.1",
        port=backend.port,
        key_certificate=cast.team.certificates.get(name="orders-client"),
        trust_store=Store.objects.get(name="partners"),
    )
    page = visit("/providers/", cast.editor, viewport=PHONE, script=False)
    page.get_by_role("link", name="orders", exact=True).click()
    page.get_by_role("button", name="Test the connection").click()
    with worker():
        page.get_by_role("link", name="Look again").click()
    page.reload()
    expect(page.locator(".hero")).to_contain_text("The connection works")
    page.goto("/providers/")
    page.get_by_role("link", name="orders", exact=True).click()
    expect(page.get_by_role("main")).to_contain_text("Passed")
