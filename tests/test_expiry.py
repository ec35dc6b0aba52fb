"""Stages, what is watched, and catching up."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stores.expiry import (
    Crossing,
    Ending,
    Policy,
    Stage,
    crossings,
    fails_at,
    next_stage_at,
    stage_at,
    stage_instants,
    watched,
)

NOW = dt.datetime(2026, 6, 1, 12, 0, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
instants = st.datetimes(timezones=st.just(dt.UTC))
days = st.none() | st.integers(1, 3650)


def days_before_end(lifetime: float, policy: Policy | None = None) -> dict[str, float]:
    """Stage to days before the end, for a certificate that lives so many days."""
    begin, end = NOW, NOW + lifetime * DAY
    found = stage_instants(begin, end, policy or Policy())
    return {stage.value: round((end - instant) / DAY, 3) for stage, instant in found.items()}


def ending(name: str, begin: float, end: float, position: int = 0) -> Ending:
    """Ends and begins so many days from NOW."""
    return Ending(name, name, NOW + begin * DAY, NOW + end * DAY, position)


@pytest.mark.parametrize(
    ("lifetime", "notice", "warning", "urgent"),
    [
        (1825, 60, 30, 7),
        (398, 60, 30, 7),
        (200, 60, 30, 7),
        (180, 60, 30, 7),
        (100, 33.333, 16.667, 6.667),
        (47, 15.667, 7.833, 3.133),
        (6, 2, 1, 0.4),
        (0, 0, 0, 0),
    ],
)
def test_default_stages_follow_the_lifetime(
    lifetime: float, notice: float, warning: float, urgent: float
) -> None:
    assert days_before_end(lifetime) == {"notice": notice, "warning": warning, "urgent": urgent, "expired": 0}


def test_a_team_sets_its_own_days_and_the_rest_stays_default() -> None:
    assert days_before_end(398, Policy(notice=120, urgent=10)) == {
        "notice": 120, "warning": 30, "urgent": 10, "expired": 0,
    }  # fmt: skip


def test_own_days_do_not_reach_before_the_begin() -> None:
    assert days_before_end(47, Policy(notice=90))["notice"] == 47


def test_a_default_stage_is_drawn_forward_when_the_next_one_begins_earlier() -> None:
    assert days_before_end(90, Policy(warning=45)) == {"notice": 45, "warning": 45, "urgent": 6, "expired": 0}


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ({"warning": 61}, "Set “Warning” to at most 60 days, or “Expires soon” to at least 61"),
        ({"notice": 20}, "Set “Warning” to at most 20 days, or “Expires soon” to at least 30"),
        (
            {"notice": 40, "warning": 10, "urgent": 11},
            "Set “Urgent” to at most 10 days, or “Warning” to at least 11",
        ),
        ({"urgent": 0}, "“Urgent” must begin 1 to 3,650 days before the end, not 0"),
        ({"notice": 3651}, "“Expires soon” must begin 1 to 3,650 days before the end, not 3,651"),
        ({"warning": -5}, "“Warning” must begin 1 to 3,650 days before the end, not -5"),
    ],
)
def test_a_policy_out_of_order_is_refused_in_words(numbers: dict[str, int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Policy(**numbers)


def test_equal_days_are_in_order() -> None:
    assert days_before_end(398, Policy(notice=30, warning=30, urgent=30))["urgent"] == 30


def test_stages_compare_by_nearness_and_are_their_names() -> None:
    assert sorted([Stage.EXPIRED, Stage.URGENT, Stage.NOTICE, Stage.WARNING]) == list(Stage)
    assert max(Stage.EXPIRED, Stage.WARNING) is Stage.EXPIRED
    assert Stage.NOTICE <= Stage.NOTICE < Stage.WARNING
    assert Stage.EXPIRED >= Stage.EXPIRED > Stage.URGENT
    assert [str(stage) for stage in Stage] == ["notice", "warning", "urgent", "expired"]
    assert Stage("urgent") is Stage.URGENT


@pytest.mark.parametrize(
    ("days_left", "stage"),
    [
        (61, None),
        (60, "notice"),
        (31, "notice"),
        (30, "warning"),
        (7.001, "warning"),
        (7, "urgent"),
        (0.001, "urgent"),
        (0, "expired"),
        (-400, "expired"),
    ],
)
def test_the_stage_at_an_instant(days_left: float, stage: str | None) -> None:
    assert stage_at(NOW - 300 * DAY, NOW + days_left * DAY, NOW) == stage


def test_dates_at_the_edge_of_the_calendar_do_not_overflow() -> None:
    first, last = dt.datetime.min.replace(tzinfo=dt.UTC), dt.datetime.max.replace(tzinfo=dt.UTC)
    long = Policy(notice=3650, warning=3650, urgent=3650)
    assert stage_at(first, first + DAY, NOW, long) is Stage.EXPIRED
    assert stage_at(first, last, NOW, long) is None
    assert stage_at(last, first, NOW) is Stage.EXPIRED


@given(instants, instants, days, days, days)
def test_stages_come_in_order_between_begin_and_end(
    begin: dt.datetime, end: dt.datetime, notice: int | None, warning: int | None, urgent: int | None
) -> None:
    try:
        policy = Policy(notice, warning, urgent)
    except ValueError:
        return
    found = stage_instants(begin, end, policy)
    assert list(found) == list(Stage)
    assert list(found.values()) == sorted(found.values())
    assert found[Stage.EXPIRED] == end
    assert found[Stage.NOTICE] >= min(begin, end)


@dataclass(frozen=True)
class Link:
    """A certificate of a chain, as small as the policy needs it."""

    sha256: str
    is_self_signed: bool = False
    common_name: str = "name"
    not_before: dt.datetime = NOW
    not_after: dt.datetime = NOW + DAY


def test_a_key_store_watches_leaf_and_intermediates_but_no_root() -> None:
    chain = [Link("leaf"), Link("issuer"), Link("root", is_self_signed=True)]
    assert [(e.sha256, e.position) for e in watched(chain, "key")] == [("leaf", 0), ("issuer", 1)]


def test_a_self_signed_leaf_is_watched() -> None:
    assert [e.sha256 for e in watched([Link("own", is_self_signed=True)], "key")] == ["own"]


def test_a_trust_store_watches_all() -> None:
    chain = [Link("a", is_self_signed=True), Link("b"), Link("c", is_self_signed=True)]
    assert [e.position for e in watched(chain, "trust")] == [0, 1, 2]


def test_what_fails_first_is_the_earliest_end_still_to_come() -> None:
    leaf, issuer, gone = ending("leaf", -10, 50), ending("issuer", -900, 20, 1), ending("gone", -900, -5, 2)
    assert fails_at([leaf, issuer, gone], NOW) is issuer
    assert fails_at([leaf, issuer, gone], NOW + 20 * DAY) is leaf


def test_when_all_have_ended_the_last_end_is_told() -> None:
    first, last = ending("first", -90, -9), ending("last", -90, -3, 1)
    assert fails_at([last, first], NOW) is last
    assert fails_at([], NOW) is None


def test_of_two_ends_at_once_the_leaf_is_named() -> None:
    assert fails_at([ending("issuer", -9, 9, 1), ending("leaf", -9, 9, 0)], NOW) == ending("leaf", -9, 9, 0)


def test_an_outage_is_caught_up_stage_by_stage() -> None:
    leaf = ending("leaf", -300, 65)
    missed = crossings([leaf], NOW, NOW + 66 * DAY)
    assert [(crossing.stage.value, (crossing.instant - NOW) / DAY) for crossing in missed] == [
        ("notice", 5), ("warning", 35), ("urgent", 58), ("expired", 65),
    ]  # fmt: skip


def test_crossings_take_the_end_of_the_span_and_not_its_beginning() -> None:
    leaf = ending("leaf", -300, 30)
    assert [crossing.stage for crossing in crossings([leaf], NOW - DAY, NOW)] == [Stage.WARNING]
    assert crossings([leaf], NOW, NOW + DAY) == []


def test_crossings_from_the_beginning() -> None:
    leaf = ending("leaf", -300, 20)
    assert [crossing.stage for crossing in crossings([leaf], None, NOW)] == [Stage.NOTICE, Stage.WARNING]


def test_crossings_of_several_certificates_come_in_order_of_time() -> None:
    ends = [ending("later", -300, 70), ending("sooner", -300, 61, 1)]
    found = crossings(ends, NOW, NOW + 15 * DAY)
    assert [(crossing.ending.sha256, crossing.stage) for crossing in found] == [
        ("sooner", Stage.NOTICE), ("later", Stage.NOTICE),
    ]  # fmt: skip


def test_the_next_crossing_moves_through_a_bundle_to_nothing() -> None:
    ends = [ending("one", -300, 10), ending("two", -300, 61, 1)]
    seen, now = [], NOW
    while instant := next_stage_at(ends, now):
        seen.append((instant - NOW) / DAY)
        now = instant
    assert seen == [1, 3, 10, 31, 54, 61]


@given(st.lists(st.tuples(st.integers(-900, 900), st.integers(1, 900)), max_size=5), st.integers(-900, 1800))
def test_walking_from_crossing_to_crossing_meets_every_one(spans: list[tuple[int, int]], start: int) -> None:
    ends = [ending(f"c{n}", begin, begin + life, n) for n, (begin, life) in enumerate(spans)]
    now, met = NOW + start * DAY, list[Crossing]()
    begun = now
    while instant := next_stage_at(ends, now):
        met += crossings(ends, now, instant)
        now = instant
    assert met == crossings(ends, begun, NOW + 5000 * DAY)
