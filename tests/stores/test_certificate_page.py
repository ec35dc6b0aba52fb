"""The page of one certificate, its versions and stores: what is seen, by whom, and what can be done."""

from __future__ import annotations

import datetime as dt

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from portal import runs
from portal.models import AuditEvent, TaskRun
from providers.models import Host, Provider
from stores import watch
from stores.formats.parsed import Upload
from stores.models import Certificate, Store, Version
from stores.saving import keep
from tests.cast import Cast, client_of, kept, pem_upload
from tests.material import NOW, Minted, mint

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]
MOST_QUERIES = 13


@pytest.fixture
def root() -> Minted:
    return mint("Example Root R1", ca=True, end=3000)


@pytest.fixture
def orders(cast: Cast, root: Minted) -> Certificate:
    """Two versions, the second of which fails in six days because of its intermediate; shown by a provider."""
    old, new = mint("Example CA 1", root, ca=True), mint("Example CA 2", root, ca=True, begin=-1800, end=6)
    kept(cast, mint("orders", old), old)
    certificate = kept(cast, mint("orders", new, key_name="second"), new).certificate
    Provider.objects.create(
        team=cast.team,
        name="orders",
        title="Orders API",
        host="secret.example.org",
        key_certificate=certificate,
    )
    watch.find_due(NOW)
    return Certificate.objects.get(pk=certificate.pk)


def text(client: Client, address: str, status: int = 200) -> str:
    answer = client.get(address)
    assert answer.status_code == status
    return answer.content.decode()


def version(certificate: Certificate, number: int) -> Version:
    return certificate.versions.get(number=number)


def page(certificate: Certificate, tab: str = "") -> str:
    return f"/certificates/{certificate.pk}/{tab}"


def act(one: Version, what: str) -> str:
    return f"/certificates/versions/{one.pk}/{what}/"


