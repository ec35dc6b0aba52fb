"""The administration: every page is walked; nothing sealed appears, and only people and teams can be changed."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from django.contrib import admin
from django.core.mail import send_mail
from django.db import models
from django.test import Client
from django.urls import reverse

from portal import tokens, urls, vault
from portal.models import ApiToken, AuditEvent, Membership, OneTimeSignIn, Role, TaskRun, Team, User
from providers.models import Host, Provider
from stores import drafts, webhooks
from stores.inspection import inspect
from stores.models import (
    Case,
    Certificate,
    ChainCertificate,
    Draft,
    Flag,
    Notice,
    Store,
    Version,
    WebhookAttempt,
)
from tests.cast import Cast, client_of, kept, pem_upload
from tests.material import NOW, mint

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]
EDITED = {User, Team}
assert urls.urlpatterns, "the addresses close the administration to other packages"
MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)
READ_ONLY = [model for model in MODELS if model not in EDITED]
SEALED = {
    "sealed_key",
    "sealed_password",
    "original",
    "key_original",
    "sealed_with",
    "der",
    "token_sha256",
    "inspection",
    "target",
    "password",
}


@pytest.fixture
def staff(cast: Cast) -> User:
    return User.objects.create_user(email="root@example.org", password="correct horse battery", is_staff=True)


@pytest.fixture
def browser(staff: User) -> Any:
    return client_of(staff)


@pytest.fixture
def rows(cast: Cast) -> dict[type[models.Model], models.Model]:
    """One row of every model that is shown."""
    leaf = mint("orders", mint("Example Root", ca=True))
    version = kept(cast, leaf)
    upload = pem_upload(mint("draft"))
    target = drafts.Target(kind="key", store_name="s", name="n")
    draft = drafts.propose(
        team=cast.team,
        user=cast.owner,
        upload=upload,
        inspection=inspect(upload, NOW),
        target=target,
        now=NOW,
    )
    provider = Provider(
        team=cast.team,
        name="orders",
        host="orders.example.org",
        authentication="basic",
        user_name="robot",
        sealed_with="tests",
    )
    provider.sealed_password = vault.seal(b"Password-4711", provider.binding())
    provider.save()
    flag = Flag.objects.create(
        version=version,
        ends_sha256="0" * 64,
        ends_name="x",
        ends_at=NOW,
        stage="notice",
        crossed_at=NOW,
        flagged_at=NOW,
    )
    hook, _ = webhooks.make(
        team=cast.team,
        name="chat",
        url="http://127.0.0.1/s3cret-part",
        shape="text",
        actor=cast.actor,
        now=NOW,
    )
    found: list[models.Model] = [
        cast.editor, cast.team, version, version.certificate, version.certificate.store, draft, provider, flag,
        ChainCertificate.objects.get(version=version, position=0),
        Host.objects.create(team=cast.team, name="api", host_name="api.example.org"),
        Case.objects.create(team=cast.team, certificate=version.certificate, version=version, stage="notice", fails_at=NOW, opened_at=NOW),
        Notice.objects.create(team=cast.team, flag=flag, user=cast.owner, recipient="o", channel="portal", created_at=NOW, due_at=NOW),
        tokens.make(team=cast.team, name="pipeline", role=Role.VIEWER, actor=cast.actor)[0],
        hook,
        WebhookAttempt.objects.create(team=cast.team, webhook=hook, message_id="m", body="{}", at=NOW),
        AuditEvent.objects.latest("pk"),
        TaskRun.objects.create(task="t", started_at=NOW),
    ]  # fmt: skip
    return {type(row): row for row in found}


def page(model: type[models.Model], what: str, *args: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{what}", args=args)


def secrets_of(rows: dict[type[models.Model], models.Model]) -> list[str]:
    """What may stand on no page: sealed bytes in any writing, where they lie, digests, passwords."""
    found = [
        "Password-4711",
        "BEGIN CERTIFICATE",
        "BEGIN PRIVATE KEY",
        "correct horse battery",
        "s3cret-part",
    ]
    for row in rows.values():
        for field in row._meta.concrete_fields:
            value = getattr(row, field.attname)
            if isinstance(field, models.BinaryField) and value:
                raw = bytes(value)
                found += [raw.hex(), repr(raw)[2:40], base64.b64encode(raw).decode()[:40], str(value)]
            elif field.name in SEALED - {"sealed_with", "inspection", "target"} and value:
                found.append(str(value))
    return found


def test_only_our_own_models_are_there() -> None:
    assert {model._meta.app_label for model in MODELS} == {"portal", "stores", "providers"}
    assert not {OneTimeSignIn, Membership} & set(MODELS)


def test_there_is_a_row_of_each(rows: dict[type[models.Model], models.Model]) -> None:
    assert set(rows) == set(MODELS)


def test_every_page_opens_and_none_shows_what_is_sealed(
    browser: Any, rows: dict[type[models.Model], models.Model]
) -> None:
    secrets = secrets_of(rows)
    assert len(secrets) > 20
    addresses = [reverse("admin:index")]
    for model, row in rows.items():
        addresses += [
            page(model, "changelist"),
            page(model, "change", row.pk),
            page(model, "history", row.pk),
        ]
        addresses += [
            page(model, "changelist") + "?q=orders",
            reverse("admin:app_list", args=[model._meta.app_label]),
        ]
    for address in addresses:
        answer = browser.get(address, follow=True)
        assert answer.status_code == 200, address
        text = answer.content.decode()
        shown = [secret for secret in secrets if secret in text]
        assert shown == [], address


@pytest.mark.parametrize("model", MODELS)
def test_no_field_of_sealed_bytes_is_named(model: type[models.Model]) -> None:
    shown = admin.site._registry[model]
    names = {*(shown.fields or ()), *shown.list_display, *shown.search_fields, *shown.list_filter}
    assert shown.fields, "fields are named, so that a new one is not shown by itself"
    assert not names & SEALED
    binary = {field.name for field in model._meta.concrete_fields if isinstance(field, models.BinaryField)}
    assert not names & binary


@pytest.mark.parametrize("model", READ_ONLY)
def test_what_is_for_reading_cannot_be_changed(
    browser: Any, rows: dict[type[models.Model], models.Model], model: type[models.Model]
) -> None:
    row = rows[model]
    before = model._default_manager.filter(pk=row.pk).values().get()
    values = {name: "changed" for name, value in before.items() if isinstance(value, str)}
    assert browser.post(page(model, "change", row.pk), values).status_code == 403
    assert browser.get(page(model, "add")).status_code == 403
    assert browser.post(page(model, "add"), values).status_code == 403
    assert browser.post(page(model, "delete", row.pk), {"post": "yes"}).status_code == 403
    data = {"action": "delete_selected", "_selected_action": row.pk, "post": "yes"}
    browser.post(page(model, "changelist"), data)
    assert model._default_manager.filter(pk=row.pk).values().get() == before
    form = browser.get(page(model, "change", row.pk)).content.decode()
    for name in values:
        assert f'name="{name}"' not in form


@pytest.mark.parametrize("who", ["owner", "outsider", None])
def test_who_is_no_administrator_is_kept_out(cast: Cast, who: str | None) -> None:
    browser = client_of(getattr(cast, who) if who else None)
    for address in [
        reverse("admin:index"),
        *(page(model, "changelist") for model in MODELS),
        page(Team, "add"),
    ]:
        answer: Any = browser.get(address, follow=True)
        assert answer.status_code == 403 or answer.request["PATH_INFO"] == "/accounts/login/", address
        assert "Administration" not in answer.content.decode()


def test_an_administrator_enters_by_the_same_door(staff: User) -> None:
    browser: Any = Client()
    sent = browser.get("/admin/", follow=True)
    assert sent.request["PATH_INFO"] == "/accounts/login/"
    assert "Storekeeper" in sent.content.decode()
    answer = browser.post(
        "/accounts/login/", {"login": staff.email, "password": "correct horse battery", "next": "/admin/"}
    )
    assert answer.url == "/admin/"
    assert browser.get("/admin/").status_code == 200


def test_a_new_account_gets_a_link_that_signs_in_once(browser: Any) -> None:
    data = {"email": "Nina@Example.org", "first_name": "Nina", "is_active": "on"}
    answer = browser.post(page(User, "add"), data, follow=True)
    user = User.objects.get(email="nina@example.org")
    assert not user.has_usable_password()
    assert "/accounts/once/" in answer.content.decode()
    assert "/accounts/once/" not in str(AuditEvent.objects.values())
    again = browser.post(page(User, "add"), data | {"email": "NINA@example.org"})
    assert "There is an account of this address." in again.content.decode()


def test_a_link_for_who_has_lost_everything_is_written_down(browser: Any, cast: Cast, staff: User) -> None:
    data = {"action": "make_link", "_selected_action": cast.editor.pk}
    answer = browser.post(page(User, "changelist"), data, follow=True)
    assert "/accounts/once/" in answer.content.decode()
    event = AuditEvent.objects.get(action="account.link_made")
    assert (event.actor, event.object_id) == (staff, str(cast.editor.pk))


def test_nobody_shuts_themselves_out_or_deletes_people(browser: Any, cast: Cast, staff: User) -> None:
    answer = browser.post(page(User, "change", staff.pk), {"email": staff.email})
    assert "This is you" in answer.content.decode()
    staff.refresh_from_db()
    assert staff.is_staff
    assert staff.is_active
    assert browser.post(page(User, "delete", cast.editor.pk), {"post": "yes"}).status_code == 403


def test_switching_an_account_off_ends_its_sessions(browser: Any, cast: Cast) -> None:
    theirs: Any = client_of(cast.editor)
    assert theirs.get("/team/").status_code == 200
    browser.post(page(User, "change", cast.editor.pk), {"email": cast.editor.email})
    assert theirs.get("/team/").status_code == 302


def members(
    team: Team | None, *rows: tuple[object, object, str], delete: int | None = None
) -> dict[str, Any]:
    """The inline form of a team's members: membership id, user, role."""
    initial = team.memberships.count() if team else 0
    data: dict[str, Any] = {
        "name": team.name if team else "New",
        "memberships-TOTAL_FORMS": len(rows),
        "memberships-INITIAL_FORMS": initial,
    }
    for number, (pk, user, role) in enumerate(rows):
        data |= {
            f"memberships-{number}-id": pk,
            f"memberships-{number}-user": user,
            f"memberships-{number}-role": role,
        }
        data |= {f"memberships-{number}-team": team.pk if team else ""}
    if delete is not None:
        data[f"memberships-{delete}-DELETE"] = "on"
    return data


