"""Pages by cursor: nothing lost, nothing twice, whatever comes and goes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from django.db.models import F

from portal.models import Team
from portal.paging import chunks, page
from stores.models import Certificate, Store
from tests.cast import Cast
from tests.material import NOW

pytestmark = pytest.mark.django_db
ORDERS: dict[str, dict[str, Any]] = {
    "fails first, nothing active last": {"by": F("fails_at"), "nullable": True},
    "fails last": {"by": F("fails_at"), "nullable": True, "descending": True},
    "name": {"by": F("folded_name")},
    "newest": {"by": F("created_at"), "descending": True},
}


@pytest.fixture
def store(cast: Cast) -> Store:
    return Store.objects.create(team=cast.team, kind="key", name="outbound")


def fill(store: Store, count: int) -> None:
    """Certificates of which three each end at one instant, and every fourth has nothing active."""
    rows = [
        Certificate(
            team=store.team,
            store=store,
            name=f"{'Client' if number % 2 else 'client'} {number:02}",
            fails_at=None if number % 4 == 3 else NOW + dt.timedelta(days=number // 3),
        )
        for number in range(count)
    ]
    Certificate.objects.bulk_create(rows)


def walk(
    order: dict[str, Any], size: int, *, backwards: bool = False, cursor: str = ""
) -> Iterator[list[str]]:
    """The names on each page from `cursor` on."""
    while True:
        shown = page(Certificate.objects.all(), **order, cursor=cursor, size=size)
        yield [one.name for one in shown.rows]
        cursor = shown.previous if backwards else shown.next
        if not cursor:
            return


def last_cursor(order: dict[str, Any], size: int) -> str:
    """The cursor of the last page."""
    cursor, following = "", "first"
    while following:
        following = page(Certificate.objects.all(), **order, cursor=cursor, size=size).next
        cursor = following or cursor
    return cursor


@pytest.mark.parametrize("size", [1, 4, 7, 23, 50])
@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
class TestWalking:
    def test_forwards_every_row_is_seen_once_in_order(
        self, store: Store, order: dict[str, Any], size: int
    ) -> None:
        fill(store, 23)
        expression = order["by"].desc if order.get("descending") else order["by"].asc
        expected = Certificate.objects.order_by(
            expression(nulls_last=True), "-pk" if order.get("descending") else "pk"
        )
        seen = [name for names in walk(order, size) for name in names]
        by_value = [one.fails_at for one in expected] if order.get("nullable") else None
        assert sorted(seen) == sorted(one.name for one in expected)
        if by_value is not None:
            assert [Certificate.objects.get(name=name).fails_at for name in seen] == by_value
        else:
            assert seen == [one.name for one in expected]

    def test_backwards_the_same_pages_come_again(
        self, store: Store, order: dict[str, Any], size: int
    ) -> None:
        fill(store, 23)
        forwards = [name for names in walk(order, size) for name in names]
        cursor = last_cursor(order, size)
        backwards = list(walk(order, size, backwards=True, cursor=cursor))
        assert [name for names in reversed(backwards) for name in names] == forwards

    def test_chunks_give_every_row_once(self, store: Store, order: dict[str, Any], size: int) -> None:
        fill(store, 23)
        found = [one.name for rows in chunks(Certificate.objects.all(), **order, size=size) for one in rows]
        assert found == [name for names in walk(order, size) for name in names]


def test_a_row_that_comes_before_the_cursor_moves_nothing(store: Store) -> None:
    fill(store, 12)
    first = page(Certificate.objects.all(), F("folded_name"), size=5)
    Certificate.objects.create(team=store.team, store=store, name="a new one")
    second = page(Certificate.objects.all(), F("folded_name"), size=5, cursor=first.next)
    assert [one.name for one in second.rows] == [
        "Client 05",
        "client 06",
        "Client 07",
        "client 08",
        "Client 09",
    ]


def test_a_row_that_goes_takes_no_other_along(store: Store) -> None:
    fill(store, 12)
    first = page(Certificate.objects.all(), F("folded_name"), size=5)
    first.rows[-1].delete()
    second = page(Certificate.objects.all(), F("folded_name"), size=5, cursor=first.next)
    assert second.rows[0].name == "Client 05"


def test_the_ends_of_the_list_say_so(store: Store) -> None:
    fill(store, 10)
    first = page(Certificate.objects.all(), F("folded_name"), size=5)
    second = page(Certificate.objects.all(), F("folded_name"), size=5, cursor=first.next)
    assert (first.previous, second.next) == ("", "")
    assert first.next
    assert second.previous
    assert page(Certificate.objects.all(), F("folded_name"), size=10).next == ""
    assert page(Certificate.objects.none(), F("folded_name")).rows == []


def test_when_all_behind_the_cursor_is_gone_the_first_page_comes(store: Store) -> None:
    fill(store, 10)
    first = page(Certificate.objects.all(), F("folded_name"), size=5)
    Certificate.objects.exclude(pk__in=[one.pk for one in first.rows]).delete()
    assert page(Certificate.objects.all(), F("folded_name"), size=5, cursor=first.next).rows == first.rows


@pytest.mark.parametrize("cursor", ["x", "~", "2026-01-01~abc", "\x00", "a" * 5000, "W10:abc"])
def test_a_cursor_that_is_not_ours_gives_the_first_page(store: Store, cursor: str) -> None:
    fill(store, 5)
    assert len(page(Certificate.objects.all(), F("folded_name"), size=3, cursor=cursor).rows) == 3


def test_the_cursor_of_another_list_gives_the_first_page(store: Store) -> None:
    fill(store, 8)
    by_name = page(Certificate.objects.all(), F("folded_name"), size=3)
    by_end = page(Certificate.objects.all(), F("fails_at"), nullable=True, size=3)
    assert (
        page(Certificate.objects.all(), F("fails_at"), nullable=True, size=3, cursor=by_name.next) == by_end
    )
    teams = page(Team.objects.all(), F("folded_name"), size=3, cursor=by_name.next)
    assert [team.name for team in teams.rows] == ["Payments", "Strangers"]


def test_a_page_costs_one_query_and_a_last_one_with_gaps_two(
    store: Store, django_assert_num_queries: Any
) -> None:
    fill(store, 23)
    with django_assert_num_queries(1):
        page(Certificate.objects.all(), F("folded_name"), size=5)
    with django_assert_num_queries(1):
        page(Certificate.objects.all(), F("fails_at"), nullable=True, size=5)
    with django_assert_num_queries(2):
        page(Certificate.objects.all(), F("fails_at"), nullable=True, size=50)
