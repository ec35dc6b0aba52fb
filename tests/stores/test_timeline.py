"""What ends when: the numbers of the dashboard's timeline, and the lists that it leads to."""

from __future__ import annotations

import datetime as dt
import itertools
import random
import re
from typing import Any

import pytest

from stores import watch
from stores.models import Certificate
from stores.months import months, weeks
from stores.timeline import BASE, TOP, timeline
from tests.cast import Cast, client_of
from tests.material import NOW
from tests.stores.watched import Link, watched

pytestmark = pytest.mark.usefixtures("now")


@pytest.fixture
def many(cast: Cast) -> Cast:
    """Some that have ended, some of each stage, some far away; and one of another team."""
    chance = random.Random(7)
    for number in range(40):
        end = chance.choice([chance.uniform(-20, 30), chance.uniform(0, 120), chance.uniform(100, 800)])
        watched(cast.team, Link(f"leaf {number}", end=end), name=f"c{number}")
    watched(cast.other_team, Link("theirs", end=20), name="theirs")
    watch.find_due(NOW)
    return cast


def listed(cast: Cast, address: str) -> set[str]:
    """The certificates that a bar leads to."""
    answer = client_of(cast.viewer).get(address)
    assert answer.status_code == 200
    return {row.certificate.name for row in answer.context["listed"]}


class TestNumbers:
    @pytest.mark.parametrize("near", [False, True])
    def test_each_bar_counts_what_the_list_behind_it_shows(self, many: Cast, near: bool) -> None:
        line = timeline(many.team, NOW, near=near)
        assert sum(bar.count for bar in line.bars) > 10
        for bar in line.bars:
            names = listed(many, bar.url)
            assert len(names) == bar.count
            rows = Certificate.objects.filter(team=many.team, name__in=names)
            for part in bar.parts:
                assert rows.filter(stage=part.stage).count() == part.count

    def test_the_year_has_the_months_from_this_one_on_and_the_near_view_weeks(self, cast: Cast) -> None:
        year, near = timeline(cast.team, NOW), timeline(cast.team, NOW, near=True)
        assert [bar.span.key for bar in year.bars] == [
            *(f"2026-{month:02}" for month in range(6, 13)),
            *(f"2027-{month:02}" for month in range(1, 7)),
        ]
        assert near.bars[0].span.label == "week of 1 June 2026"
        assert near.bars[-1].span.begin <= NOW + dt.timedelta(days=90) < near.bars[-1].span.end

    def test_the_highest_bar_reaches_the_top_and_none_is_too_thin_to_see(self, cast: Cast) -> None:
        for number in range(60):
            watched(cast.team, Link(f"leaf {number}", end=100), name=f"c{number}")
        watched(cast.team, Link("alone", end=200), name="alone")
        full = timeline(cast.team, NOW).full
        assert [bar.count for bar in full] == [60, 1]
        assert full[0].parts[0].y == TOP
        assert full[1].parts[0].y == BASE - 4

    def test_spans_touch_each_other_over_the_turn_of_the_year(self) -> None:
        begin = dt.datetime(2026, 12, 30, 23, 30, tzinfo=dt.UTC)
        for spans in (
            months(begin, begin + dt.timedelta(days=70)),
            weeks(begin, begin + dt.timedelta(days=70)),
        ):
            assert spans[0].begin <= begin < spans[0].end
            assert all(one.end == other.begin for one, other in itertools.pairwise(spans))


class TestDashboard:
    def test_it_is_drawn_and_told_in_a_table_without_style_or_script(self, many: Cast) -> None:
        page = client_of(many.viewer).get("/").content.decode()
        svg = re.search(r"<svg class=\"time\".*?</svg>", page, re.DOTALL)
        assert svg
        assert "style=" not in svg[0]
        assert "<script" not in svg[0]
        june = timeline(many.team, NOW).bars[0]
        assert svg[0].count(f'aria-label="June 2026: {june.words}"') == 1
        table = page[page.index("As a table") :]
        assert "June 2026" in table
        assert june.words in table

    def test_it_zooms_to_the_next_90_days(self, many: Cast) -> None:
        page = client_of(many.viewer).get("/?ahead=90").content.decode()
        assert "What ends in the next 90 days" in page
        assert "week of 1 June 2026" in page

    def test_without_anything_active_there_is_none(self, cast: Cast) -> None:
        assert 'class="time"' not in client_of(cast.viewer).get("/").content.decode()


class TestList:
    @pytest.mark.parametrize(
        ("query", "names"),
        [
            ("from=2026-06-11&until=2026-06-11", {"ten"}),
            ("from=2026-06-12", {"twenty"}),
            ("until=2026-06-10", set()),
            ("until=9999-12-31&from=0001-01-01", {"ten", "twenty"}),
            ("from=soon", set()),
        ],
    )
    def test_days_are_filters_that_stand_in_the_address(
        self, cast: Cast, query: str, names: set[str]
    ) -> None:
        for name, end in (("ten", 10), ("twenty", 20)):
            watched(cast.team, Link(name, end=end), name=name)
        assert listed(cast, f"/certificates/?{query}") == names

    def test_they_stay_in_the_form_and_in_the_file(self, many: Cast) -> None:
        client: Any = client_of(many.viewer)
        page = client.get("/certificates/?from=2026-06-01&until=2026-06-30").content.decode()
        assert 'name="from" value="2026-06-01"' in page
        assert "from=2026-06-01&amp;until=2026-06-30" in page
        csv = b"".join(client.get("/certificates/csv/?from=2026-06-01&until=2026-06-30"))
        assert csv.count(b"\r\n") - 1 == timeline(many.team, NOW).bars[0].count
