"""The address that signs in once: opening it costs nothing, using it uses it up."""

from __future__ import annotations

import datetime as dt

import pytest
from django.test import Client

from portal import first_run, one_time
from portal.errors import PortalError
from portal.models import AuditEvent, Membership, OneTimeSignIn, Role, User
from tests.material import NOW

GOOD = {"email": "Ada@Example.org", "first_name": "Ada", "password": "correct horse battery"}


@pytest.fixture
def token(db: None, now: dt.datetime) -> str:
    """The one of the very first start."""
    link = first_run.first_sign_in(now)
    assert link
    assert link.startswith("http://localhost:8000/accounts/once/")
    return link.rstrip("/").rpartition("/")[2]


def address(token: str) -> str:
    return f"/accounts/once/{token}/"


def test_the_first_run_makes_an_administrator_who_owns_a_team(token: str) -> None:
    administrator = User.objects.get()
    assert administrator.is_superuser
    assert administrator.is_staff
    assert not administrator.has_usable_password()
    assert Membership.objects.get().role == Role.OWNER
    assert [event.action for event in AuditEvent.objects.all()] == ["team_created"]


def test_only_a_digest_of_the_token_is_kept(token: str) -> None:
    assert token not in str(list(OneTimeSignIn.objects.values()))


def test_choosing_a_password_signs_in_and_uses_it_up(token: str, client: Client) -> None:
    assert client.get(address(token)).status_code == 200
    answer = client.post(address(token), GOOD)
    assert (answer.status_code, answer["Location"]) == (302, "/")
    user = User.objects.get()
    assert (user.email, user.first_name, user.check_password(GOOD["password"])) == (
        "ada@example.org",
        "Ada",
        True,
    )
    assert client.session["_auth_user_id"] == str(user.pk)
    assert AuditEvent.objects.filter(action="signed_in_once", actor=user).count() == 1
    assert client.get(address(token)).status_code == 410
    assert Client().post(address(token), {**GOOD, "password": "another good password"}).status_code == 410
    assert User.objects.get().check_password(GOOD["password"])


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"password": "short"}, "password"),
        ({"email": "ada"}, "email"),
        ({"first_name": "A\u202eda"}, "first_name"),
    ],
)
def test_a_mistake_is_shown_and_costs_nothing(
    token: str, client: Client, changed: dict[str, str], field: str
) -> None:
    answer = client.post(address(token), {**GOOD, **changed})
    assert answer.status_code == 422
    assert f'id="id_{field}_error"' in answer.content.decode()
    assert GOOD["password"] not in answer.content.decode()
    assert client.post(address(token), GOOD).status_code == 302


def test_an_address_of_somebody_else_is_refused(token: str, client: Client) -> None:
    User.objects.create_user(email="ada@example.org")
    assert client.post(address(token), GOOD).status_code == 422


@pytest.mark.parametrize("after", [one_time.LIFETIME, dt.timedelta(days=400)])
def test_it_expires(token: str, after: dt.timedelta) -> None:
    assert one_time.find(token, NOW + one_time.LIFETIME - dt.timedelta(seconds=1))
    with pytest.raises(PortalError) as caught:
        one_time.find(token, NOW + after)
    assert caught.value.status == 410


@pytest.mark.parametrize("guess", ["x", "a" * 43, "é"])
def test_a_guess_is_refused(token: str, client: Client, guess: str) -> None:
    assert client.get(address(guess)).status_code == 410


def test_of_two_at_once_one_wins(token: str) -> None:
    first, second = one_time.find(token, NOW), one_time.find(token, NOW)
    one_time.use(first, NOW)
    with pytest.raises(PortalError):
        one_time.use(second, NOW)


def test_a_new_one_replaces_the_former_while_nobody_has_signed_in(token: str, now: dt.datetime) -> None:
    again = first_run.first_sign_in(now)
    assert again
    assert token not in again
    with pytest.raises(PortalError):
        one_time.find(token, now)
    assert User.objects.count() == 1


def test_there_is_none_once_anybody_has_signed_in(token: str, client: Client, now: dt.datetime) -> None:
    client.post(address(token), GOOD)
    assert first_run.first_sign_in(now) is None


def test_a_switched_off_account_stays_out(token: str, client: Client) -> None:
    User.objects.update(is_active=False)
    assert client.get(address(token)).status_code == 410