def present(team: Team) -> list[tuple[object, object, str]]:
    return [(row.pk, row.user_id, row.role) for row in team.memberships.order_by("pk")]


def test_a_team_and_its_members_are_made_changed_and_written_down(browser: Any, cast: Cast) -> None:
    browser.post(page(Team, "add"), members(None, ("", cast.nobody.pk, "owner")))
    team = Team.objects.get(name="New")
    assert team.memberships.get().user == cast.nobody
    browser.post(
        page(Team, "change", team.pk),
        members(team, *present(team), ("", cast.editor.pk, "viewer")) | {"name": "Renamed"},
    )
    assert {str(row.user): row.role for row in team.memberships.all()} == {
        "Nobody": "owner",
        "Editor": "viewer",
    }
    done = list(AuditEvent.objects.filter(team=team).order_by("pk").values_list("action", flat=True))
    assert done == ["team.created", "member.added", "team.renamed", "member.added"]


def test_a_team_keeps_an_owner(browser: Any, cast: Cast) -> None:
    team, rows = cast.team, present(cast.team)
    owner = next(number for number, row in enumerate(rows) if row[2] == "owner")
    demoted = [(pk, user, "viewer") for pk, user, _ in rows]
    for data in (members(team, *demoted), members(team, *rows, delete=owner)):
        answer = browser.post(page(Team, "change", team.pk), data)
        assert answer.status_code == 200
        assert "A team needs an owner" in answer.content.decode()
    assert Membership.objects.filter(team=team, role=Role.OWNER).count() == 1
    User.objects.filter(pk=cast.owner.pk).update(is_active=False)
    assert (
        "A team needs an owner"
        in browser.post(page(Team, "change", team.pk), members(team, *rows)).content.decode()
    )


