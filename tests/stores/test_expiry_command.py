"""`manage.py expiry`: what it prints, to the letter, and how it refuses."""

from __future__ import annotations

import datetime as dt
import io
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from portal.models import TaskRun
from stores import policy
from stores.management.commands import expiry
from stores.models import Flag, Notice, Watcher
from stores.policy import TeamPolicy
from tests.cast import Cast
from tests.material import NOW
from tests.stores.watched import Link, watched

pytestmark = pytest.mark.usefixtures("now")


def run(*arguments: str) -> list[str]:
    out = io.StringIO()
    call_command("expiry", *arguments, stdout=out)
    return out.getvalue().splitlines()


def told(*arguments: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run("--dry-run", "--json", *arguments)]


class TestDryRun:
    def test_a_line_says_all_that_the_contract_names_and_no_more(self, cast: Cast) -> None:
        watched(cast.team, Link("Orders Issuing CA", end=65), owner=cast.editor)
        inbox, mail = sorted(told("--at", "2026-07-01"), key=lambda line: -len(line["channel"]))
        assert list(inbox.items()) == [
            ("at", "2026-06-06T12:00:00+00:00"),
            ("stage", "notice"),
            ("team", "Payments"),
            ("store", "key store"),
            ("certificate", "orders-client"),
            ("fails_at", "2026-08-05T12:00:00+00:00"),
            ("because", "Orders Issuing CA"),
            ("recipient", "editor@example.org"),
            ("channel", "portal"),
        ]
        assert list(mail.items()) == list((inbox | {"channel": "email"}).items())

    def test_lines_come_in_the_order_of_time_however_many_there_are(
        self, cast: Cast, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for number, end in enumerate((300, 20, 150, 5, 80)):
            watched(cast.team, Link(f"leaf {number}", end=end), name=f"certificate {number}")
        at_once = run("--dry-run", "--json", "--at", "2027-06-01")
        monkeypatch.setattr(expiry, "_SORTED_AT_ONCE", 3)
        assert run("--dry-run", "--json", "--at", "2027-06-01") == at_once
        assert len(at_once) > 30
        assert [json.loads(line)["at"] for line in at_once] == sorted(
            json.loads(line)["at"] for line in at_once
        )

    def test_without_an_instant_it_says_what_a_scan_would_tell_now(self, cast: Cast) -> None:
        watched(cast.team, Link("late", end=5), name="late")
        watched(cast.team, Link("later", end=61), name="later")
        assert {(line["certificate"], line["stage"], line["at"]) for line in told()} == {
            ("late", "urgent", NOW.isoformat())
        }

    def test_nothing_is_written(self, cast: Cast) -> None:
        watched(cast.team, Link("late", end=5))
        run("--dry-run", "--at", "2027-06-01")
        assert not Flag.objects.exists()
        assert not Notice.objects.exists()
        assert not TaskRun.objects.exists()

    def test_one_team_alone_can_be_asked_for_letter_case_ignored(self, cast: Cast) -> None:
        watched(cast.team, Link("ours", end=5), name="ours")
        watched(cast.other_team, Link("theirs", end=5), name="theirs")
        assert {line["team"] for line in told()} == {"Payments", "Strangers"}
        assert {line["team"] for line in told("--team", "pAYMENTS")} == {"Payments"}

    def test_quiet_hours_and_plain_addresses_count(self, cast: Cast) -> None:
        quiet = TeamPolicy(
            quiet=(dt.time(12), dt.time(15)), zone="Europe/Berlin", addresses=("duty@example.net",)
        )
        cast.team.policy = policy.write(quiet)
        cast.team.save()
        # 11:00 UTC is 13:00 in Berlin.
        one = watched(cast.team, Link("leaf", end=65 - 1 / 24))
        Watcher.objects.create(
            team=cast.team, certificate=one.certificate, email="they@example.com", added_at=NOW
        )
        assert [(line["at"], line["recipient"], line["channel"]) for line in told("--at", "2026-06-10")] == [
            ("2026-06-06T11:00:00+00:00", "owner@example.org", "portal"),
            ("2026-06-06T13:00:00+00:00", "duty@example.net", "email"),
            ("2026-06-06T13:00:00+00:00", "owner@example.org", "email"),
            ("2026-06-06T13:00:00+00:00", "they@example.com", "email"),
        ]
        assert [line["channel"] for line in told("--at", "2026-06-06T12:59Z")] == ["portal"]

    def test_where_there_is_nobody_the_recipient_is_empty(self, cast: Cast) -> None:
        cast.team.memberships.all().delete()
        watched(cast.team, Link("late", end=5))
        (line,) = told()
        assert (line["recipient"], line["channel"]) == ("", "portal")
        assert "(nobody)" in run("--dry-run")[1]

    def test_for_people_it_is_a_table(self, cast: Cast) -> None:
        watched(cast.team, Link("Evil\x1b[31m CA", end=5), owner=cast.editor, name="orders-client")
        head, *rows = run("--dry-run")
        assert head.split() == [
            "at", "stage", "fails", "at", "team", "store", "certificate", "channel", "recipient,", "because",
        ]  # fmt: skip
        assert len(rows) == 4
        assert rows[0].startswith("2026-06-01 12:00 UTC  urgent    2026-06-06 12:00 UTC  Payments  ")
        assert all(row.endswith(r"Evil\u001b[31m CA") for row in rows)

    def test_a_quiet_future_is_said_in_a_sentence(self, cast: Cast) -> None:
        assert run("--dry-run", "--at", "2027-02-01") == ["Nothing would be told until 2027-02-01 00:00 UTC."]
        assert run("--dry-run", "--json") == []


class TestScan:
    def test_alone_it_scans_now_and_says_what_it_did(self, cast: Cast) -> None:
        watched(cast.team, Link("late", end=5))
        assert run() == [
            "Versions judged: 1. Flags written: 3. Notices queued: 2. Versions that could not be judged: 0."
        ]
        assert Flag.objects.count() == 3
        assert TaskRun.objects.get().facts["flags"] == 3
        assert json.loads(run("--json")[0]) == {"versions": 0, "flags": 0, "notices": 0, "failed": 0}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--at", "2027-02-01"], "add --dry-run"),
        (["--team", "Payments"], "--team goes with --dry-run"),
        (["--dry-run", "--at", "soon"], "'soon' is no date"),
        (["--dry-run", "--at", "2027-02-30"], "'2027-02-30' is no date"),
        (["--dry-run", "--at", "2026-05-31"], "is over"),
        (["--dry-run", "--team", "Nobody"], "no team 'Nobody'"),
        (["--dry-run", "--at"], "expected one argument"),
        (["--later"], "unrecognized arguments"),
    ],
)
def test_wrong_usage_is_refused_in_a_sentence(cast: Cast, arguments: list[str], sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence) as refused:
        run(*arguments)
    if "argument" not in sentence:
        assert refused.value.returncode == 2