class TestOverview:
    def test_it_says_when_it_fails_and_which_link_ends(self, cast: Cast, orders: Certificate) -> None:
        shown = text(client_of(cast.viewer), page(orders))
        assert "Fails in 6 days" in shown
        assert "because Example CA 2, a link of its chain, ends" in shown
        assert "ends first, in 6 days" in shown

    def test_the_missing_link_is_drawn_and_found_in_a_trust_store(
        self, cast: Cast, orders: Certificate, root: Minted
    ) -> None:
        assert "CN=Example Root R1" in text(client_of(cast.viewer), page(orders))
        trusted = kept(cast, root, name="example-root", store="partner-cas", kind="trust").certificate
        shown = text(client_of(cast.viewer), page(orders))
        assert (
            f'it is in your trust store <a href="{trusted.get_absolute_url()}">partner-cas / example-root</a>'
            in shown
        )

    def test_a_missing_link_that_strangers_keep_is_not_told(
        self, cast: Cast, orders: Certificate, root: Minted
    ) -> None:
        kept(
            Cast(**(cast.__dict__ | {"team": cast.other_team, "owner": cast.outsider})),
            root,
            name="x",
            store="theirs",
            kind="trust",
        )
        assert "theirs" not in text(client_of(cast.viewer), page(orders))

    def test_a_bundle_is_a_table_of_what_ends_first(self, cast: Cast) -> None:
        roots = [
            mint(f"Root {number:02}", key_name="one for all", ca=True, end=100 + number)
            for number in reversed(range(30))
        ]
        certificate = kept(cast, *roots, name="bundle", store="partners", kind="trust").certificate
        answer = client_of(cast.viewer).get(page(certificate))
        shown = answer.content.decode()
        assert "1 of 30 ends in 100 days" in shown
        assert "Show the other 10" in shown
        assert (
            shown.index("Root 00")
            < shown.index("Root 19")
            < shown.index("Show the other 10")
            < shown.index("Root 20")
        )

    def test_a_certificate_that_waits_shows_what_is_staged(self, cast: Cast, root: Minted) -> None:
        staged = kept(cast, mint("orders", root), at_once=False)
        shown = text(client_of(cast.editor), page(staged.certificate))
        assert "Chain of staged version 1" in shown
        assert act(staged, "activate") in shown
        assert act(staged, "activate") not in text(client_of(cast.viewer), page(staged.certificate))

    def test_what_came_from_outside_is_shown_harmless(self, cast: Cast) -> None:
        certificate = kept(cast, mint("<script>alert(1)</script> \u202egnp.exe"), name="odd").certificate
        shown = text(client_of(cast.viewer), page(certificate))
        assert "<script>alert" not in shown
        assert "\u202e" not in shown

    def test_findings_of_the_upload_stay_but_the_end_is_told_as_of_now(
        self, cast: Cast, root: Minted
    ) -> None:
        authority = mint("Example CA", root, ca=True)
        leaf = mint("orders", authority, begin=-300, end=20)
        upload = Upload(name="orders.pem", content=authority.pem + leaf.pem + leaf.key_pem, store="key")
        saved = keep(
            team=cast.team, upload=upload, store_name="s", certificate_name="n", actor=cast.actor, now=NOW
        )
        certificate = saved.certificate
        codes = {finding["code"] for finding in version(certificate, 1).findings}
        assert {"chain_reordered", "expires_soon"} <= codes
        shown = text(client_of(cast.viewer), page(certificate))
        assert "were in another order" in shown
        assert "Ask its issuer for a new one now" not in shown

    def test_host_names_are_for_editors(self, cast: Cast, orders: Certificate) -> None:
        for tab in ("", "used-by/"):
            assert "secret.example.org" in text(client_of(cast.editor), page(orders, tab))
            seen_by_viewer = text(client_of(cast.viewer), page(orders, tab))
            assert "secret.example.org" not in seen_by_viewer
            assert "Orders API" in seen_by_viewer

    @pytest.mark.parametrize("tab", ["", "versions/", "used-by/", "history/"])
    def test_queries_are_few(self, cast: Cast, orders: Certificate, root: Minted, tab: str) -> None:
        for task in (runs.WATCH, runs.DELIVERY):
            TaskRun.objects.create(
                task=task, started_at=timezone.now(), finished_at=timezone.now(), seconds=0
            )
        kept(cast, root, name="example-root", store="partner-cas", kind="trust")
        client = client_of(cast.owner)
        with CaptureQueriesContext(connection) as captured:
            text(client, page(orders, tab))
        assert len(captured.captured_queries) <= MOST_QUERIES

    def test_sealed_bytes_are_not_even_read(self, cast: Cast, orders: Certificate) -> None:
        client = client_of(cast.owner)
        with CaptureQueriesContext(connection) as captured:
            for tab in ("", "versions/", "compare/"):
                text(client, page(orders, tab))
        assert not [query for query in captured.captured_queries if "sealed_key" in query["sql"]]


class TestHistory:
    def test_it_says_who_did_what_without_their_address(self, cast: Cast, orders: Certificate) -> None:
        shown = text(client_of(cast.viewer), page(orders, "history/"))
        assert "created it in outbound" in shown
        assert (
            shown.index("made version 2 active")
            < shown.index("uploaded version 2")
            < shown.index("uploaded version 1")
        )
        assert "owner@example.org" in shown
        assert "192.0.2.1" not in shown

    def test_every_action_of_the_portal_on_certificates_has_its_words(
        self, cast: Cast, orders: Certificate
    ) -> None:
        client = client_of(cast.owner)
        client.post(act(version(orders, 1), "activate"))
        client.post(act(version(orders, 2), "purge"))
        client.post(page(orders, "edit/"), {"name": "renamed", "description": "", "owner": ""})
        shown = text(client, page(orders, "history/"))
        for words in (
            "restored version 1",
            "purged file and key of version 2",
            "from “orders-client” to “renamed”",
        ):
            assert words in shown


