"""The caller's address is believed from our proxies only, and pages may run nothing but our own files."""

from __future__ import annotations

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from pytest_django.fixtures import Settings

from portal.accounts import address_of
from portal.middleware import CallerMiddleware


def seen(forwarded: str | None) -> str | None:
    """The caller's address that views see."""
    found: list[str | None] = []

    def view(request: HttpRequest) -> HttpResponse:
        found.append(address_of(request))
        return HttpResponse()

    headers = {"x-forwarded-for": forwarded} if forwarded is not None else {}
    CallerMiddleware(view)(RequestFactory(headers=headers).get("/", REMOTE_ADDR="192.0.2.1"))
    return found[0]


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        (0, "198.51.100.7", "192.0.2.1"),
        (1, None, "192.0.2.1"),
        (1, "198.51.100.7", "198.51.100.7"),
        (1, "203.0.113.66, 198.51.100.7", "198.51.100.7"),
        (2, "203.0.113.66, 198.51.100.7, 192.0.2.9", "198.51.100.7"),
        (2, "198.51.100.7", "192.0.2.1"),
        (1, "2001:db8::7", "2001:db8::7"),
        (1, "<script>", "192.0.2.1"),
        (1, "", "192.0.2.1"),
    ],
)
def test_the_address_that_our_outermost_proxy_saw(
    settings: Settings, proxies: int, forwarded: str | None, expected: str
) -> None:
    settings.STOREKEEPER_PROXIES = proxies
    assert seen(forwarded) == expected


def directives(client: Client, path: str) -> dict[str, str]:
    policy = client.get(path).headers["Content-Security-Policy"]
    return {name: values for name, _, values in (part.strip().partition(" ") for part in policy.split(";"))}


@pytest.mark.django_db
def test_pages_run_and_show_our_own_files_only(client: Client) -> None:
    found = directives(client, "/accounts/login/")
    assert found["default-src"] == "'none'"
    assert found["script-src"] == found["style-src"] == "'self'"
    assert found["frame-ancestors"] == "'none'"


@pytest.mark.django_db
def test_only_the_administration_may_do_more(client: Client) -> None:
    found = directives(client, "/admin/")
    assert "'unsafe-eval'" in found["script-src"]
    assert "'unsafe-inline'" not in found["script-src"]
    assert "'unsafe-eval'" not in directives(client, "/administration")["script-src"]
