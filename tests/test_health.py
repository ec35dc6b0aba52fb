"""Health and metrics: what monitoring sees, and who may see it."""

from __future__ import annotations

import datetime as dt

import pytest
import time_machine
from django.db import OperationalError, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import Client
from django.test.utils import CaptureQueriesContext
from prometheus_client.parser import text_string_to_metric_families
from pytest_django.fixtures import Settings

from portal import runs
from portal.celery import AT_ONCE
from portal.models import TaskRun
from portal.runs import WATCH
from providers import tasks as provider_tasks
from stores import tasks, watch
from stores.models import Notice
from tests.cast import Cast
from tests.material import NOW
from tests.stores.watched import Link, watched

pytestmark = pytest.mark.usefixtures("now")
MINUTE, SECOND = dt.timedelta(minutes=1), dt.timedelta(seconds=1)


def gone(*_: object) -> None:
    raise OperationalError("connection refused")


class TestLive:
    def test_it_answers_without_a_database_and_without_signing_in(self) -> None:
        # No fixture gives this test a database, so any query would fail it.
        answer = Client().get("/health/live")
        assert (answer.status_code, answer.json()) == (200, {"live": True})


class TestReady:
    def test_it_is_while_the_watch_runs(self, cast: Cast) -> None:
        TaskRun.objects.create(task=WATCH, started_at=NOW, finished_at=NOW - dt.timedelta(minutes=20))
        answer = Client().get("/health/ready")
        assert answer.status_code == 200
        assert answer.json()["watch"] == "ok"
        assert "no-store" in answer["Cache-Control"]

    def test_it_is_not_when_the_watch_is_overdue_by_two_intervals(self, cast: Cast) -> None:
        TaskRun.objects.create(
            task=WATCH, started_at=NOW, finished_at=NOW - dt.timedelta(minutes=20, seconds=1)
        )
        answer = Client().get("/health/ready")
        assert answer.status_code == 503
        assert (answer.json()["ready"], answer.json()["watch"]) == (False, "overdue")

    def test_the_interval_is_a_setting(self, cast: Cast, settings: Settings) -> None:
        TaskRun.objects.create(task=WATCH, started_at=NOW, finished_at=NOW - dt.timedelta(seconds=3))
        settings.STOREKEEPER_EXPIRY_INTERVAL = 1
        assert Client().get("/health/ready").status_code == 503

    def test_it_is_not_without_a_database(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(BaseDatabaseWrapper, "ensure_connection", gone)
        answer = Client().get("/health/ready")
        assert answer.status_code == 503
        assert answer.json() == {
            "ready": False,
            "database": "gone",
            "watch": "unknown",
            "delivery": "unknown",
        }

    def test_it_says_how_the_watch_stands(self, cast: Cast) -> None:
        watched(cast.team, Link("leaf", end=5))
        tasks.find_expiring()
        with time_machine.travel(NOW + MINUTE, tick=False):
            watched(cast.team, Link("late", end=5), name="late")
            tasks.deliver_notices()
        Notice.objects.filter(channel="email").update(state="waiting")
        failed = Notice.objects.exclude(channel="email")[0]
        Notice.objects.filter(pk=failed.pk).update(state="failed")
        with time_machine.travel(NOW + 3 * MINUTE, tick=False):
            said = Client().get("/health/ready").json()
        waiting = Notice.objects.filter(state="waiting").count()
        assert said.pop("last_run_seconds") >= 0 and said.pop("last_delivery_seconds") >= 0
        assert (
            said.pop("last_run") >= NOW.isoformat() and said.pop("last_delivery") > (NOW + MINUTE).isoformat()
        )
        assert said == {
            "ready": True, "database": "ok", "watch": "ok", "delivery": "ok", "notices_waiting": waiting, "notices_failed": 1,
            "lag_seconds": (NOW + 3 * MINUTE - dt.datetime.fromisoformat(said["next_due"])).total_seconds(),
            "next_due": said["next_due"], "oldest_notice_seconds": 180,
        }  # fmt: skip
        assert said["lag_seconds"] > 0

    def test_it_asks_little_however_much_is_due(self, cast: Cast) -> None:
        for number in range(30):
            watched(cast.team, Link("leaf", end=5), name=f"client-{number}")
        tasks.find_expiring()
        with CaptureQueriesContext(connection) as queries:
            assert Client().get("/health/ready").status_code == 200
        assert len(queries) <= 4


class TestDelivery:
    """Silent for two intervals, of a minute each; a slow mail server is no silence."""

    def ran(self, started: dt.timedelta, finished: dt.timedelta) -> bool:
        """Whether it is overdue, having begun and ended so long ago."""
        values = {"started_at": NOW - started, "finished_at": NOW - finished, "seconds": 1.0}
        TaskRun.objects.update_or_create(task=runs.DELIVERY, defaults=values)
        return Client().get("/health/ready").status_code == 503

    def test_it_is_overdue_when_nothing_has_begun(self, cast: Cast) -> None:
        assert not self.ran(started=2 * MINUTE, finished=2 * MINUTE)
        assert self.ran(started=2 * MINUTE + SECOND, finished=2 * MINUTE)
        assert Client().get("/health/ready").json()["delivery"] == "overdue"

    def test_it_is_overdue_when_it_begins_and_never_ends(self, cast: Cast) -> None:
        assert not self.ran(started=SECOND, finished=7 * MINUTE)
        assert self.ran(started=SECOND, finished=7 * MINUTE + SECOND)

    def test_the_interval_is_never_longer_than_that_of_the_watch(self, settings: Settings) -> None:
        assert settings.DELIVERY_INTERVAL == 60
        assert runs.delivery_interval() <= runs.interval()


class TestRecordedRuns:
    def test_a_task_says_when_it_ran_how_long_and_what_it_did(self, cast: Cast) -> None:
        watched(cast.team, Link("leaf", end=5))
        tasks.find_expiring()
        run = TaskRun.objects.get(task=WATCH)
        assert (run.started_at, run.finished_at) == (NOW, NOW + dt.timedelta(seconds=run.seconds or -1))
        assert run.facts == {"versions": 1, "flags": 3, "notices": 2, "failed": 0}

    def test_a_run_that_fails_leaves_the_end_of_the_last_good_one(
        self, cast: Cast, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tasks.find_expiring()
        good = TaskRun.objects.get(task=WATCH)
        TaskRun.objects.update(started_at=NOW - dt.timedelta(hours=1))
        monkeypatch.setattr(watch, "find_due", gone)
        with pytest.raises(OperationalError):
            tasks.find_expiring()
        after = TaskRun.objects.get(task=WATCH)
        assert (after.started_at, after.finished_at) == (NOW, good.finished_at)

    @pytest.mark.parametrize(
        "task", ["deliver_notices", "discard_unconfirmed", "remove_orphaned_files", "activate_due"]
    )
    def test_every_scheduled_task_is_recorded(self, cast: Cast, task: str) -> None:
        getattr(tasks, task)()
        assert TaskRun.objects.get(task=f"stores.tasks.{task}").finished_at

    def test_the_schedule_names_tasks_that_are_there(self, settings: Settings) -> None:
        scheduled = {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}
        assert WATCH in scheduled
        assert set(AT_ONCE) <= settings.CELERY_BEAT_SCHEDULE.keys()
        modules = {"stores.tasks": tasks, "providers.tasks": provider_tasks}
        for module, _, task in (name.rpartition(".") for name in scheduled):
            assert hasattr(modules[module], task), task

    def test_a_portal_that_never_ran_them_is_overdue_once_it_is_old_enough(self, cast: Cast) -> None:
        later = [runs.Pulse(NOW + dt.timedelta(minutes=minutes)) for minutes in (7, 8, 20, 21)]
        assert [pulse.delivery_overdue for pulse in later] == [False, True, True, True]
        assert [pulse.watch_overdue for pulse in later] == [False, False, False, True]
        TaskRun.objects.create(task=WATCH, started_at=NOW)
        assert not runs.Pulse(NOW + dt.timedelta(minutes=20)).watch_overdue


class TestMetrics:
    def values(self, text: str) -> dict[tuple[str, ...], float]:
        return {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def test_they_say_runs_cases_and_notices(self, cast: Cast) -> None:
        watched(cast.team, Link("leaf", end=5))
        tasks.find_expiring()
        found = self.values(Client().get("/metrics").content.decode())
        assert found["storekeeper_watch_overdue",] == 0
        assert found["storekeeper_task_finished_timestamp_seconds", "find_expiring"] >= NOW.timestamp()
        assert found["storekeeper_task_rows", "find_expiring", "flags"] == 3
        assert found["storekeeper_open_cases", "urgent"] == 1
        assert found["storekeeper_open_cases", "notice"] == 0
        assert found["storekeeper_notices", "waiting"] == 1
        assert found["storekeeper_delivery_overdue",] == found["storekeeper_watch_lag_seconds",] == 0
        assert (
            found["storekeeper_watch_next_due_timestamp_seconds",] == (NOW + dt.timedelta(days=5)).timestamp()
        )
        assert ("storekeeper_signal_failed",) not in found

    def test_they_say_how_far_behind_watch_and_delivery_are(self, cast: Cast) -> None:
        watched(cast.team, Link("leaf", end=5))
        tasks.find_expiring()
        watched(cast.team, Link("ended", end=-1), name="ended")
        waiting = Notice.objects.filter(state="waiting")
        waiting.update(created_at=NOW - 20 * MINUTE, due_at=NOW - 5 * MINUTE)
        found = self.values(Client().get("/metrics").content.decode())
        assert found["storekeeper_watch_lag_seconds",] > 86_400
        assert found["storekeeper_notices_oldest_seconds",] == 1200
        assert found["storekeeper_notices_late_seconds",] == 300
        waiting.update(due_at=NOW + MINUTE)
        found = self.values(Client().get("/metrics").content.decode())
        assert found["storekeeper_notices_late_seconds",] == 0

    @pytest.mark.parametrize(
        ("extra", "status"),
        [
            ({"REMOTE_ADDR": "127.0.0.1"}, 200),
            ({"REMOTE_ADDR": "::1"}, 200),
            ({"REMOTE_ADDR": "192.0.2.7"}, 403),
            ({"REMOTE_ADDR": ""}, 403),
            ({"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "127.0.0.1"}, 403),
            ({"REMOTE_ADDR": "192.0.2.7", "HTTP_AUTHORIZATION": "Bearer right"}, 200),
            ({"REMOTE_ADDR": "192.0.2.7", "HTTP_AUTHORIZATION": "Bearer wrong"}, 403),
            ({"REMOTE_ADDR": "192.0.2.7", "HTTP_AUTHORIZATION": "Bearer r\u00e9"}, 403),
        ],
    )
    def test_they_are_for_this_machine_and_for_holders_of_the_token(
        self, cast: Cast, settings: Settings, extra: dict[str, str], status: int
    ) -> None:
        settings.STOREKEEPER_METRICS_TOKEN = "right"
        assert Client().get("/metrics", **extra).status_code == status  # type: ignore[arg-type]

    def test_without_a_token_no_token_opens(self, cast: Cast, settings: Settings) -> None:
        settings.STOREKEEPER_METRICS_TOKEN = ""
        asked = {"REMOTE_ADDR": "192.0.2.7", "HTTP_AUTHORIZATION": "Bearer "}
        assert Client().get("/metrics", **asked).status_code == 403  # type: ignore[arg-type]