class TestRestoring:
    def test_one_confirmation_names_what_follows(self, cast: Cast, orders: Certificate) -> None:
        shown = text(client_of(cast.editor), act(version(orders, 1), "activate"))
        assert "Restore version 1?" in shown
        assert "Orders API" in shown
        assert "CN=Example CA 1" in shown
        assert version(orders, 2).state == "active"

    def test_an_editor_restores(self, cast: Cast, orders: Certificate) -> None:
        answer = client_of(cast.editor).post(act(version(orders, 1), "activate"), follow=True)
        assert "Version 1 is active." in answer.content.decode()
        assert (version(orders, 1).state, version(orders, 2).state) == ("active", "superseded")

    def test_what_has_ended_is_refused_with_the_reason(self, cast: Cast, root: Minted) -> None:
        certificate = kept(cast, mint("orders", root, end=1)).certificate
        kept(cast, mint("orders", root, key_name="next"))
        with time_machine.travel(NOW + dt.timedelta(days=2), tick=False):
            answer = client_of(cast.editor).post(act(version(certificate, 1), "activate"))
        assert answer.status_code == 400
        assert "Upload its successor" in answer.content.decode()
        assert version(certificate, 2).state == "active"

    def test_a_purged_version_cannot_come_back(self, cast: Cast, orders: Certificate) -> None:
        client = client_of(cast.owner)
        client.post(act(version(orders, 1), "purge"))
        answer = client.post(act(version(orders, 1), "activate"))
        assert answer.status_code == 400
        assert "were purged" in answer.content.decode()


class TestStaged:
    @pytest.fixture
    def staged(self, cast: Cast, orders: Certificate, root: Minted) -> Version:
        return kept(cast, mint("orders", root, key_name="third"), at_once=False)

    def test_it_is_activated_discarded_or_given_a_date(
        self, cast: Cast, orders: Certificate, staged: Version
    ) -> None:
        client = client_of(cast.editor)
        client.post(act(staged, "schedule"), {"activate_at": "2026-06-03T08:30"})
        staged.refresh_from_db()
        assert staged.activate_at == dt.datetime(2026, 6, 3, 8, 30, tzinfo=dt.UTC)
        assert "3 Jun 2026, 08:30 UTC" in text(client, page(orders, "versions/"))
        client.post(act(staged, "activate"))
        assert Version.objects.filter(pk=staged.pk, state="active", activate_at=None).exists()

    def test_a_discarded_one_stays_in_the_list(
        self, cast: Cast, orders: Certificate, staged: Version
    ) -> None:
        client = client_of(cast.editor)
        assert "Discard version 3?" in text(client, act(staged, "discard"))
        client.post(act(staged, "discard"))
        assert "Discarded" in text(client, page(orders, "versions/"))
        again = client.post(act(staged, "discard"))
        assert again.status_code == 409
        assert "not staged any more" in again.content.decode()

    @pytest.mark.parametrize(
        ("given", "sentence"),
        [
            ("2026-05-01T08:00", "This instant has passed"),
            ("2036-05-01T08:00", "Choose an earlier instant"),
            ("tomorrow", "valid date"),
        ],
    )
    def test_a_date_that_cannot_be_is_refused(
        self, cast: Cast, staged: Version, given: str, sentence: str
    ) -> None:
        answer = client_of(cast.editor).post(act(staged, "schedule"), {"activate_at": given})
        assert answer.status_code == 422
        assert sentence in answer.content.decode()
        staged.refresh_from_db()
        assert staged.activate_at is None


class TestSideBySide:
    def test_two_versions_are_compared(self, cast: Cast, orders: Certificate) -> None:
        shown = text(client_of(cast.viewer), page(orders, "compare/?old=1&new=2"))
        assert "CN=Example CA 1" in shown
        assert "CN=Example CA 2" in shown
        assert "no gain" in shown
        assert "a new key" in shown

    @pytest.mark.parametrize("query", ["?old=1&new=9", "?old=x", "?new=", "?old=-1"])
    def test_a_version_that_is_not_there_is_not_found(
        self, cast: Cast, orders: Certificate, query: str
    ) -> None:
        text(client_of(cast.viewer), page(orders, f"compare/{query}"), 404)


