"""The example team shows every state, and goes without a trace but the audit's."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from portal.audit import Actor
from portal.errors import Conflict
from portal.models import AuditEvent, Membership, Team, User
from providers import example
from providers.models import Host, Provider
from stores import originals
from stores.models import Case, Certificate, ChainCertificate, Draft, Flag, Notice, Store, Version
from stores.usage import uses_of
from tests.cast import Cast, client_of, kept
from tests.material import NOW

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]


def files() -> set[str]:
    """Names of all sealed files."""
    return {name for names in originals.by_folder() for name in names}


@pytest.fixture
def team(cast: Cast) -> Team:
    return example.load(actor=cast.actor, now=NOW)


def test_every_state_is_there(team: Team) -> None:
    stages = {one.name: one.stage for one in Certificate.objects.filter(team=team)}
    assert stages == {
        "orders-client": "urgent", "payments-client": "warning", "reports-client": "notice", "catalogue-client": "expired",
        "archive-client": "", "api-gateway": "", "partner-bundle": "notice", "bank-root": "", "example-root": "",
    }  # fmt: skip
    states = set(Version.objects.filter(team=team).values_list("state", flat=True))
    assert states == {"active", "superseded", "staged"}


def test_one_connection_test_is_there_to_read_and_none_is_ever_run(team: Team, cast: Cast) -> None:
    orders = Provider.objects.get(team=team, name="orders")
    assert orders.last_good == orders.reports.get()
    assert orders.server_ends_name == "orders.example.org"
    text = client_of(cast.owner).get(orders.reports.get().get_absolute_url()).content.decode()
    assert "The connection works" in text and "Partner Root 3" in text and "orders-client" in text
    assert not Provider.objects.filter(team=team, is_watched=True).exists()


def test_history_chain_bundle_and_staged_successor(team: Team) -> None:
    orders = Certificate.objects.get(team=team, name="orders-client")
    assert [(one.number, one.state) for one in orders.versions.order_by("number")] == [
        (1, "superseded"),
        (2, "superseded"),
        (3, "active"),
    ]
    payments = Version.objects.get(certificate__name="payments-client", team=team)
    assert payments.fails_name == "Example Issuing CA 1"
    assert payments.chain.count() == 3
    bundle = Version.objects.get(certificate__name="partner-bundle", team=team)
    assert bundle.chain.count() == 3
    staged = Version.objects.get(team=team, state="staged")
    assert staged.activate_at == NOW + dt.timedelta(days=14)
    assert staged.format == "pkcs12"


def test_two_providers_and_a_host_use_some_and_others_are_unused(team: Team) -> None:
    certificates = list(Certificate.objects.filter(team=team))
    uses = uses_of(certificates)
    users = {use.title for found in uses.values() for use in found}
    assert users == {"Order system", "Payments of the bank", "api"}
    assert {one.name for one in certificates if one.pk not in uses} == {
        "reports-client",
        "catalogue-client",
        "archive-client",
    }


def test_nothing_is_refused_or_warned_of_but_time(team: Team) -> None:
    codes = {finding["code"] for version in Version.objects.filter(team=team) for finding in version.findings}
    assert codes <= {"expires_soon", "password_not_needed"}


def test_loading_twice_gives_the_same(cast: Cast, team: Team) -> None:
    assert example.load(actor=cast.actor, now=NOW) == team
    other = example.load(actor=Actor(cast.outsider), now=NOW)
    assert (team.name, other.name) == ("Example", "Example 2")


def test_removing_leaves_the_audit_and_nothing_else(
    cast: Cast, django_capture_on_commit_callbacks: Any
) -> None:
    mine = kept(cast)
    before = files()
    team = example.load(actor=cast.actor, now=NOW)
    assert len(files()) > len(before) + 10
    with django_capture_on_commit_callbacks(execute=True):
        example.remove(team=team, actor=cast.actor)
    assert files() == before
    for model in (Store, Certificate, Version, Draft, Case, Notice, Provider, Host, Membership):
        assert not model._default_manager.filter(team_id=team.pk).exists(), model
    assert ChainCertificate.objects.filter(version=mine).count() == ChainCertificate.objects.count()
    assert not Flag.objects.exclude(version=mine).exists()
    assert AuditEvent.objects.filter(team_id=team.pk, action="team.deleted").exists()
    root: Any = Client()
    root.force_login(
        User.objects.create_user(email="root@example.org", is_staff=True),
        "django.contrib.auth.backends.ModelBackend",
    )
    for address in (
        reverse("admin:portal_auditevent_changelist"),
        reverse("admin:portal_auditevent_change", args=[AuditEvent.objects.latest("pk").pk]),
    ):
        assert root.get(address).status_code == 200, "what is told of a team that is gone can be read"


def test_no_other_team_is_removed(cast: Cast) -> None:
    with pytest.raises(Conflict):
        example.remove(team=cast.team, actor=cast.actor)
    assert client_of(cast.owner).post(f"/team/{cast.team.pk}/example/remove/").status_code == 409
    assert Team.objects.filter(pk=cast.team.pk).exists()


def test_by_two_clicks(cast: Cast) -> None:
    browser: Any = client_of(cast.owner)
    shown = browser.post("/team/example/load/", follow=True).content.decode()
    team = Team.objects.get(is_example=True)
    assert "This is an example team" in shown
    address = f"/team/{team.pk}/example/remove/"
    assert address in shown
    assert client_of(cast.outsider).post(address).status_code == 404
    gone = browser.post(address, follow=True).content.decode()
    assert "This is an example team" not in gone
    assert not Team.objects.filter(is_example=True).exists()


@pytest.mark.parametrize("who", ["viewer", "editor"])
def test_who_may_not_invite_people_makes_no_team(cast: Cast, who: str) -> None:
    assert client_of(getattr(cast, who)).post("/team/example/load/").status_code == 403
    assert not Team.objects.filter(is_example=True).exists()
