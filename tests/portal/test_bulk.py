"""Many rows by one statement: what is written, what is claimed, and what is left alone."""

from __future__ import annotations

import datetime as dt

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from portal import bulk
from portal.bulk import Change
from portal.models import AuditEvent, TaskRun, Team
from tests.material import NOW

pytestmark = pytest.mark.django_db
LATER = NOW + dt.timedelta(hours=1)


def runs(count: int) -> list[TaskRun]:
    return [TaskRun.objects.create(task=f"task {number}", started_at=NOW) for number in range(count)]


class TestWrite:
    def test_each_row_gets_its_own_values_by_one_statement(self) -> None:
        rows = runs(3)
        changes = [
            Change(row.pk, {"seconds": number + 0.5 if number else None, "facts": {"rows": number}})
            for number, row in enumerate(rows)
        ]
        with CaptureQueriesContext(connection) as asked:
            assert bulk.write(TaskRun, changes) == {row.pk for row in rows}
        assert len(asked) == 1
        found = TaskRun.objects.order_by("pk").values_list("seconds", "facts")
        assert list(found) == [(None, {"rows": 0}), (1.5, {"rows": 1}), (2.5, {"rows": 2})]

    def test_a_row_that_was_moved_meanwhile_is_left_alone_and_missing_in_the_answer(self) -> None:
        first, second = runs(2)
        TaskRun.objects.filter(pk=second.pk).update(started_at=LATER)
        changes = [
            Change(row.pk, {"started_at": LATER, "seconds": 1.0}, {"started_at": NOW})
            for row in (first, second)
        ]
        assert bulk.write(TaskRun, changes) == {first.pk}
        second.refresh_from_db()
        assert second.seconds is None

    def test_nothing_to_write_asks_nothing(self) -> None:
        with CaptureQueriesContext(connection) as asked:
            assert bulk.write(TaskRun, []) == set()
            bulk.create(TaskRun, [])
        assert len(asked) == 0


class TestCreate:
    def test_rows_have_what_is_given_and_the_defaults_of_the_rest(self) -> None:
        names = ["one", "two", "three"]
        given = [
            {"task": name, "started_at": NOW, "seconds": 1.5 if name == "two" else None} for name in names
        ]
        bulk.create(TaskRun, given)
        found = TaskRun.objects.order_by("pk").values_list(
            "task", "started_at", "seconds", "finished_at", "facts"
        )
        assert list(found) == [
            ("one", NOW, None, None, {}),
            ("two", NOW, 1.5, None, {}),
            ("three", NOW, None, None, {}),
        ]

    def test_one_row_and_rows_that_are_all_the_same_are_inserted_too(self) -> None:
        event = {"at": NOW, "actor_name": "owner", "action": "tested", "facts": {"count": 1}}
        bulk.create(AuditEvent, [event])
        bulk.create(AuditEvent, [event, event])
        assert AuditEvent.objects.filter(action="tested", facts={"count": 1}).count() == 3

    def test_keys_are_made_where_the_model_makes_them(self) -> None:
        rows = [{"name": name, "folded_name": name, "created_at": NOW} for name in ("one", "two")]
        bulk.create(Team, rows)
        assert len({team.pk for team in Team.objects.all()}) == 2

    def test_more_rows_than_a_statement_takes_are_several_statements(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bulk, "MOST_PARAMETERS", 4)
        bulk.create(TaskRun, [{"task": f"task {number}", "started_at": NOW} for number in range(5)])
        assert sorted(TaskRun.objects.values_list("task", flat=True)) == [
            f"task {number}" for number in range(5)
        ]

    def test_what_is_there_already_is_refused_or_left_as_wanted(self) -> None:
        runs(1)
        again = [{"task": "task 0", "started_at": LATER}, {"task": "task 1", "started_at": LATER}]
        with pytest.raises(IntegrityError), transaction.atomic():
            bulk.create(TaskRun, again)
        bulk.create(TaskRun, again, ignore_conflicts=True)
        assert list(TaskRun.objects.order_by("task").values_list("started_at", flat=True)) == [NOW, LATER]
