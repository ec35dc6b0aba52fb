"""Tokens for programs: shown once, kept as a digest, never stronger than who made them."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import pytest

from portal import tokens
from portal.errors import Conflict, PortalError
from portal.models import ApiToken, AuditEvent, Membership, Role, User
from tests.cast import Cast, client_of
from tests.material import NOW

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]


def made(cast: Cast, role: Role = Role.EDITOR, name: str = "pipeline") -> tuple[ApiToken, str]:
    return tokens.make(team=cast.team, name=name, role=role, actor=cast.actor)


def test_it_is_shown_once_and_kept_as_a_digest(cast: Cast) -> None:
    browser: Any = client_of(cast.owner)
    page = browser.post("/team/tokens/", {"name": "pipeline", "role": "editor"})
    found = re.search(r"skp_[\w-]{43}", page.content.decode())
    assert found
    assert "no-store" in page["Cache-Control"]
    assert found[0] not in browser.get("/team/tokens/").content.decode()
    row = ApiToken.objects.get()
    assert found[0] not in str(ApiToken.objects.values())
    assert found[0] not in str(AuditEvent.objects.values())
    assert tokens.find(found[0], NOW) == row


def test_a_name_is_taken_while_its_token_works(cast: Cast) -> None:
    token, _ = made(cast)
    answer: Any = client_of(cast.owner).post("/team/tokens/", {"name": "Pipeline", "role": "viewer"})
    assert answer.status_code == 422
    assert "works already" in str(answer.context["form"].errors["name"])
    tokens.revoke(token=token, actor=cast.actor, now=NOW)
    made(cast)
    with pytest.raises(Conflict):
        made(cast)


def test_a_revoked_token_opens_nothing(cast: Cast) -> None:
    token, text = made(cast)
    browser = client_of(cast.owner)
    for _ in range(2):
        browser.post(f"/team/tokens/{token.pk}/revoke/")
    with pytest.raises(PortalError) as refused:
        tokens.find(text, NOW)
    assert (refused.value.code, refused.value.status) == ("bad_token", 401)
    assert AuditEvent.objects.filter(action="token.revoked").count() == 1


@pytest.mark.parametrize("text", ["", "skp_", "skp_wrong", "x" * 5000, "skp_\x00"])
def test_what_is_no_token_opens_nothing(cast: Cast, text: str) -> None:
    made(cast)
    with pytest.raises(PortalError):
        tokens.find(text, NOW)


def test_it_never_does_more_than_who_made_it(cast: Cast) -> None:
    _, text = made(cast, Role.EDITOR)
    rows = Membership.objects.filter(team=cast.team, user=cast.owner)
    assert tokens.effective_role(tokens.find(text, NOW)) == Role.EDITOR
    rows.update(role=Role.VIEWER)
    assert tokens.effective_role(tokens.find(text, NOW)) == Role.VIEWER
    rows.delete()
    with pytest.raises(PortalError):
        tokens.find(text, NOW)


def test_it_stops_with_the_account_of_who_made_it(cast: Cast) -> None:
    _, text = made(cast)
    User.objects.filter(pk=cast.owner.pk).update(is_active=False)
    with pytest.raises(PortalError):
        tokens.find(text, NOW)


def test_its_last_use_is_known_to_the_minute(cast: Cast) -> None:
    token, text = made(cast)
    for seconds, noted in ((0, 0), (59, 0), (60, 60), (100, 60)):
        tokens.find(text, NOW + dt.timedelta(seconds=seconds))
        token.refresh_from_db()
        assert token.last_used_at == NOW + dt.timedelta(seconds=noted)


def test_no_token_is_an_owner(cast: Cast) -> None:
    answer: Any = client_of(cast.owner).post("/team/tokens/", {"name": "pipeline", "role": "owner"})
    assert answer.status_code == 422
    assert not ApiToken.objects.exists()
