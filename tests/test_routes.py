"""Every route of the portal, tried as everybody. A new route is tried as well, without a line here.

A view that is neither guarded nor named as public fails; so does a guard on a model that has no sample below.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import models
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone

from portal.models import Membership, Role, User
from portal.permissions import RANK, Action
from providers.models import Gateway, GatewayToken, Host, Provider, SharePage
from stores import drafts, webhooks
from stores.inspection import inspect
from stores.models import Case, Feed, Flag, IssuerNote, Notice, Watcher, WebhookAttempt
from tests.cast import Cast, client_of, kept, pem_upload
from tests.material import NOW, mint
from tests.providers.samples import samples_of

OTHER_DOORS = ("admin/", "accounts/", "api/", "static/")
"""Guarded by their own libraries and tested by their own tests."""
PUBLIC = {"favicon", "health_live", "health_ready", "metrics"} | {
    "handover", "handover_installed", "handover_trust", "handover_certificate", "feed_calendar", "feed_notices", "unsubscribe",
    "discovery_secrets",
}  # fmt: skip
"""Open on purpose: share pages and the way out of mails are for people without an account, feeds and the discovery of secrets for programs;
all are opened by a secret (tests/providers/test_sharing.py, tests/stores/test_feeds.py, tests/stores/test_unsubscribe.py,
tests/providers/gateway/test_discovery.py)."""


Guard = tuple[Action, type[models.Model] | None]
"""What may be done, and with a row of which model."""


def routes(patterns: Any = None, prefix: str = "", names: str = "") -> Iterator[tuple[str, str, Any]]:
    """Address pattern, name and view of every route behind our own guard."""
    for entry in get_resolver().url_patterns if patterns is None else patterns:
        path = prefix + str(entry.pattern)
        if path.startswith(OTHER_DOORS):
            continue
        if isinstance(entry, URLResolver):
            space = f"{names}{entry.namespace}:" if entry.namespace else names
            yield from routes(entry.url_patterns, path, space)
        elif isinstance(entry, URLPattern):
            yield path, f"{names}{entry.name}", entry.callback


ROUTES = list(routes())
GUARDED = [(path, name, view.guard) for path, name, view in ROUTES if hasattr(view, "guard")]
OF_MODELS = [(name, guard) for _, name, guard in GUARDED if guard[1] is not None]


def test_every_view_is_guarded_or_public() -> None:
    open_views = [
        (path, name)
        for path, name, view in ROUTES
        if not hasattr(view, "guard") and name.split(":")[-1] not in PUBLIC
    ]
    assert open_views == []


@pytest.fixture
def samples(cast: Cast) -> dict[type[models.Model], models.Model]:
    """One row of each model that a guard loads, all of the same team."""
    version = kept(cast, now=timezone.now())
    upload = pem_upload(mint("draft", end=timezone.now().replace(year=timezone.now().year + 1)))
    now = timezone.now()
    draft = drafts.propose(
        team=cast.team,
        user=cast.owner,
        upload=upload,
        inspection=inspect(upload, now),
        target=drafts.Target(kind="key", store_name="s", name="n"),
        now=now,
    )
    flag = Flag.objects.create(
        version=version,
        ends_sha256="0" * 64,
        ends_name="x",
        ends_at=NOW,
        stage="notice",
        crossed_at=NOW,
        flagged_at=NOW,
    )
    provider = Provider.objects.create(team=cast.team, name="orders", host="orders.example.org")
    rows = [
        cast.team,
        version,
        version.certificate,
        version.certificate.store,
        draft,
        flag,
        Case.objects.create(
            team=cast.team,
            certificate=version.certificate,
            version=version,
            stage="notice",
            fails_at=NOW,
            opened_at=NOW,
        ),
        Notice.objects.create(
            team=cast.team,
            flag=flag,
            user=cast.owner,
            recipient="owner@example.org",
            channel="portal",
            created_at=NOW,
            due_at=NOW,
        ),
        Watcher.objects.create(
            team=cast.team, certificate=version.certificate, email="w@example.org", added_at=NOW
        ),
        provider,
        *samples_of(version, provider),
        Host.objects.create(team=cast.team, name="api", host_name="api.example.org"),
        Membership.objects.get(team=cast.team, role=Role.VIEWER),
        Feed.objects.create(team=cast.team, user=cast.viewer, token_sha256="0" * 64, created_at=NOW),
        *more_samples(cast),
    ]
    return {type(row): row for row in rows}


def more_samples(cast: Cast) -> list[models.Model]:
    from portal.models import ApiToken

    hook, _ = webhooks.make(
        team=cast.team, name="chat", url="http://127.0.0.1/", shape="standard", actor=cast.actor, now=NOW
    )
    provider = Provider.objects.create(team=cast.team, name="shared", host="shared.example.org")
    gateway = Gateway.objects.create(team=cast.team, name="edge")
    return [
        gateway,
        GatewayToken.objects.create(team=cast.team, gateway=gateway, token_sha256="0" * 64, created_at=NOW),
        SharePage.objects.create(
            team=cast.team, provider=provider, token_sha256="0" * 64, created_at=NOW, expires_at=NOW
        ),
        IssuerNote.objects.create(
            team=cast.team, issuer="CN=x", issuer_sha256="0" * 64, text="Ask.", updated_at=NOW
        ),
        ApiToken.objects.create(
            team=cast.team, name="pipeline", token_sha256="0" * 64, role=Role.VIEWER, created_by=cast.owner
        ),
        hook,
        WebhookAttempt.objects.create(team=cast.team, webhook=hook, message_id="m", body="{}", at=NOW),
    ]


def address(
    name: str,
    guard: Guard,
    samples: dict[type[models.Model], models.Model],
) -> str:
    pattern = next(path for path, known, _ in ROUTES if known == name)
    kwargs: dict[str, object] = {part.split(":")[-1].split(">")[0]: "x" for part in pattern.split("<")[1:]}
    if guard[1] is not None:
        assert guard[1] in samples, f"add a sample of {guard[1].__name__} to tests/test_routes.py"
        kwargs["id"] = samples[guard[1]].pk
    return reverse(name, kwargs=kwargs)


Asked = tuple[str, str, Guard]
"""Method, address, and what guards it."""


@pytest.fixture
def asked(samples: dict[type[models.Model], models.Model]) -> list[Asked]:
    """Every guarded address. What is refused changes nothing, so the same rows serve all."""
    places = [(address(name, guard, samples), guard) for _, name, guard in GUARDED]
    return [(method, place, guard) for place, guard in places for method in ("get", "post")]


def not_answered(status: int, user: User | None, asked: list[Asked]) -> list[tuple[str, str, int]]:
    """What is answered to the user by another status than this one."""
    assert asked
    browser = client_of(user)
    answers = [(method, place, getattr(browser, method)(place).status_code) for method, place, _ in asked]
    return [answer for answer in answers if answer[2] != status]


@pytest.mark.django_db
class TestRefusals:
    def test_who_is_not_signed_in_is_sent_to_sign_in(self, asked: list[Asked]) -> None:
        assert not_answered(302, None, asked) == []
        browser = client_of(None)
        sent = {place: getattr(browser, method)(place).url for method, place, _ in asked}
        assert [one for one in sent.items() if not one[1].startswith("/accounts/login/?next=")] == []

    @pytest.mark.parametrize("role", [Role.VIEWER, Role.EDITOR])
    def test_a_lower_role_may_not(self, role: Role, asked: list[Asked], cast: Cast) -> None:
        above = [one for one in asked if RANK[role] < RANK[one[2][0].least]]
        assert not_answered(403, getattr(cast, role.value), above) == []

    def test_an_outsider_finds_nothing(self, asked: list[Asked], cast: Cast) -> None:
        of_rows = [one for one in asked if one[2][1] is not None]
        assert not_answered(404, cast.outsider, of_rows) == []
        assert not_answered(404, cast.nobody, of_rows) == []
        assert not_answered(403, cast.nobody, [one for one in asked if one not in of_rows]) == []