class TestEditing:
    def test_a_new_name_breaks_nothing(self, cast: Cast, orders: Certificate) -> None:
        client = client_of(cast.editor)
        data = {
            "name": "orders-2026",
            "description": "towards the order system",
            "owner": str(cast.viewer.pk),
        }
        client.post(page(orders, "edit/"), data)
        orders.refresh_from_db()
        assert (orders.name, orders.description, orders.owner) == (
            "orders-2026",
            "towards the order system",
            cast.viewer,
        )
        assert Provider.objects.get().key_certificate == orders
        assert "orders-2026" in text(client, page(orders))

    @pytest.mark.parametrize(
        ("given", "sentence"),
        [
            ({"name": "BILLING"}, "has a certificate “BILLING” already"),
            ({"name": ""}, "required"),
            ({"name": "x" * 101}, "at most 100"),
            ({"name": "a\u202eb"}, "control or invisible"),
            ({"name": "a", "owner": "99999"}, "valid choice"),
            ({"name": "a", "description": "x" * 2001}, "at most 2000"),
        ],
    )
    def test_what_cannot_be_is_said_beside_the_field_and_stays_typed(
        self, cast: Cast, orders: Certificate, given: dict[str, str], sentence: str
    ) -> None:
        kept(cast, mint("billing"), name="billing")
        answer = client_of(cast.editor).post(
            page(orders, "edit/"), {"description": "typed", "owner": ""} | given
        )
        shown = answer.content.decode()
        assert answer.status_code == 422
        assert sentence in shown
        assert "typed" in shown or "description" in given
        orders.refresh_from_db()
        assert orders.name == "orders-client"

    def test_an_outsider_cannot_become_its_owner(self, cast: Cast, orders: Certificate) -> None:
        answer = client_of(cast.editor).post(
            page(orders, "edit/"), {"name": "a", "owner": str(cast.outsider.pk)}
        )
        assert answer.status_code == 422


class TestDeleting:
    def test_what_is_used_is_refused_with_the_list(self, cast: Cast, orders: Certificate) -> None:
        client = client_of(cast.owner)
        assert "orders-client is in use" in text(client, page(orders, "delete/"))
        answer = client.post(page(orders, "delete/"))
        assert answer.status_code == 409
        assert "Orders API (provider)" in answer.content.decode()
        assert Certificate.objects.filter(pk=orders.pk).exists()

    def test_what_nothing_uses_goes_after_one_question(self, cast: Cast, orders: Certificate) -> None:
        Provider.objects.all().delete()
        client = client_of(cast.owner)
        assert "all 2 versions and their private keys" in text(client, page(orders, "delete/"))
        answer = client.post(page(orders, "delete/"), follow=True)
        assert "orders-client was deleted." in answer.content.decode()
        assert not Certificate.objects.filter(pk=orders.pk).exists()
        assert AuditEvent.objects.filter(action="certificate.deleted", object_id=orders.pk).exists()

    def test_a_store_is_guarded_by_what_uses_its_certificates(self, cast: Cast, orders: Certificate) -> None:
        client, address = client_of(cast.owner), f"/stores/{orders.store_id}/delete/"
        answer = client.post(address)
        assert answer.status_code == 409
        assert "Orders API" in answer.content.decode()
        Provider.objects.all().delete()
        assert "its 1 certificate" in text(client, address)
        assert client.post(address).status_code == 302
        assert not Store.objects.exists()

    def test_a_trust_store_is_guarded_by_who_trusts_all_of_it(self, cast: Cast, root: Minted) -> None:
        store = kept(cast, root, name="root", store="partners", kind="trust").certificate.store
        Host.objects.create(team=cast.team, name="gate", host_name="gate.example.org", trust_store=store)
        answer = client_of(cast.owner).post(f"/stores/{store.pk}/delete/")
        assert answer.status_code == 409
        assert "gate (host)" in answer.content.decode()

    def test_an_empty_store_that_is_trusted_is_kept(self, cast: Cast) -> None:
        store = Store.objects.create(team=cast.team, kind="trust", name="partners")
        Host.objects.create(team=cast.team, name="gate", host_name="gate.example.org", trust_store=store)
        answer = client_of(cast.owner).post(f"/stores/{store.pk}/delete/")
        assert answer.status_code == 409
        assert Store.objects.filter(pk=store.pk).exists()


