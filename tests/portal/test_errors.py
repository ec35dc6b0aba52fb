"""What a person and a program are told when something cannot be answered."""

from __future__ import annotations

import pytest
from django.contrib.staticfiles import finders
from django.core.exceptions import SuspiciousOperation
from django.templatetags.static import static
from django.test import Client, RequestFactory

from portal import views
from tests.cast import Cast, client_of

pytestmark = pytest.mark.django_db


def test_what_is_not_there(cast: Cast) -> None:
    for browser in (client_of(None), client_of(cast.viewer)):
        page = browser.get("/nothing/")
        assert page.status_code == 404
        assert page.content.decode().count("<h1>There is nothing at this address</h1>") == 1
    assert 'aria-label="Main"' not in client_of(None).get("/nothing/").content.decode()
    assert 'aria-label="Main"' in client_of(cast.viewer).get("/nothing/").content.decode()


def test_what_a_role_does_not_allow(cast: Cast) -> None:
    page = client_of(cast.viewer).get("/team/audit/")
    assert page.status_code == 403
    assert "Your role in Payments does not allow this" in page.content.decode()


def test_a_form_from_before_signing_in_elsewhere(cast: Cast) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(cast.owner, "django.contrib.auth.backends.ModelBackend")
    page = browser.post("/team/switch/", {"team": cast.team.pk})
    assert page.status_code == 403
    assert "out of date" in page.content.decode()


def test_what_cannot_be_read() -> None:
    answer = views.bad_request(RequestFactory().get("/api/v1/x"), SuspiciousOperation("secret"))
    assert (answer.status_code, b"secret" in answer.content) == (400, False)


@pytest.mark.parametrize("path", ["/team/", "/api/v1/certificates"])
def test_a_fault_of_ours_tells_nothing_of_itself(path: str) -> None:
    answer = views.failed(RequestFactory().get(path))
    assert answer.status_code == 500
    assert b"on our side" in answer.content
    assert answer["Content-Type"].startswith("application/json") == path.startswith("/api/")


def test_who_is_in_no_team_is_told_whom_to_ask(cast: Cast) -> None:
    page = client_of(cast.nobody).get("/team/")
    assert page.status_code == 403
    assert "Ask an owner of your team to add you" in page.content.decode()


def test_browsers_find_the_icon_where_they_look_for_it(client: Client) -> None:
    answer = client.get("/favicon.ico")
    assert (answer.status_code, answer.headers["Location"]) == (302, static("portal/icon.svg"))
    assert "max-age=86400" in answer.headers["Cache-Control"]
    assert not answer.cookies
    assert finders.find("portal/icon.svg")


def test_the_address_of_a_button_says_so_in_a_browser(cast: Cast) -> None:
    answer = client_of(cast.owner).get("/team/switch/")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    assert "This address only takes a form" in answer.content.decode()
    assert client_of(cast.owner).put("/team/switch/").content == b""
    assert "only takes a form" not in client_of(cast.owner).get("/api/v1/inspect").content.decode()
