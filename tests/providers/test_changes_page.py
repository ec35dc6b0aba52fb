"""The page of what changed at a provider, and what the dashboard says of it."""

from __future__ import annotations

import datetime as dt

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from portal.models import User
from providers.models import Change, ConnectionReport, Provider
from providers.views import changes
from tests.cast import Cast, client_of
from tests.material import NOW, mint
from tests.providers.conftest import Register
from tests.providers.seen import seen

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]
ROOT = mint("Example Root", ca=True, end=3000)
FIRST, SECOND = (mint("orders.example.org", ROOT, end=end) for end in (90, 200))


@pytest.fixture
def orders(register: Register) -> Provider:
    """Its server has shown a new certificate today, after a first test yesterday."""
    provider = register(title="Orders API")
    for days, chain in ((-1, FIRST), (0, SECOND)):
        seen(provider, chain, now=NOW + dt.timedelta(days=days))
    return provider


def page_of(user: User, provider: Provider) -> str:
    answer = client_of(user).get(f"/providers/{provider.pk}/changes/")
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split("<main")[1].split())


def change(provider: Provider, **fields: object) -> Change:
    values = {"kind": "protocol", "before": "TLSv1.2", "after": "TLSv1.3", "seen_at": NOW}
    return Change.objects.create(team=provider.team, provider=provider, **(values | fields))


def test_it_says_what_was_and_what_is_and_links_both_tests(orders: Provider, cast: Cast) -> None:
    page = page_of(cast.editor, orders)
    second, first = ConnectionReport.objects.order_by("-finished_at")
    assert "until 30 Aug 2026" in page and "until 18 Dec 2026" in page
    assert f"/providers/reports/{second.pk}/" in page
    assert f"/providers/reports/{first.pk}/" in page
    assert f"?a={first.pk}&amp;b={second.pk}" in page
    assert "Tested by itself each day" in page


def test_a_viewer_sees_it_without_the_address(orders: Provider, cast: Cast) -> None:
    page = page_of(cast.viewer, orders)
    assert "until 18 Dec 2026" in page
    assert "orders.example.org" not in page


def test_what_is_no_longer_kept_is_said_and_not_linked(orders: Provider, cast: Cast) -> None:
    ConnectionReport.objects.all().delete()
    page = page_of(cast.editor, orders)
    assert "no longer kept" in page
    assert "/providers/reports/" not in page


def test_without_a_change_it_says_what_comes_here(cast: Cast, register: Register) -> None:
    assert "No changes seen" in page_of(cast.viewer, register())


def test_who_is_not_watched_is_said_not_to_be(cast: Cast, register: Register) -> None:
    assert "Not tested by itself" in page_of(cast.viewer, register(is_watched=False))
    assert "Not tested from here" in page_of(cast.viewer, register(name="inside", type="on_premise"))


def test_a_long_list_is_paged_and_asks_little(orders: Provider, cast: Cast) -> None:
    for number in range(3 * changes.SIZE):
        change(orders, after=f"TLSv1.{number}")
    browser = client_of(cast.viewer)
    with CaptureQueriesContext(connection) as counted:
        page = browser.get(f"/providers/{orders.pk}/changes/").content.decode()
    assert page.count("<h2 id=") == changes.SIZE
    assert 'rel="next"' in page
    assert len(counted) <= 9, [query["sql"] for query in counted]


class TestDashboard:
    def main_of(self, user: User) -> str:
        return client_of(user).get("/").content.decode().split("<main")[1]

    def test_what_changed_lately_is_named_and_linked(self, orders: Provider, cast: Cast) -> None:
        main = self.main_of(cast.viewer)
        assert "What changed at your providers" in main
        assert "Orders API: Certificate chain" in main
        assert f"/providers/{orders.pk}/changes/" in main

    def test_what_is_older_or_of_another_team_is_not(self, orders: Provider, cast: Cast) -> None:
        assert "What changed" not in self.main_of(cast.outsider)
        Change.objects.update(seen_at=NOW - dt.timedelta(days=8))
        assert "What changed" not in self.main_of(cast.viewer)
