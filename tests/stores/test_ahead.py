"""The page that says what will be told: what, to whom, when, for twelve months."""

from __future__ import annotations

import datetime as dt
import html
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from portal.models import Team
from stores import policy
from stores.models import Certificate, Watcher, Webhook
from stores.policy import TeamPolicy
from stores.views import ahead
from tests.bench.populate import populate
from tests.cast import Cast, client_of
from tests.material import NOW
from tests.stores.watched import Link, day, watched
from tests.test_query_counts import questions

pytestmark = pytest.mark.usefixtures("now")


def shown(answer: Any) -> list[tuple[str, str, Any]]:
    return [(entry.certificate.name, entry.stage.value, entry.at) for entry in answer.context["entries"]]


def visit(user: Any, query: str = "") -> Any:
    answer = client_of(user).get(f"/notices/ahead/{query}")
    assert answer.status_code == 200
    return answer


@pytest.fixture
def world(cast: Cast) -> Cast:
    """Something in June and July, something at the end of the year, and something of others."""
    one = watched(cast.team, Link("leaf", end=65), name="orders", owner=cast.editor)
    watched(cast.team, Link("other", end=200), name="billing")
    watched(cast.other_team, Link("theirs", end=65), name="theirs")
    for name in ("orders", "billing"):
        Certificate.objects.filter(name=name).update(search_text=name)
    Watcher.objects.create(
        team=cast.team, certificate=one.certificate, email="they@example.com", added_at=NOW
    )
    Webhook.objects.create(
        team=cast.team, name="chat", host="https://chat.example.org", sealed_url=b"", sealed_secret=b"", sealed_with="t", created_at=NOW
    )  # fmt: skip
    return cast


class TestPage:
    def test_it_says_what_when_and_to_whom_in_the_order_of_time(self, world: Cast) -> None:
        answer = visit(world.editor)
        assert shown(answer)[:3] == [
            ("orders", "notice", day(5)),
            ("orders", "warning", day(35)),
            ("orders", "urgent", day(58)),
        ]
        assert len(shown(answer)) == 8
        first = answer.context["entries"][0]
        assert first.to == [
            "editor@example.org (portal, e-mail)",
            "they@example.com (e-mail)",
            "webhook chat",
        ]
        page = html.unescape(answer.content.decode())
        for words in ("June 2026", "July 2026", "December 2026", "leaf ends", "webhook chat"):
            assert words in page
        assert "theirs" not in page

    def test_a_viewer_sees_it_without_plain_addresses(self, world: Cast) -> None:
        answer = visit(world.viewer)
        page = answer.content.decode()
        assert "they@example.com" not in page
        assert "an extra address (e-mail)" in page
        assert "editor@example.org (portal, e-mail)" in page
        assert visit(world.viewer, "?who=they@example.com").context["form"].errors

    def test_it_can_be_filtered_by_person_certificate_and_month(self, world: Cast) -> None:
        assert {name for name, *_ in shown(visit(world.owner, "?q=bill"))} == {"billing"}
        assert [at for *_, at in shown(visit(world.owner, "?month=2026-07"))] == [day(35), day(58)]
        by_editor = shown(visit(world.owner, "?who=editor@example.org"))
        assert {name for name, *_ in by_editor} == {"orders"}
        assert "No" not in [name for name, *_ in shown(visit(world.owner, "?who=webhook+chat&q=orders"))]

    def test_what_is_not_there_is_said(self, world: Cast) -> None:
        assert "Nothing will be told" in visit(world.owner, "?month=2026-09").content.decode()
        wrong = visit(world.owner, "?month=2020-01&who=nobody")
        assert set(wrong.context["form"].errors) == {"month", "who"}

    def test_quiet_hours_are_said_beside_the_instant(self, world: Cast) -> None:

        quiet = TeamPolicy(quiet=(dt.time(11), dt.time(13)))
        Team.objects.filter(pk=world.team.pk).update(policy=policy.write(quiet))
        answer = visit(world.owner, "?q=orders")
        assert answer.context["entries"][0].later == day(5 + 1 / 24)
        assert "sent after the quiet hours" in answer.content.decode()

    @pytest.mark.parametrize("month", range(13))
    def test_a_month_alone_shows_what_the_year_has_in_it(
        self, world: Cast, month: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        populate(world.team, 40, NOW)
        monkeypatch.setattr(ahead, "MOST", 10_000)
        year = visit(world.owner)
        key = f"{2026 + (5 + month) // 12}-{(5 + month) % 12 + 1:02}"
        alone = visit(world.owner, f"?month={key}")
        assert sorted(shown(alone)) == sorted(one for one in shown(year) if f"{one[2]:%Y-%m}" == key)

    def test_of_very_many_certificates_one_month_is_shown_at_a_time(
        self, world: Cast, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ahead, "MOST_AT_ONCE", 1)
        answer = visit(world.owner)
        assert [at for *_, at in shown(answer)] == [day(5)]
        assert "one month is shown at a time: June 2026" in answer.content.decode()
        assert len(shown(visit(world.owner, "?q=orders"))) == 4
        monkeypatch.setattr(ahead, "MOST", 1)
        assert "These are the first 1." in visit(world.owner, "?q=orders").content.decode()

    def test_it_asks_as_much_for_many_as_for_few(self, world: Cast) -> None:
        client = client_of(world.owner)

        def asked() -> int:
            with CaptureQueriesContext(connection) as counted:
                assert client.get("/notices/ahead/").status_code == 200
            return len(questions(counted))

        few = asked()
        populate(world.team, 100, NOW)
        assert asked() == few <= 22
