"""A real Chromium before the real portal over HTTP."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.db import connections
from django.utils import timezone
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from pytest_django.fixtures import Settings

from portal.models import User
from providers import testing
from tests.cast import Cast
from tests.providers.backends import LOOPBACK, Switch

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/browser/" in str(item.path):
            item.add_marker(pytest.mark.browser)
            if not CHROMIUM:
                item.add_marker(
                    pytest.mark.skip(reason="no Chromium on this machine: install the package chromium")
                )


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    # Playwright's loop runs in this thread; the tests' own queries are meant to block all the same.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield browser
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


Visit = Callable[..., Page]


@pytest.fixture
def visit(chromium: Browser, live_server: Any) -> Iterator[Visit]:
    """Opens a page of the portal: `visit("/stores/", user, viewport=PHONE, dark=True, script=False)`."""
    contexts: list[BrowserContext] = []

    def open_page(
        path: str,
        user: User | None = None,
        *,
        viewport: dict[str, int] = DESKTOP,
        dark: bool = False,
        script: bool = True,
        free: bool = False,
    ) -> Page:
        context = chromium.new_context(
            base_url=live_server.url,
            viewport=viewport,  # type: ignore[arg-type]
            color_scheme="dark" if dark else "light",
            java_script_enabled=script,
            bypass_csp=free,
            reduced_motion="reduce",
        )
        context.set_default_timeout(15_000)
        contexts.append(context)
        if user:
            context.add_cookies(
                [{"name": settings.SESSION_COOKIE_NAME, "value": session_of(user), "url": live_server.url}]
            )
        page = context.new_page()
        page.goto(path)
        return page

    yield open_page
    for context in contexts:
        context.close()


def session_of(user: User) -> str:
    """A signed-in session's key."""
    session = SessionStore()
    session.update(
        {
            "_auth_user_id": str(user.pk),
            "_auth_user_backend": "django.contrib.auth.backends.ModelBackend",
            "_auth_user_hash": user.get_session_auth_hash(),
        }
    )
    session.save()
    return str(session.session_key)


@pytest.fixture
def switch(cast: Cast, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Iterator[Switch]:
    """A provider that is about to be switched to another CA, with a worker: a thread of its own for each message."""
    threads: list[threading.Thread] = []

    def work() -> None:
        try:
            testing.run(now=timezone.now())
        finally:
            connections.close_all()

    def queue() -> None:
        threads.append(threading.Thread(target=work))
        threads[-1].start()

    monkeypatch.setattr(testing, "queue", queue)
    settings.STOREKEEPER_OUTBOUND_ALLOW = LOOPBACK
    made = Switch(cast)
    yield made
    for thread in threads:
        thread.join(60)
    made.close()
