"""The lists of providers and hosts: search, filters, order, pages and CSV, at a constant number of queries."""

from __future__ import annotations

import csv
import datetime as dt
import io
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from providers.models import Host, Provider
from stores import watch
from stores.models import Certificate
from tests.cast import Cast, client_of, kept
from tests.material import NOW, mint
from tests.providers.conftest import Register

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]
LIST, HOSTS = reverse("providers:providers"), reverse("providers:hosts")


@pytest.fixture
def editor(cast: Cast) -> Client:
    return client_of(cast.editor)


def names(client: Client, query: str = "", url: str = LIST) -> list[str]:
    """What is listed, in order."""
    return [row.name for row, _ in client.get(url + query).context["rows"]]


def cells(client: Client, url: str) -> list[list[str]]:
    text = client.get(url).getvalue().decode()
    return list(csv.reader(io.StringIO(text.removeprefix("\ufeff"))))


@pytest.fixture
def near(cast: Cast) -> Certificate:
    """Fails in 5 days, flagged as urgent."""
    one = kept(cast, mint("near", begin=-300, end=5), name="near").certificate
    watch.find_due(NOW)
    return one


class TestFinding:
    def test_by_name_title_and_host(self, register: Register, editor: Client) -> None:
        register(name="orders", title="Shop API")
        register(name="billing", host="pay.example.net")
        assert names(editor, "?q=SHOP") == ["orders"]
        assert names(editor, "?q=bill") == ["billing"]
        assert names(editor, "?q=pay.example") == ["billing"]
        assert names(editor, "?q=nothing") == []

    def test_by_type(self, register: Register, editor: Client) -> None:
        register(name="a"), register(name="b", type="on_premise")
        assert names(editor, "?type=on_premise") == ["b"]

    def test_by_the_state_of_what_is_shown_and_trusted(
        self, register: Register, editor: Client, near: Certificate, key_certificate: Certificate, cast: Cast
    ) -> None:
        root = kept(
            cast,
            mint("Near Root", ca=True, begin=-300, end=20),
            name="near-root",
            store="Callers",
            kind="trust",
        ).certificate
        calm = kept(
            cast, mint("Calm Root", ca=True, end=3000), name="calm-root", store="Callers", kind="trust"
        ).certificate
        watch.find_due(NOW)
        register(name="shows", key_certificate=near)
        register(name="trusts all", trust_store=root.store)
        register(name="trusts one", trust_store=calm.store, trust_certificate=calm)
        register(name="calm", key_certificate=key_certificate)
        assert names(editor, "?state=urgent") == ["shows"]
        assert names(editor, "?state=warning") == ["trusts all"]
        assert names(editor, "?state=flagged") == ["shows", "trusts all"]
        assert names(editor, "?state=expired") == []

    @pytest.mark.parametrize(
        "query",
        ["?state=moon&type=moon&sort=moon", "?cursor=x", "?cursor=WyJhIl0:x", "?q=%00", "?q=" + "x" * 500],
    )
    def test_nonsense_in_the_address_breaks_nothing(
        self, register: Register, editor: Client, query: str
    ) -> None:
        register()
        assert editor.get(LIST + query).status_code < 500

    def test_filters_stay_in_the_form(self, register: Register, editor: Client) -> None:
        form = editor.get(LIST + "?q=shop&type=internet&sort=fails").context["form"]
        assert [form[name].value() for name in ("q", "type", "sort")] == ["shop", "internet", "fails"]


class TestOrder:
    def test_what_fails_first_stands_first(
        self,
        register: Register,
        editor: Client,
        near: Certificate,
        key_certificate: Certificate,
        trusted: Certificate,
    ) -> None:
        register(name="a never")
        register(name="b later", trust_store=trusted.store)
        register(name="c soon", key_certificate=near, trust_store=trusted.store)
        register(
            name="d in a year",
            key_certificate=key_certificate,
            trust_store=trusted.store,
            trust_certificate=trusted,
        )
        assert names(editor, "?sort=fails") == ["c soon", "d in a year", "b later", "a never"]
        assert names(editor) == ["a never", "b later", "c soon", "d in a year"]
        assert names(editor, "?sort=-name") == ["d in a year", "c soon", "b later", "a never"]

    def test_of_a_store_only_the_chosen_certificate_counts(
        self, cast: Cast, register: Register, editor: Client, key_certificate: Certificate
    ) -> None:
        for name, end in (("soon-root", 5), ("late-root", 3000)):
            late = kept(
                cast, mint(name, ca=True, begin=-300, end=end), name=name, store="Callers", kind="trust"
            ).certificate
        register(name="a late", trust_store=late.store, trust_certificate=late)
        register(name="b in a year", key_certificate=key_certificate)
        register(name="c soon", trust_store=late.store)
        assert names(editor, "?sort=fails") == ["c soon", "b in a year", "a late"]

    @pytest.mark.parametrize("sort", ["name", "-name", "fails", "new"])
    def test_pages_give_every_row_once_forwards_and_backwards(
        self, cast: Cast, editor: Client, near: Certificate, sort: str
    ) -> None:
        rows = [
            Provider(
                team=cast.team, name=f"p{n:03}", host="h.example", key_certificate=near if n % 3 else None
            )
            for n in range(120)
        ]
        Provider.objects.bulk_create(rows)
        seen, cursor = [], ""
        for _ in range(3):
            page = editor.get(LIST, {"sort": sort, "cursor": cursor}).context["page"]
            seen.append([row.name for row in page.rows])
            cursor = page.next
        assert cursor == ""
        assert [len(rows) for rows in seen] == [50, 50, 20]
        assert len({name for rows in seen for name in rows}) == 120
        back = editor.get(LIST, {"sort": sort, "cursor": page.previous}).context["page"]
        assert [row.name for row in back.rows] == seen[1]

    def test_hosts_alike(self, cast: Cast, editor: Client, near: Certificate, trusted: Certificate) -> None:
        Host.objects.create(team=cast.team, name="a", host_name="a.example", trust_store=trusted.store)
        Host.objects.create(team=cast.team, name="b", host_name="b.example", key_certificate=near)
        assert names(editor, "?sort=fails", HOSTS) == ["b", "a"]
        assert names(editor, "?state=urgent", HOSTS) == ["b"]
        assert names(editor, "?q=a.exam", HOSTS) == ["a"]
        assert names(client_of(cast.viewer), "?q=a.exam", HOSTS) == []


