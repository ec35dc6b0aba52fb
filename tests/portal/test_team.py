"""Members of a team, and the switch between teams."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import pytest
from django.core import mail
from django.utils import timezone
from pytest_django.fixtures import Settings

from portal import members
from portal.errors import Conflict
from portal.models import AuditEvent, Membership, OneTimeSignIn, Role, Team, User
from tests.cast import Cast, client_of
from tests.material import NOW

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]


@pytest.fixture
def browser(cast: Cast) -> Any:
    return client_of(cast.owner)


def membership(cast: Cast, user: User) -> Membership:
    return Membership.objects.get(team=cast.team, user=user)


def link_in(html: str) -> str:
    found = re.search(r"http://localhost:\d+(/accounts/once/[^/<]+/)", html)
    assert found, "no link is shown"
    return found[1]


def test_adding_somebody_new_shows_and_mails_a_link_that_signs_in_once(
    cast: Cast, browser: Any, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        page = browser.post("/team/members/add/", {"email": "New@Example.org", "role": "editor"})
    assert page.status_code == 200
    assert page["Cache-Control"].count("no-store")
    link = link_in(page.content.decode())
    user = User.objects.get(email="new@example.org")
    assert membership(cast, user).role == Role.EDITOR
    (message,) = mail.outbox
    assert message.to == ["new@example.org"]
    assert link in str(message.body)
    assert link not in str(AuditEvent.objects.values_list("facts", flat=True))
    guest: Any = client_of(None)
    form = guest.get(link).context["form"]
    assert form.fields["email"].disabled, "who was invited by an address keeps it"
    done = guest.post(
        link, {"email": "boss@example.org", "first_name": "Nina", "password": "a long enough one"}
    )
    assert done.status_code == 302
    user.refresh_from_db()
    assert (user.email, user.first_name) == ("new@example.org", "Nina")
    assert guest.get("/team/").status_code == 200
    assert client_of(None).get(link).status_code == 410


def test_adding_somebody_who_has_an_account_makes_no_link(
    cast: Cast, browser: Any, django_capture_on_commit_callbacks: Any
) -> None:
    User.objects.filter(pk=cast.outsider.pk).update(last_login=NOW)
    with django_capture_on_commit_callbacks(execute=True):
        page = browser.post(
            "/team/members/add/", {"email": "outsider@example.org", "role": "viewer"}
        ).content.decode()
    assert "/accounts/once/" not in page
    assert not OneTimeSignIn.objects.exists()
    assert "/accounts/once/" not in str(mail.outbox[0].body)
    assert membership(cast, cast.outsider).role == Role.VIEWER


def test_the_link_of_somebody_who_is_in_another_team_is_mailed_but_not_shown(
    cast: Cast, browser: Any, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        page = browser.post(
            "/team/members/add/", {"email": "outsider@example.org", "role": "viewer"}
        ).content.decode()
    assert "/accounts/once/" not in page
    assert "/accounts/once/" in str(mail.outbox[0].body)


def test_where_mail_leaves_the_portal_the_link_is_only_mailed(cast: Cast, settings: Settings) -> None:
    settings.EMAIL_HOST = "smtp.example.org"
    fields = {"email": "new@example.org", "role": "editor"}
    page = client_of(cast.owner).post("/team/members/add/", fields, follow=True).content.decode()
    assert "/accounts/once/" not in page
    assert "A mail is on its way" in page


@pytest.mark.parametrize(
    ("email", "says"),
    [
        ("editor@example.org", "in the team already"),
        ("Editor@Example.ORG", "in the team already"),
        ("nonsense", "valid"),
    ],
)
def test_an_address_that_cannot_be_added_is_told_beside_its_field(
    cast: Cast, browser: Any, email: str, says: str
) -> None:
    answer = browser.post("/team/members/add/", {"email": email, "role": "viewer"})
    assert answer.status_code == 422
    assert says in str(answer.context["form"].errors["email"])
    assert f'value="{email}"' in answer.content.decode()
    assert membership(cast, cast.editor).role == Role.EDITOR


def test_a_fresh_link_for_who_has_never_signed_in(cast: Cast, browser: Any) -> None:
    first = link_in(
        browser.post("/team/members/add/", {"email": "new@example.org", "role": "viewer"}).content.decode()
    )
    row = Membership.objects.get(user__email="new@example.org")
    second = link_in(browser.post(f"/team/members/{row.pk}/invite/").content.decode())
    assert client_of(None).get(first).status_code == 410
    assert client_of(None).get(second).status_code == 200


def test_no_link_to_the_account_of_who_signs_in_already(cast: Cast, browser: Any) -> None:
    User.objects.filter(pk=cast.editor.pk).update(last_login=NOW)
    answer = browser.post(f"/team/members/{membership(cast, cast.editor).pk}/invite/")
    assert answer.status_code == 400
    assert not OneTimeSignIn.objects.exists()


def test_another_role_counts_at_once_and_is_written_down(cast: Cast, browser: Any) -> None:
    reader = client_of(cast.viewer)
    assert reader.get("/certificates/new/").status_code == 403
    browser.post(f"/team/members/{membership(cast, cast.viewer).pk}/role/", {"role": "editor"})
    assert client_of(cast.viewer).get("/certificates/new/").status_code == 200
    event = AuditEvent.objects.get(action="member.role_changed")
    assert (event.actor, event.facts) == (cast.owner, {"member": "viewer@example.org", "role": "editor"})


def test_removing_asks_first(cast: Cast, browser: Any) -> None:
    address = f"/team/members/{membership(cast, cast.editor).pk}/remove/"
    assert "Remove Editor from Payments?" in browser.get(address).content.decode()
    assert membership(cast, cast.editor)
    browser.post(address)
    assert not Membership.objects.filter(team=cast.team, user=cast.editor).exists()
    assert client_of(cast.editor).get("/team/").status_code == 403, "who is in no team is told so"
    assert AuditEvent.objects.filter(action="member.removed", object_name="Editor").exists()


def test_a_team_never_loses_its_last_owner(cast: Cast, browser: Any) -> None:
    row = membership(cast, cast.owner)
    for address, data in (
        (f"/team/members/{row.pk}/role/", {"role": "viewer"}),
        (f"/team/members/{row.pk}/remove/", {}),
    ):
        answer = browser.post(address, data)
        assert answer.status_code == 409
        assert "the only owner" in answer.content.decode()
    assert membership(cast, cast.owner).role == Role.OWNER


def test_an_owner_whose_account_is_off_is_no_owner_to_leave_the_team_to(cast: Cast) -> None:
    Membership.objects.filter(team=cast.team, user=cast.editor).update(role=Role.OWNER)
    User.objects.filter(pk=cast.editor.pk).update(is_active=False)
    with pytest.raises(Conflict):
        members.remove(membership=membership(cast, cast.owner), actor=cast.actor)


def test_with_two_owners_one_may_go(cast: Cast, browser: Any) -> None:
    browser.post(f"/team/members/{membership(cast, cast.editor).pk}/role/", {"role": "owner"})
    browser.post(f"/team/members/{membership(cast, cast.owner).pk}/remove/")
    assert not Membership.objects.filter(team=cast.team, user=cast.owner).exists()


def test_viewers_see_who_is_in_the_team_and_can_change_nothing(cast: Cast) -> None:
    page = client_of(cast.viewer).get("/team/").content.decode()
    assert "owner@example.org" in page
    assert "/team/members/" not in page
    assert "/team/audit/" not in page


def test_a_member_of_another_team_is_out_of_reach(cast: Cast, browser: Any) -> None:
    row = Membership.objects.get(team=cast.other_team)
    for path in ("role", "remove", "invite"):
        assert browser.post(f"/team/members/{row.pk}/{path}/", {"role": "viewer"}).status_code == 404


def test_switching_the_team(cast: Cast) -> None:
    Membership.objects.create(team=cast.other_team, user=cast.viewer, role=Role.VIEWER)
    browser = client_of(cast.viewer)
    assert "<h1>Payments</h1>" in browser.get("/team/").content.decode()
    browser.post("/team/switch/", {"team": cast.other_team.pk})
    assert "<h1>Strangers</h1>" in browser.get("/team/").content.decode()
    for wanted in (Team.objects.create(name="Third").pk, "", "nonsense"):
        assert browser.post("/team/switch/", {"team": wanted}).status_code == 404
    assert browser.get("/team/switch/").status_code == 405


def test_the_policy_is_told(cast: Cast) -> None:
    assert "a third of the lifetime" in client_of(cast.viewer).get("/team/policy/").content.decode()


def test_a_link_dies_after_a_day(cast: Cast) -> None:
    from portal import one_time
    from portal.errors import PortalError

    token = one_time.issue(cast.nobody, timezone.now())
    one_time.find(token, timezone.now() + dt.timedelta(hours=23))
    with pytest.raises(PortalError):
        one_time.find(token, timezone.now() + dt.timedelta(hours=24))
