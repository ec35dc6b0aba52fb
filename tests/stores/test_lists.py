"""The list of certificates: found by any part, filtered by the address, what fails first at the top, as fast with many as with few."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from portal import runs
from portal.models import TaskRun, Team
from providers.models import Host, Provider
from stores import watch
from stores.models import Certificate, Store
from tests.bench.populate import populate
from tests.cast import Cast, client_of, kept
from tests.material import NOW, Minted, mint

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]
MOST_QUERIES = 12


def names(answer: Any) -> list[str]:
    return [row.certificate.name for row in answer.context["listed"]]


def shown(cast: Cast, query: str = "", **headers: str) -> Any:
    return client_of(cast.viewer).get(f"/certificates/{query}", headers=headers)


@pytest.fixture
def several(cast: Cast) -> dict[str, Minted]:
    """One that ends soon, one that has time, a root that is trusted, and one that waits."""
    root = mint("Example Root", ca=True, end=3000)
    made = {
        "soon": mint("CN of soon", root, begin=-200, end=40),
        "later": mint("CN of later", root, end=300),
        "root": root,
    }
    kept(cast, made["later"], name="later")
    kept(cast, made["soon"], name="soon")
    kept(cast, root, name="partner", store="partner CAs", kind="trust")
    kept(cast, mint("waits", root), name="waiting", at_once=False)
    watch.find_due(NOW)
    return made


class TestOrder:
    def test_what_fails_first_leads_and_what_is_not_active_comes_last(
        self, cast: Cast, several: dict[str, Minted]
    ) -> None:
        assert names(shown(cast)) == ["soon", "later", "partner", "waiting"]

    def test_by_name_and_by_age(self, cast: Cast, several: dict[str, Minted]) -> None:
        assert names(shown(cast, "?sort=name")) == ["later", "partner", "soon", "waiting"]
        Certificate.objects.filter(name="later").update(created_at=NOW + dt.timedelta(hours=1))
        assert names(shown(cast, "?sort=newest"))[0] == "later"

    def test_the_end_is_said_twice_with_its_cause(self, cast: Cast) -> None:
        root = mint("Example Root", ca=True)
        authority = mint("Example CA 2", root, ca=True, end=10)
        kept(cast, mint("orders", authority), authority)
        text = shown(cast).content.decode()
        assert "in 10 days" in text
        assert "11 Jun 2026, 12:00 UTC" in text
        assert "Example CA 2" in text


class TestSearch:
    @pytest.mark.parametrize("text", ["soon", "CN OF soon", "cn=cn of soon", "soon of", "  soon  "])
    def test_by_name_and_subject_in_any_case_and_order(
        self, cast: Cast, several: dict[str, Minted], text: str
    ) -> None:
        answer = client_of(cast.viewer).get("/certificates/", {"q": text})
        assert names(answer) == ["soon"]

    def test_by_fingerprint_with_colons_blanks_or_nothing(
        self, cast: Cast, several: dict[str, Minted]
    ) -> None:
        sha256 = several["later"].sha256
        pairs = [sha256[at : at + 2] for at in range(0, 64, 2)]
        for text in (sha256, ":".join(pairs).upper(), " ".join(pairs), sha256[10:30]):
            assert names(client_of(cast.viewer).get("/certificates/", {"q": text})) == ["later"], text

    def test_by_serial_as_other_tools_write_it(self, cast: Cast, several: dict[str, Minted]) -> None:
        serial = f"{several['soon'].certificate.serial_number:x}"
        even = serial.zfill(len(serial) + len(serial) % 2)
        pairs = [even[at : at + 2] for at in range(0, len(even), 2)]
        for text in (serial, f"0x{serial.upper()}", f"00:{':'.join(pairs)}".upper(), f"00{even}"):
            assert names(client_of(cast.viewer).get("/certificates/", {"q": text})) == ["soon"], text

    def test_digits_of_a_name_keep_their_zeros(self, cast: Cast) -> None:
        store = Store.objects.create(team=cast.team, kind="key", name="outbound")
        for name in ("client 000777", "client 777"):
            Certificate.objects.create(team=cast.team, store=store, name=name, search_text=name)
        assert names(shown(cast, "?q=000777")) == ["client 000777"]

    def test_wildcards_are_letters(self, cast: Cast, several: dict[str, Minted]) -> None:
        assert names(shown(cast, "?q=%25")) == []
        assert names(shown(cast, "?q=s__n")) == []

    def test_stores_providers_and_hosts_are_found_by_name(
        self, cast: Cast, several: dict[str, Minted]
    ) -> None:
        Provider.objects.create(
            team=cast.team, name="partner-api", title="Partner API", host="secret.example.org"
        )
        Host.objects.create(team=cast.team, name="partner gate", host_name="gate.example.org")
        Provider.objects.create(team=cast.other_team, name="partner of strangers", host="x.example.org")
        Store.objects.create(team=cast.other_team, kind="key", name="partner strangers")
        answer = shown(cast, "?q=partner")
        assert {(hit.kind, hit.title) for hit in answer.context["hits"]} == {
            ("store", "partner CAs"),
            ("provider", "Partner API"),
            ("host", "partner gate"),
        }
        assert "secret.example.org" not in answer.content.decode()

    @pytest.mark.parametrize("text", ["x" * 5000, "<script>alert(1)</script>", "\u202e", "'; --", "%", "\\"])
    def test_nonsense_finds_nothing_and_breaks_nothing(
        self, cast: Cast, several: dict[str, Minted], text: str
    ) -> None:
        answer = client_of(cast.viewer).get("/certificates/", {"q": text})
        assert answer.status_code == 200
        assert names(answer) == []
        assert "<script>alert" not in answer.content.decode()


class TestFilters:
    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("?kind=trust", ["partner"]),
            ("?kind=key", ["soon", "later", "waiting"]),
            ("?state=flagged", ["soon"]),
            ("?state=notice", ["soon"]),
            ("?state=expired", []),
            ("?state=valid", ["later", "partner"]),
            ("?state=staged", ["waiting"]),
            ("?state=inactive", ["waiting"]),
            ("?kind=key&state=valid&q=later", ["later"]),
            ("?owner=nobody", []),
        ],
    )
    def test_by_kind_and_state(
        self, cast: Cast, several: dict[str, Minted], query: str, expected: list[str]
    ) -> None:
        assert names(shown(cast, query)) == expected

    def test_by_store(self, cast: Cast, several: dict[str, Minted]) -> None:
        store = Store.objects.get(name="partner CAs")
        assert names(shown(cast, f"?store={store.pk}")) == ["partner"]

    def test_by_owner(self, cast: Cast, several: dict[str, Minted]) -> None:
        Certificate.objects.filter(name="later").update(owner=cast.viewer)
        Certificate.objects.filter(name="soon").update(owner=None)
        assert names(shown(cast, "?owner=me")) == ["later"]
        assert names(shown(cast, f"?owner={cast.owner.pk}")) == ["partner", "waiting"]
        assert names(shown(cast, "?owner=nobody")) == ["soon"]

    def test_by_use(self, cast: Cast, several: dict[str, Minted]) -> None:
        later, partner = Certificate.objects.get(name="later"), Store.objects.get(name="partner CAs")
        Provider.objects.create(
            team=cast.team, name="orders", host="o.example.org", key_certificate=later, trust_store=partner
        )
        assert names(shown(cast, "?used=yes")) == ["later", "partner"]
        assert names(shown(cast, "?used=no")) == ["soon", "waiting"]

    def test_they_stay_in_the_form_and_in_the_links(self, cast: Cast) -> None:
        store = Store.objects.create(team=cast.team, kind="key", name="outbound")
        Certificate.objects.bulk_create(
            Certificate(team=cast.team, store=store, name=f"client {number:03}", fails_at=NOW)
            for number in range(60)
        )
        text = shown(cast, "?kind=key&sort=name").content.decode()
        assert '<option value="key" selected>' in text
        assert 'href="?kind=key&amp;sort=name&amp;cursor=' in text
        assert "/certificates/csv/?kind=key&amp;sort=name" in text

    @pytest.mark.parametrize(
        "query", ["?state=x", "?kind=jar", "?store=abc", "?owner=99999", "?owner=x", "?used=maybe", "?sort=x"]
    )
    def test_what_nobody_offers_is_named_and_shows_nothing(
        self, cast: Cast, several: dict[str, Minted], query: str
    ) -> None:
        answer = shown(cast, query)
        assert names(answer) == []
        assert "field-error" in answer.content.decode()


class TestEmpty:
    def test_an_editor_is_offered_the_first_upload(self, cast: Cast) -> None:
        text = client_of(cast.editor).get("/certificates/").content.decode()
        assert "No certificate is kept here yet" in text
        assert "Upload the first one" in text

    def test_a_viewer_is_told_who_can(self, cast: Cast) -> None:
        text = shown(cast).content.decode()
        assert "An editor of the team uploads the first one" in text
        assert "/certificates/new/" not in text

    def test_a_search_without_result_leads_back(self, cast: Cast, several: dict[str, Minted]) -> None:
        text = shown(cast, "?q=nothing+like+it").content.decode()
        assert "No certificate matches" in text
        assert "Show all certificates" in text


class TestTeams:
    def test_only_the_team_shown_is_listed(self, cast: Cast, several: dict[str, Minted]) -> None:
        assert names(client_of(cast.outsider).get("/certificates/")) == []
        assert client_of(cast.nobody).get("/certificates/").status_code == 403

    def test_a_store_of_another_team_is_no_filter(self, cast: Cast, several: dict[str, Minted]) -> None:
        store = Store.objects.get(name="partner CAs")
        assert names(client_of(cast.outsider).get(f"/certificates/?store={store.pk}")) == []


class TestMany:
    def queries(self, cast: Cast, address: str) -> list[str]:
        client = client_of(cast.viewer)
        with CaptureQueriesContext(connection) as captured:
            assert client.get(address).status_code == 200
        return [query["sql"] for query in captured.captured_queries]

    @pytest.fixture
    def watched(self) -> None:
        """The watch has run, as it does in life."""
        TaskRun.objects.create(
            task=runs.WATCH, started_at=timezone.now(), finished_at=timezone.now(), seconds=0
        )

    @pytest.mark.usefixtures("watched")
    @pytest.mark.parametrize(
        "query",
        [
            "",
            "?q=client",
            "?q=client+000003",
            "?sort=name",
            "?sort=newest",
            "?state=valid&kind=key&used=no",
            "?state=staged",
        ],
    )
    def test_queries_are_few_and_do_not_grow(self, cast: Cast, query: str) -> None:
        populate(cast.team, 60, NOW)
        few = self.queries(cast, f"/certificates/{query}")
        populate_more(cast.team)
        many = self.queries(cast, f"/certificates/{query}")
        assert len(many) <= MOST_QUERIES
        assert len(many) <= len(few)
        assert not [
            sql
            for sql in many
            if "COUNT(" in sql and "LIMIT" not in sql and "stores_chaincertificate" not in sql
        ]

    def test_pages_follow_each_other(self, cast: Cast) -> None:
        populate(cast.team, 120, NOW)
        client = client_of(cast.viewer)
        first = client.get("/certificates/?sort=name")
        second = client.get("/certificates/", {"sort": "name", "cursor": first.context["page"].next})
        assert names(first)[-1] == "client 000049"
        assert names(second)[0] == "client 000050"
        back = client.get("/certificates/", {"sort": "name", "cursor": second.context["page"].previous})
        assert names(back) == names(first)


def populate_more(team: Team) -> None:
    """Many more rows like those that are there."""
    store = Store.objects.filter(team=team).first()
    assert store
    Certificate.objects.bulk_create(
        Certificate(
            team=team,
            store=store,
            name=f"more {number:05}",
            search_text=f"more client {number:05}",
            fails_at=NOW + dt.timedelta(days=900),
        )
        for number in range(2000)
    )