class TestCost:
    def test_the_number_of_queries_does_not_grow(
        self, cast: Cast, editor: Client, near: Certificate, trusted: Certificate
    ) -> None:
        counts = []
        for many in (1, 49):
            first = Provider.objects.count()
            rows = [
                Provider(
                    team=cast.team,
                    name=f"p{first + n}",
                    host="h.example",
                    key_certificate=near,
                    trust_store=trusted.store,
                )
                for n in range(many)
            ]
            Provider.objects.bulk_create(rows)
            for row in rows[:1]:
                Host.objects.create(
                    team=cast.team,
                    name=row.name,
                    host_name="h.example",
                    key_certificate=near,
                    trust_store=trusted.store,
                )
            for url in (
                LIST,
                LIST + "?sort=fails&state=flagged&q=p",
                HOSTS,
                rows[0].get_absolute_url(),
                reverse("providers:edit", args=[rows[0].pk]),
            ):
                with CaptureQueriesContext(connection) as queries:
                    assert editor.get(url).status_code == 200
                counts.append((url, len(queries)))
        assert [count for _, count in counts[:5]] == [count for _, count in counts[5:]]
        assert max(count for url, count in counts if not url.endswith("/edit/")) <= 14, counts
        assert max(count for _, count in counts) <= 16, counts

    def test_no_page_counts_all_rows(self, register: Register, editor: Client) -> None:
        register()
        with CaptureQueriesContext(connection) as queries:
            editor.get(LIST)
        assert not [
            query["sql"]
            for query in queries
            if "COUNT(" in query["sql"] and "providers_provider" in query["sql"]
        ]


class TestCsv:
    def test_it_holds_what_the_list_shows_filtered_alike(
        self, register: Register, editor: Client, near: Certificate, trusted: Certificate
    ) -> None:
        register(name="b", title="Bee", key_certificate=near, trust_store=trusted.store, path_prefix="/v1")
        register(name="a", type="on_premise", location_id="berlin")
        header, *rows = cells(editor, reverse("providers:providers_csv"))
        first, second = (dict(zip(header, row, strict=True)) for row in rows)
        assert (first["name"], first["type"], first["location"], first["public CAs"]) == (
            "a",
            "On premise",
            "berlin",
            "no",
        )
        assert (second["shows"], second["trusts"], second["state"]) == ("near", "Partner CAs", "urgent")
        assert second["fails at"].startswith((NOW + dt.timedelta(days=5)).date().isoformat())
        assert second["because"] == "near: near"
        assert second["catalogue"] == "https://orders.example.org/v1"
        assert [row[0] for row in cells(editor, reverse("providers:providers_csv") + "?q=Bee")[1:]] == ["b"]

    @pytest.mark.parametrize("start", ["=", "+", "-", "@"])
    def test_formulas_are_defused(self, register: Register, editor: Client, start: str) -> None:
        register(name=f"{start}cmd()", description=f"{start}1+1")
        header, row = cells(editor, reverse("providers:providers_csv"))
        assert (row[0], row[header.index("description")]) == (f"'{start}cmd()", f"'{start}1+1")

    def test_it_is_a_download_by_name(self, editor: Client) -> None:
        for name in ("providers", "hosts"):
            assert (
                editor.get(reverse(f"providers:{name}_csv"))["Content-Disposition"]
                == f'attachment; filename="{name}.csv"'
            )

    def test_viewers_get_no_column_with_addresses(self, register: Register, cast: Cast) -> None:
        register()
        assert "host name" not in cells(client_of(cast.viewer), reverse("providers:hosts_csv"))[0]
        columns = {
            user: set(cells(client_of(user), reverse("providers:providers_csv"))[0])
            for user in (cast.viewer, cast.editor)
        }
        assert columns[cast.editor] - columns[cast.viewer] == {
            "host",
            "port",
            "server name",
            "location",
            "catalogue",
            "user name",
        }

    def test_all_rows_are_there(self, cast: Cast, editor: Client, django_assert_max_num_queries: Any) -> None:
        Provider.objects.bulk_create(
            [Provider(team=cast.team, name=f"p{n:04}", host="h.example") for n in range(1200)]
        )
        with django_assert_max_num_queries(14):
            rows = cells(editor, reverse("providers:providers_csv"))
        assert len(rows) == 1201


def test_an_empty_list_says_what_belongs_there_and_offers_the_first_action(
    editor: Client, cast: Cast
) -> None:
    page = editor.get(LIST).getvalue().decode()
    assert "No provider yet" in page
    assert reverse("providers:new") in page
    assert reverse("providers:new") not in client_of(cast.viewer).get(LIST).getvalue().decode()
    assert "No host yet" in editor.get(HOSTS).getvalue().decode()
