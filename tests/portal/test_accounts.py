"""Signing in, and what people change about their own account."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time
from django.conf import settings
from django.core import mail
from django.core.cache import cache
from django.core.mail import EmailMultiAlternatives
from django.test import Client

from portal.models import User
from tests.cast import Cast, client_of

pytestmark = pytest.mark.django_db
LOGIN = "/accounts/login/"
PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def fresh_counters(db: None) -> Iterator[None]:
    """Attempts of one test do not count in the next."""
    cache.clear()
    yield
    cache.clear()


def new_browser() -> Any:
    return Client()


def sign_in(browser: Any, user: User, password: str = PASSWORD, **more: str) -> Any:
    return browser.post(LOGIN, {"login": user.email, "password": password} | more)


def show_password_again(browser: Any) -> None:
    assert (
        browser.post(
            "/accounts/reauthenticate/", {"password": PASSWORD, "next": "/accounts/2fa/"}
        ).status_code
        == 302
    )


def test_signing_in_leads_back_to_where_one_was(cast: Cast) -> None:
    browser = new_browser()
    sent = browser.get("/certificates/new/?store=x")
    page = browser.get(sent.url)
    assert 'name="next"' in page.content.decode()
    answer = browser.post(
        LOGIN, {"login": cast.editor.email, "password": PASSWORD, "next": "/certificates/new/?store=x"}
    )
    assert answer.url == "/certificates/new/?store=x"


def test_signing_in_never_leads_to_another_site(cast: Cast) -> None:
    answer = new_browser().post(
        LOGIN, {"login": cast.editor.email, "password": PASSWORD, "next": "https://evil.example/"}
    )
    assert answer.url == "/"


def test_the_address_counts_in_any_letter_case(cast: Cast) -> None:
    answer = new_browser().post(LOGIN, {"login": "Editor@Example.ORG", "password": PASSWORD})
    assert answer.status_code == 302
    assert User.objects.create_user(email="Anna@Example.org").email == "anna@example.org"


@pytest.mark.parametrize("login", ["editor@example.org", "stranger@example.org"])
def test_a_wrong_password_and_an_unknown_address_are_told_alike(cast: Cast, login: str) -> None:
    page = new_browser().post(LOGIN, {"login": login, "password": "not this one"})
    assert page.status_code == 200
    assert "The e-mail address or the password is wrong." in page.content.decode()
    assert "not this one" not in page.content.decode()


def test_who_fails_too_often_has_to_wait(cast: Cast) -> None:
    for _ in range(10):
        new_browser().post(LOGIN, {"login": cast.editor.email, "password": "wrong"})
    answer = new_browser().post(LOGIN, {"login": cast.editor.email, "password": PASSWORD})
    assert answer.status_code in (200, 429)
    assert "Too many attempts" in answer.content.decode()


@pytest.mark.parametrize("method", ["get", "post"])
def test_nobody_makes_an_account(method: str) -> None:
    data = {"email": "stranger@example.org", "password1": PASSWORD, "password2": PASSWORD}
    page = getattr(new_browser(), method)("/accounts/signup/", data)
    assert "by invitation" in page.content.decode()
    assert not User.objects.exists()


def test_a_new_password_by_mail(cast: Cast) -> None:
    browser = new_browser()
    assert browser.post("/accounts/password/reset/", {"email": cast.editor.email}).status_code == 302
    (message,) = mail.outbox
    assert isinstance(message, EmailMultiAlternatives)
    assert message.subject == "Choose a new password"
    assert "text/html" in [kind for _, kind in message.alternatives]
    link = re.search(r"http\S+", str(message.body))
    assert link
    form = browser.get(link[0], follow=True)
    saved = browser.post(
        form.request["PATH_INFO"], {"password1": "a fresh long one", "password2": "a fresh long one"}
    )
    assert saved.status_code == 302
    assert "wrong" in sign_in(new_browser(), cast.editor).content.decode()
    assert sign_in(new_browser(), cast.editor, "a fresh long one").url == "/"
    assert "This link is over" in new_browser().get(link[0], follow=True).content.decode()


def test_a_mailed_link_leads_to_the_portal_whatever_host_the_request_names(cast: Cast) -> None:
    host = {"host": "localhost:6666"}
    new_browser().post("/accounts/password/reset/", {"email": cast.editor.email}, headers=host)
    browser = new_browser()
    sign_in(browser, cast.editor)
    show_password_again(browser)
    browser.post("/accounts/email/", {"email": "new@example.org", "action_add": "1"}, headers=host)
    links = [link for message in mail.outbox for link in re.findall(r"http\S+/", str(message.body))]
    assert len(links) == 2
    assert all(link.startswith(f"{settings.STOREKEEPER_URL}/accounts/") for link in links)


def test_no_mail_goes_to_strangers(cast: Cast) -> None:
    page = new_browser().post("/accounts/password/reset/", {"email": "stranger@example.org"}, follow=True)
    assert "If there is an account of this address" in page.content.decode()
    assert mail.outbox == []


def test_changing_the_address_needs_the_password_and_a_mail_to_the_new_one(cast: Cast) -> None:
    browser = new_browser()
    sign_in(browser, cast.editor)
    asked = browser.post("/accounts/email/", {"email": "New@example.org", "action_add": "1"})
    assert asked.url.startswith("/accounts/reauthenticate/")
    page = browser.post(asked.url, {"password": PASSWORD}, follow=True)
    cast.editor.refresh_from_db()
    assert cast.editor.email == "editor@example.org"
    assert "new@example.org" in page.content.decode()
    (message,) = mail.outbox
    link = re.search(r"http\S+", str(message.body))
    assert link
    assert message.to == ["new@example.org"]
    browser.post(link[0])
    cast.editor.refresh_from_db()
    assert cast.editor.email == "new@example.org"


@pytest.mark.parametrize("path", ["/accounts/2fa/totp/activate/", "/accounts/2fa/recovery-codes/generate/"])
def test_what_opens_doors_asks_for_the_password_again(cast: Cast, path: str) -> None:
    browser = new_browser()
    sign_in(browser, cast.editor)
    assert browser.get(path).url.startswith("/accounts/reauthenticate/")
    show_password_again(browser)
    assert browser.get(path).status_code in (200, 302)
    assert not getattr(browser.get(path), "url", "").startswith("/accounts/reauthenticate/")


def code(secret: str) -> str:
    return str(format_hotp_value(hotp_value(secret, next(iter(yield_hotp_counters_from_time())))))


def test_two_steps(cast: Cast) -> None:
    browser = new_browser()
    sign_in(browser, cast.editor)
    show_password_again(browser)
    page = browser.get("/accounts/2fa/totp/activate/")
    secret = page.context["form"].secret
    browser.post("/accounts/2fa/totp/activate/", {"code": code(secret)})
    kept = Authenticator.objects.get(user=cast.editor, type="totp").data["secret"]
    assert secret not in kept, "the secret of the app is sealed"
    cache.clear()
    other = new_browser()
    first = sign_in(other, cast.editor, next="/certificates/new/")
    assert first.url.startswith("/accounts/2fa/authenticate/")
    assert other.get("/certificates/new/").status_code == 302, "one step is not enough"
    assert (
        "This code is wrong" in other.post("/accounts/2fa/authenticate/", {"code": "000000"}).content.decode()
    )
    cache.clear()
    assert other.post("/accounts/2fa/authenticate/", {"code": code(secret)}).url == "/certificates/new/"


def test_name_and_time_zone(cast: Cast) -> None:
    browser = client_of(cast.viewer)
    assert (
        browser.post("/accounts/profile/", {"first_name": "Vera", "time_zone": "Europe/Berlin"}).status_code
        == 302
    )
    cast.viewer.refresh_from_db()
    assert (cast.viewer.first_name, cast.viewer.time_zone) == ("Vera", "Europe/Berlin")
    assert browser.post("/accounts/profile/", {"time_zone": "Mars/Olympus"}).status_code == 422
    assert new_browser().get("/accounts/profile/").url.startswith(LOGIN)


def test_an_address_for_one_sign_in_is_the_first_password(cast: Cast) -> None:
    from django.utils import timezone

    from portal import one_time

    token = one_time.issue(cast.nobody, timezone.now())
    page = new_browser().get(f"/accounts/once/{token}/")
    assert "This page works once" in page.content.decode()


PAGES = [
    "email/",
    "password/change/",
    "2fa/",
    "2fa/totp/activate/",
    "2fa/recovery-codes/generate/",
    "2fa/webauthn/",
    "2fa/webauthn/add/",
    "3rdparty/",
    "logout/",
    "profile/",
]
ENTRANCE = [
    "login/",
    "password/reset/",
    "password/reset/done/",
    "password/reset/key/done/",
    "signup/",
    "inactive/",
    "password/reset/key/1-set-password/",
    "confirm-email/x:y/",
]


@pytest.mark.parametrize("path", PAGES)
def test_every_page_of_an_account_has_the_look_of_the_portal(cast: Cast, path: str) -> None:
    browser = new_browser()
    sign_in(browser, cast.editor)
    show_password_again(browser)
    page = browser.get(f"/accounts/{path}", follow=True)
    assert page.status_code == 200
    _has_our_look(page.content.decode())


@pytest.mark.parametrize("path", ENTRANCE)
def test_every_page_at_the_entrance_has_the_look_of_the_portal(cast: Cast, path: str) -> None:
    page = new_browser().get(f"/accounts/{path}", follow=True)
    assert page.status_code in (200, 404), path
    _has_our_look(page.content.decode())


def _has_our_look(html: str) -> None:
    assert "portal/storekeeper.css" in html
    assert html.count("<h1") == 1
    assert " style=" not in html
    assert not re.search(r"<script(?![^>]*(src=|application/json))", html), (
        "the content policy forbids scripts in the page"
    )