class TestStores:
    def test_they_are_listed_with_what_they_hold_and_what_fails_next(
        self, cast: Cast, orders: Certificate
    ) -> None:
        Store.objects.create(
            team=cast.team, kind="trust", name="Partner CAs", description="of the other side"
        )
        client = client_of(cast.viewer)
        shown = text(client, "/stores/")
        assert (
            shown.index("outbound")
            < shown.index("1 certificate<")
            < shown.index("in 6 days")
            < shown.index("Partner CAs")
        )
        assert "outbound" not in text(client, "/stores/?q=other+side").split("<main")[1]
        assert "Partner CAs" not in text(client, "/stores/?kind=key")

    def test_a_store_is_made_and_its_name_is_taken_then(self, cast: Cast) -> None:
        client = client_of(cast.editor)
        data = {"kind": "trust", "name": "Partner CAs", "description": ""}
        made = client.post("/stores/new/", data)
        store = Store.objects.get()
        assert (made.status_code, made["Location"], store.kind) == (302, store.get_absolute_url(), "trust")
        answer = client.post("/stores/new/", data | {"name": "partner cas"})
        assert answer.status_code == 422
        assert "has a store “partner cas” already" in answer.content.decode()

    def test_a_store_is_renamed(self, cast: Cast, orders: Certificate) -> None:
        store = orders.store
        client_of(cast.editor).post(
            f"/stores/{store.pk}/edit/", {"name": "towards partners", "description": "x"}
        )
        store.refresh_from_db()
        assert (store.name, store.description, store.kind) == ("towards partners", "x", "key")
        assert "towards partners / orders-client" in text(client_of(cast.viewer), "/certificates/")

    def test_its_page_lists_its_own_and_leads_to_the_upload(self, cast: Cast, orders: Certificate) -> None:
        kept(cast, mint("other"), name="elsewhere", store="another")
        shown = text(client_of(cast.editor), f"/stores/{orders.store_id}/")
        assert "orders-client" in shown
        assert "elsewhere" not in shown
        assert f"/certificates/new/?store={orders.store_id}" in shown
        assert "/certificates/new/" not in text(client_of(cast.viewer), f"/stores/{orders.store_id}/")

    def test_an_empty_list_says_what_belongs_there(self, cast: Cast) -> None:
        assert "There is no store yet" in text(client_of(cast.editor), "/stores/")
        store = Store.objects.create(team=cast.team, kind="key", name="outbound")
        assert "each with its private key" in text(client_of(cast.editor), f"/stores/{store.pk}/")

    def test_queries_do_not_grow_with_the_stores(self, cast: Cast, orders: Certificate) -> None:
        client, counts = client_of(cast.viewer), []
        for turn in range(2):
            with CaptureQueriesContext(connection) as captured:
                text(client, "/stores/")
            counts.append(len(captured.captured_queries))
            Store.objects.bulk_create(
                Store(team=cast.team, kind="key", name=f"store {turn} {number}") for number in range(30)
            )
        assert counts[0] == counts[1] <= MOST_QUERIES


def test_a_version_has_a_page_with_its_own_chain_and_findings(cast: Cast, orders: Certificate) -> None:
    shown = text(client_of(cast.viewer), f"/certificates/versions/{version(orders, 1).pk}/")
    assert "Example CA 1" in shown
    assert "Example CA 2" not in shown
    assert "Superseded" in shown


def test_a_file_name_of_the_upload_is_shown_harmless(cast: Cast) -> None:
    upload = pem_upload(mint("orders"), name='<img src=x onerror="x">\u202e.pem')
    certificate = keep(
        team=cast.team, upload=upload, store_name="s", certificate_name="n", actor=cast.actor, now=NOW
    ).certificate
    for tab in ("", "versions/"):
        shown = text(client_of(cast.viewer), page(certificate, tab))
        assert "<img" not in shown
        assert "\u202e" not in shown
