"""The audit as owners read it."""

from __future__ import annotations

import csv
import datetime as dt
import io
from typing import Any

import pytest
import time_machine

from portal import audit
from portal.models import AuditEvent
from tests.cast import Cast, client_of
from tests.material import NOW

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]
PAGE = "/team/audit/"


@pytest.fixture
def browser(cast: Cast) -> Any:
    return client_of(cast.owner)


def happen(cast: Cast, action: str, day: int = 0, **facts: object) -> None:
    with time_machine.travel(NOW + dt.timedelta(days=day), tick=False):
        audit.record(cast.actor, action, cast.editor, team=cast.team, **facts)


def shown(browser: Any, query: str = "") -> list[str]:
    return [event.action for event in browser.get(PAGE + query).context["page"].rows]


def test_the_latest_comes_first_and_other_teams_stay_out(cast: Cast, browser: Any) -> None:
    happen(cast, "first", -1)
    happen(cast, "second")
    audit.record(cast.actor, "elsewhere", None, team=cast.other_team)
    assert shown(browser) == ["second", "first"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("?q=role+changed", ["member.role_changed"]),
        ("?q=OWNER%40example", ["member.role_changed", "version.uploaded"]),
        ("?q=nothing", []),
        ("?what=user", ["member.role_changed", "version.uploaded"]),
        ("?what=store", []),
        ("?since=2026-06-01", ["member.role_changed"]),
        ("?until=2026-05-31", ["version.uploaded"]),
        ("?since=0001-01-01&until=2026-05-31", ["version.uploaded"]),
        ("?since=2026-06-01&until=9999-12-31", ["member.role_changed"]),
        ("?since=2026-05-22&until=2026-06-01", ["member.role_changed", "version.uploaded"]),
    ],
)
def test_filters_stand_in_the_address(cast: Cast, browser: Any, query: str, found: list[str]) -> None:
    happen(cast, "version.uploaded", -10)
    happen(cast, "member.role_changed")
    assert shown(browser, query) == found


def test_a_filter_that_cannot_be_is_told(cast: Cast, browser: Any) -> None:
    happen(cast, "something")
    answer = browser.get(PAGE + "?since=tomorrow")
    assert answer.status_code == 422
    assert answer.context["page"].rows == []


def test_pages_lose_and_repeat_nothing(cast: Cast, browser: Any) -> None:
    for number in range(120):
        happen(cast, f"event {number}", -number // 10)
    seen, cursor = [], ""
    for _ in range(3):
        page = browser.get(PAGE, {"cursor": cursor}).context["page"]
        seen += [event.action for event in page.rows]
        cursor = page.next
    assert len(seen) == len(set(seen)) == 120
    assert cursor == ""


def test_the_file_holds_all_and_no_formula(cast: Cast, browser: Any) -> None:
    for number in range(60):
        happen(cast, f"event {number}")
    cast.editor.first_name = "=HYPERLINK(1)"
    cast.editor.save()
    happen(cast, "member.added", 1, member="+1", reason="-2")
    answer = browser.get(PAGE + "csv/")
    text = b"".join(answer.streaming_content).decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 61
    assert rows[0]["at"] == "2026-06-02T12:00:00Z"
    assert rows[0]["object"] == "'=HYPERLINK(1)"
    assert all(not cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())


def test_the_file_follows_the_filter(cast: Cast, browser: Any) -> None:
    happen(cast, "kept", -10)
    happen(cast, "left")
    text = b"".join(browser.get(PAGE + "csv/?until=2026-05-30").streaming_content).decode()
    assert "kept" in text
    assert "left" not in text


def test_what_came_from_outside_is_shown_as_text(cast: Cast, browser: Any) -> None:
    happen(cast, "version.uploaded", because="<b>bold</b>\u202e")
    page = browser.get(PAGE).content.decode()
    assert "&lt;b&gt;bold&lt;/b&gt;\\u202e" in page


def test_nobody_edits_it(cast: Cast, browser: Any) -> None:
    happen(cast, "something")
    browser.post(PAGE, {"action": "else"})
    assert AuditEvent.objects.get().action == "something"
