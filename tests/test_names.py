"""Names that differ in letter case alone are one name, in every script and on every database."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from portal.models import ApiToken, Named, Team, User
from portal.names import fold
from providers.models import Host, Provider
from stores.models import Certificate, Store
from tests.cast import Cast, client_of

pytestmark = pytest.mark.django_db
Maker = Callable[[str], Named]
MODELS = (Team, Store, Certificate, Provider, Host, ApiToken)
ONE_NAME = {
    "umlaut": ("Ärzte", "ärzte"),
    "sharp s": ("Straße", "STRASSE"),
    "Greek final sigma": ("ΟΔΟΣ", "οδος"),
    "Cyrillic": ("Склад", "склад"),
    "composed and not": ("Caf\u00e9", "CAFE\u0301"),
}
TWO_NAMES = {
    "Turkish dotless i": ("ISI", "\u0131s\u0131"),
    "Turkish dotted capital I": ("İzmir", "izmir"),
    "accent": ("Cafe", "Café"),
    "superscript": ("m2", "m²"),
}


@pytest.fixture(params=MODELS, ids=lambda model: model.__name__)
def make(request: pytest.FixtureRequest, cast: Cast) -> Maker:
    """Makes a row of each named model, not saved, always in the same team and store."""
    store = Store.objects.create(team=cast.team, kind="key", name="kept here")
    facts: dict[type[Named], dict[str, Any]] = {
        Team: {},
        Store: {"team": cast.team, "kind": "key"},
        Certificate: {"team": cast.team, "store": store},
        Provider: {"team": cast.team, "host": "orders.example.org"},
        Host: {"team": cast.team, "host_name": "orders.example.org", "client_certificate": "off"},
        ApiToken: {"team": cast.team, "role": "viewer", "created_by": cast.owner},
    }

    def made(name: str) -> Named:
        digest = (
            {"token_sha256": hashlib.sha256(name.encode()).hexdigest()} if request.param is ApiToken else {}
        )
        row: Named = request.param(name=name, **facts[request.param], **digest)
        return row

    return made


@pytest.mark.parametrize(("first", "second"), ONE_NAME.values(), ids=ONE_NAME)
class TestOneName:
    def test_folds_to_the_same(self, first: str, second: str) -> None:
        assert fold(first) == fold(second) == fold(fold(first))

    def test_is_refused_by_the_database(self, make: Maker, first: str, second: str) -> None:
        make(first).save()
        with pytest.raises(IntegrityError), transaction.atomic():
            make(second).save()

    def test_is_refused_with_a_sentence_where_the_row_is_checked(
        self, make: Maker, first: str, second: str
    ) -> None:
        make(first).save()
        with pytest.raises(ValidationError, match="of this name"):
            make(second).full_clean()

    def test_is_refused_when_many_are_written_or_one_renamed(
        self, make: Maker, first: str, second: str
    ) -> None:
        rows = type(make(first))._default_manager
        rows.bulk_create([make(first)])
        with pytest.raises(IntegrityError), transaction.atomic():
            rows.bulk_create([make(second)])
        other = make("another")
        other.save()
        other.name = second
        with pytest.raises(IntegrityError), transaction.atomic():
            other.save()


@pytest.mark.parametrize(("first", "second"), TWO_NAMES.values(), ids=TWO_NAMES)
def test_names_that_differ_in_more_than_case_stand_side_by_side(make: Maker, first: str, second: str) -> None:
    for row in (make(first), make(second)):
        row.full_clean()
        row.save()


def test_the_longest_name_keeps_room_for_its_folded_form(make: Maker) -> None:
    row = make("ΐﬃ" * 50)
    row.full_clean()
    row.save()
    row.refresh_from_db()
    assert row.folded_name == fold("ΐﬃ" * 50)


def test_no_character_folds_to_more_than_three() -> None:
    """What the length of the folded column rests on."""
    everything = (chr(point) for point in range(0x110000) if not 0xD800 <= point < 0xE000)
    assert max(len(fold(character)) for character in everything) <= 3


class TestForms:
    def test_an_upload_says_that_the_store_is_of_the_other_kind(self, cast: Cast) -> None:
        Store.objects.create(team=cast.team, kind="trust", name="Ärzte")
        typed = {"kind": "key", "store_name": "ÄRZTE", "name": "orders", "pasted": "x"}
        answer = client_of(cast.owner).post("/certificates/new/", typed)
        assert "“Ärzte” is a trust store" in answer.content.decode()

    def test_a_new_store_is_refused_beside_its_name(self, cast: Cast) -> None:
        Store.objects.create(team=cast.team, kind="trust", name="Ärzte")
        answer = client_of(cast.owner).post("/stores/new/", {"kind": "key", "name": "äRZTE"})
        assert answer.status_code == 422
        assert "Your team has a store “äRZTE” already." in answer.content.decode()

    def test_a_renamed_certificate_is_refused_beside_its_name(self, cast: Cast) -> None:
        store = Store.objects.create(team=cast.team, kind="key", name="outbound")
        Certificate.objects.create(team=cast.team, store=store, name="Straße")
        other = Certificate.objects.create(team=cast.team, store=store, name="other")
        answer = client_of(cast.owner).post(f"/certificates/{other.pk}/edit/", {"name": "STRASSE"})
        assert answer.status_code == 422
        assert "The store has a certificate “STRASSE” already." in answer.content.decode()

    @pytest.mark.parametrize("kind", ["provider", "host"])
    def test_providers_and_hosts_are_refused_beside_their_name(self, cast: Cast, kind: str) -> None:
        Provider.objects.create(team=cast.team, name="Ärzte", host="a.example.org")
        Host.objects.create(team=cast.team, name="Ärzte", host_name="a.example.org", client_certificate="off")
        typed = {
            "name": "ärzte",
            "port": "443",
            "host": "b.example.org",
            "host_name": "b.example.org",
            "type": "internet",
            "authentication": "none",
            "client_certificate": "off",
        }
        answer = client_of(cast.owner).post(f"/{kind}s/new/", typed)
        assert answer.status_code == 409
        assert f"Your team has a {kind} “ärzte” already." in answer.content.decode()

    def test_a_team_is_refused_in_the_administration(self, cast: Cast) -> None:
        staff = User.objects.create_user(email="root@example.org", is_staff=True)
        Team.objects.create(name="Ärzte")
        members = {
            "memberships-TOTAL_FORMS": "1",
            "memberships-INITIAL_FORMS": "0",
            "memberships-0-user": str(cast.owner.pk),
            "memberships-0-role": "owner",
        }
        answer = client_of(staff).post("/admin/portal/team/add/", {"name": "ÄRZTE", **members})
        assert answer.status_code == 200
        assert "There is a team of this name." in answer.content.decode()


@pytest.mark.parametrize("text", ["ärzte", "ÄRZTE", "Ärzte"])
def test_lists_and_fields_find_a_name_in_any_case(cast: Cast, text: str) -> None:
    store = Store.objects.create(team=cast.team, kind="key", name="Ärztekammer")
    Certificate.objects.create(team=cast.team, store=store, name="Client")
    Provider.objects.create(team=cast.team, name="Ärzteportal", host="a.example.org")
    Host.objects.create(
        team=cast.team, name="Ärztezugang", host_name="a.example.org", client_certificate="off"
    )
    client = client_of(cast.owner)
    for address, name in (
        ("/stores/", "Ärztekammer"),
        ("/certificates/", "Ärztekammer"),
        ("/providers/", "Ärzteportal"),
        ("/hosts/", "Ärztezugang"),
    ):
        assert name in client.get(address, {"q": text}).content.decode(), address
    choices = client.get(f"/providers/choices/{cast.team.pk}/", {"field": "key_certificate", "q": text})
    assert "Ärztekammer / Client" in choices.content.decode()