def test_a_team_that_keeps_something_is_not_deleted(
    browser: Any, cast: Cast, rows: dict[type[models.Model], models.Model]
) -> None:
    assert browser.post(page(Team, "delete", cast.team.pk), {"post": "yes"}).status_code == 403
    assert browser.post(page(Team, "delete", cast.other_team.pk), {"post": "yes"}).status_code == 302
    assert Team.objects.get() == cast.team
    assert AuditEvent.objects.filter(action="team.deleted").exists()


def test_samples_are_what_they_seem() -> None:
    """The models that hold what is sealed are among those that are walked."""
    assert {Version, Provider, ChainCertificate, Draft, ApiToken, Certificate, Store} <= set(MODELS)


def test_mail_of_the_embedded_default_is_shown_to_administrators(
    browser: Any, cast: Cast, settings: Any, tmp_path: Any
) -> None:
    assert browser.get("/admin/mail/").status_code == 404, "where mail is sent there is nothing to show"
    settings.EMAIL_BACKEND, settings.EMAIL_FILE_PATH = (
        "django.core.mail.backends.filebased.EmailBackend",
        str(tmp_path),
    )
    assert "Nothing has been sent yet" in browser.get("/admin/mail/").content.decode()
    for number in range(2):
        send_mail(f"Subject {number}", "Look: http://localhost/x <b>", None, [f"{number}@example.org"])
    text = browser.get("/admin/mail/").content.decode()
    for part in ("Subject 0", "Subject 1", "1@example.org", 'href="http://localhost/x"', "&lt;b&gt;"):
        assert part in text
    refused: Any = client_of(cast.owner).get("/admin/mail/", follow=True)
    assert refused.status_code == 403
    assert "Subject 0" not in refused.content.decode()
