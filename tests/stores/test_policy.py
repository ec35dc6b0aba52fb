"""What a team can say about being told, read strictly and written back."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from stores import policy
from stores.expiry import Policy, Stage
from stores.policy import Audience, Route, TeamPolicy

UTC = dt.UTC
NIGHT = (dt.time(20), dt.time(7))
FULL = TeamPolicy(
    days=Policy(notice=90, urgent=5),
    routes={**policy.ROUTES, Stage.NOTICE: Route(frozenset({Audience.TEAM}), email=False)},
    addresses=("noc@example.org",),
    quiet=NIGHT,
    zone="Europe/Berlin",
    summary=0,
)


class TestKept:
    @pytest.mark.parametrize("one", [policy.DEFAULT, FULL], ids=["default", "everything"])
    def test_what_is_written_is_read_again(self, one: TeamPolicy) -> None:
        assert policy.read(policy.write(one)) == one

    def test_the_default_is_kept_as_nothing(self) -> None:
        assert policy.write(policy.DEFAULT) is None
        assert policy.read(None) == policy.read({}) == policy.DEFAULT

    def test_only_what_differs_is_kept(self) -> None:
        assert policy.write(TeamPolicy(days=Policy(notice=90))) == {"notice": 90}

    @pytest.mark.parametrize(
        ("kept", "sentence"),
        [
            ({"notice": 5}, "“Warning” begins 30 days"),
            ({"zone": "Europe/Atlantis"}, "is not a time zone"),
            ({"zone": "../etc/passwd"}, "is not a time zone"),
            ({"addresses": ["not an address"]}, "is not an e-mail address"),
            ({"addresses": [f"{n}@example.org" for n in range(21)]}, "At most 20"),
            ({"quiet": ["07:00", "07:00"]}, "another time than they begin"),
            ({"summary": 7}, "one of the seven"),
            (
                {"told": {"expired": {"who": ["team"], "email": False, "webhook": True}}},
                "always sent by e-mail",
            ),
            ({"told": {"notice": {"who": ["addresses"], "email": True, "webhook": True}}}, "cannot act"),
        ],
        ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
    )
    def test_nonsense_is_refused_in_a_sentence(self, kept: dict[str, Any], sentence: str) -> None:
        with pytest.raises(ValueError, match=sentence):
            policy.read(kept)


class TestDefault:
    def test_the_nearer_the_end_the_more_people_are_told(self) -> None:
        routes = policy.DEFAULT.routes
        assert routes[Stage.NOTICE].who == {Audience.CERTIFICATE, Audience.ADDRESSES}
        assert routes[Stage.URGENT].who == routes[Stage.EXPIRED].who == set(Audience)


class TestQuietHours:
    @pytest.mark.parametrize(
        ("hour", "sent"),
        [
            (17, (1, 17)),  # 19:00 in Berlin
            (18, (2, 5)),  # 20:00, the first quiet minute: until 7:00 the next day
            (23, (2, 5)),
            (4, (1, 5)),  # 6:00: until 7:00 of the same day
            (5, (1, 5)),
        ],
    )
    def test_what_is_not_urgent_waits_until_they_end(self, hour: int, sent: tuple[int, int]) -> None:
        now = dt.datetime(2026, 6, 1, hour, tzinfo=UTC)
        assert FULL.send_at(Stage.WARNING, now) == dt.datetime(2026, 6, *sent, tzinfo=UTC)

    def test_hours_within_one_day_hold_as_well(self) -> None:
        lunch = TeamPolicy(quiet=(dt.time(12), dt.time(14)))
        noon = dt.datetime(2026, 6, 1, 12, 30, tzinfo=UTC)
        assert lunch.send_at(None, noon) == dt.datetime(2026, 6, 1, 14, tzinfo=UTC)
        assert lunch.send_at(None, noon.replace(hour=15)) == noon.replace(hour=15)

    @pytest.mark.parametrize("stage", [Stage.URGENT, Stage.EXPIRED])
    def test_what_is_urgent_does_not_wait(self, stage: Stage) -> None:
        night = dt.datetime(2026, 6, 1, 23, tzinfo=UTC)
        assert FULL.send_at(stage, night) == night

    def test_the_end_follows_the_clock_of_the_team_when_it_is_put_forward(self) -> None:
        before = dt.datetime(
            2026, 3, 28, 22, tzinfo=UTC
        )  # 23:00 in Berlin, the night in which summer time begins
        assert FULL.send_at(Stage.NOTICE, before) == dt.datetime(2026, 3, 29, 5, tzinfo=UTC)


class TestSummary:
    def test_it_is_due_on_its_day_from_its_hour_on_by_the_teams_clock(self) -> None:
        monday = dt.datetime(2026, 6, 1, tzinfo=UTC)
        assert FULL.summary_due(monday.replace(hour=5, minute=59)) is None
        assert (
            FULL.summary_due(monday.replace(hour=6))
            == FULL.summary_due(monday.replace(hour=21))
            == "2026-W23"
        )
        assert FULL.summary_due(monday.replace(day=2, hour=6)) is None
        assert policy.DEFAULT.summary_due(monday.replace(hour=9)) is None

    def test_the_week_around_new_year_has_one_name(self) -> None:
        assert FULL.summary_due(dt.datetime(2029, 12, 31, 9, tzinfo=UTC)) == "2030-W01"
