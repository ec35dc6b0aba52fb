"""The page of an overlap, what leads to it, and what it lets people do."""

from __future__ import annotations

import html
from typing import Any

import pytest
from django.contrib.auth.models import AbstractBaseUser
from django.urls import reverse

from providers.models import Host, Overlap, Provider
from stores.models import Version
from tests.cast import Cast, client_of, kept
from tests.material import NOW, mint
from tests.providers.seen import seen

OLD, NEW = (mint(name, ca=True, end=2000) for name in ("Old CA", "New CA"))
pytestmark = pytest.mark.usefixtures("now")


@pytest.fixture
def first(cast: Cast) -> Version:
    return kept(cast, OLD, name="partner-ca", store="partners", kind="trust")


@pytest.fixture
def provider(cast: Cast, first: Version) -> Provider:
    return Provider.objects.create(
        team=cast.team,
        name="orders",
        title="Orders API",
        host="orders.example.org",
        trust_store=first.certificate.store,
    )


@pytest.fixture
def overlap(cast: Cast, provider: Provider) -> Overlap:
    kept(cast, NEW, name="partner-ca", store="partners", kind="trust")
    return Overlap.objects.get()


def move(provider: Provider) -> None:
    seen(provider, mint("orders.example.org", NEW), anchor=NEW)


def page_of(overlap: Overlap, user: AbstractBaseUser) -> str:
    answer = client_of(user).get(f"/providers/overlaps/{overlap.pk}/")  # type: ignore[arg-type]
    assert answer.status_code == 200
    return html.unescape(answer.content.decode())


def post(user: Any, overlap: Overlap, what: str, **fields: str) -> Any:
    return client_of(user).post(f"/providers/overlaps/{overlap.pk}/{what}/", fields, follow=True)


class TestPage:
    def test_who_has_not_moved_can_be_tested_from_there(
        self, cast: Cast, provider: Provider, overlap: Overlap
    ) -> None:
        page = page_of(overlap, cast.editor)
        assert "0 of 1 seen with the new one" in page
        assert "Not seen yet" in page
        assert f'action="/providers/{provider.pk}/test/"' in page

    def test_who_has_moved_is_told_with_the_evidence(
        self, cast: Cast, provider: Provider, overlap: Overlap
    ) -> None:
        move(provider)
        page = page_of(overlap, cast.viewer)
        assert "Safe to remove the old one" in page
        assert "with a chain ending in New CA" in page
        assert "Remove version 1" not in page

    def test_who_cannot_be_reached_is_said_to_be_so_without_the_address(
        self, cast: Cast, overlap: Overlap
    ) -> None:
        Provider.objects.create(
            team=cast.team, name="inside", host="10.1.2.3", trust_store=overlap.certificate.store
        )
        assert "10.1.2.3" in page_of(overlap, cast.editor)
        page = page_of(overlap, cast.viewer)
        assert "Cannot be reached from here" in page
        assert "10.1.2.3" not in page

    def test_a_host_is_told_of_as_well(self, cast: Cast, provider: Provider, overlap: Overlap) -> None:
        Host.objects.create(team=cast.team, name="api", host_name="h", trust_store=overlap.certificate.store)
        move(provider)
        page = page_of(overlap, cast.viewer)
        assert "1 of 2 seen with the new one" in page
        assert "Callers connect to it" in page

    def test_it_asks_a_constant_number_of_questions(
        self, cast: Cast, overlap: Overlap, django_assert_max_num_queries: Any
    ) -> None:
        for number in range(30):
            Provider.objects.create(
                team=cast.team, name=f"p{number}", host="h", trust_store=overlap.certificate.store
            )
        browser = client_of(cast.editor)
        with django_assert_max_num_queries(14):
            browser.get(f"/providers/overlaps/{overlap.pk}/")


class TestRemoving:
    def test_what_is_safe_goes_at_once(self, cast: Cast, provider: Provider, overlap: Overlap) -> None:
        move(provider)
        answer = post(cast.editor, overlap, "close")
        assert "Version 1 is not trusted any more." in answer.content.decode()
        overlap.refresh_from_db()
        assert overlap.closed_by == cast.editor
        assert "Version 1 is not trusted any more" in page_of(overlap, cast.viewer)

    def test_what_is_not_is_asked_once_naming_them(
        self, cast: Cast, provider: Provider, overlap: Overlap
    ) -> None:
        answer = post(cast.editor, overlap, "close")
        page = answer.content.decode()
        assert answer.status_code == 409
        assert "Calls to these may fail from now on" in page
        assert "Orders API" in page
        overlap.refresh_from_db()
        assert overlap.closed_at is None
        post(cast.editor, overlap, "close", despite="1")
        overlap.refresh_from_db()
        assert overlap.closed_at == NOW

    def test_a_second_click_is_no_error(self, cast: Cast, provider: Provider, overlap: Overlap) -> None:
        move(provider)
        for _ in range(2):
            assert post(cast.editor, overlap, "close").status_code == 200

    def test_an_owner_chooses_that_it_goes_by_itself(
        self, cast: Cast, provider: Provider, overlap: Overlap
    ) -> None:
        assert (
            "will go as soon as"
            in post(cast.owner, overlap, "by-itself", removes_itself="on").content.decode()
        )
        assert "goes by itself" in page_of(overlap, cast.editor)
        assert "stays trusted" in post(cast.owner, overlap, "by-itself").content.decode()
        move(provider)
        said = post(cast.owner, overlap, "by-itself", removes_itself="on").content.decode()
        assert "It was safe already" in said

    def test_reading_the_addresses_of_its_buttons_changes_nothing(self, cast: Cast, overlap: Overlap) -> None:
        for what in ("close", "by-itself"):
            assert client_of(cast.owner).get(f"/providers/overlaps/{overlap.pk}/{what}/").status_code == 405


class TestAround:
    def test_the_page_of_the_certificate_leads_to_it(
        self, cast: Cast, provider: Provider, overlap: Overlap
    ) -> None:
        address = overlap.certificate.get_absolute_url()
        page = client_of(cast.viewer).get(address).content.decode()
        assert "0 of 1 seen with the new one" in page
        assert f"/providers/overlaps/{overlap.pk}/" in page
        move(provider)
        assert "Safe to remove the old one" in client_of(cast.viewer).get(address).content.decode()

    def test_the_sentence_of_the_provider_stays_true(
        self, cast: Cast, provider: Provider, overlap: Overlap
    ) -> None:
        page = " ".join(client_of(cast.viewer).get(provider.get_absolute_url()).content.decode().split())
        assert "stays trusted beside version 2" in page
        post(cast.editor, overlap, "close", despite="1")
        page = client_of(cast.viewer).get(provider.get_absolute_url()).content.decode()
        assert "stays trusted beside" not in page

    def test_the_download_of_the_store_holds_what_is_trusted(
        self, cast: Cast, provider: Provider, overlap: Overlap
    ) -> None:
        browser = client_of(cast.viewer)
        address = reverse("stores:store_download", args=[overlap.certificate.store_id])
        assert browser.get(address).content.count(b"BEGIN CERTIFICATE") == 2
        post(cast.editor, overlap, "close", despite="1")
        assert browser.get(address).content == NEW.pem

    def test_a_purge_is_refused_with_the_way_out(self, cast: Cast, first: Version, overlap: Overlap) -> None:
        answer = client_of(cast.owner).post(reverse("stores:version_purge", args=[first.pk]))
        assert answer.status_code == 409
        assert "Version 1 is still trusted beside the active one." in answer.content.decode()
