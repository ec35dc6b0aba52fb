"""The dead man's signal: sent to a real receiver after each good run of the watch; what fails is said once, and harms nothing."""

from __future__ import annotations

import datetime as dt
import logging

import pytest
import time_machine
from django.db import OperationalError
from django.test import Client
from pytest_django.fixtures import Settings

from portal.models import TaskRun
from portal.runs import SIGNAL, WATCH
from stores import tasks, watch
from tests.cast import Cast
from tests.material import NOW
from tests.receiver import Receiver, receiving, silent, status

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]
MINUTE = dt.timedelta(minutes=1)


def run_at(minutes: int) -> None:
    with time_machine.travel(NOW + minutes * MINUTE, tick=False):
        tasks.find_expiring()


def state() -> TaskRun:
    return TaskRun.objects.get(task=SIGNAL)


def test_each_good_run_sends_it(settings: Settings) -> None:
    with receiving() as receiver:
        settings.STOREKEEPER_PING_URL = receiver.url
        run_at(0)
        run_at(10)
    assert [(one.method, one.path, one.body) for one in receiver.requests] == [
        ("GET", "/in?key=s3cret-part", b"")
    ] * 2
    assert state().finished_at and state().finished_at >= NOW + 10 * MINUTE  # type: ignore[operator]
    assert state().facts == {"failure": ""}


def test_a_run_that_fails_sends_none(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(watch, "find_due", gone)
    with receiving() as receiver:
        settings.STOREKEEPER_PING_URL = receiver.url
        with pytest.raises(OperationalError):
            tasks.find_expiring()
    assert receiver.requests == []


def test_without_an_address_nothing_is_sent_or_kept(settings: Settings) -> None:
    assert settings.STOREKEEPER_PING_URL == ""
    tasks.find_expiring()
    assert not TaskRun.objects.filter(task=SIGNAL).exists()


def test_a_failure_harms_no_run_and_is_logged_once_per_change(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "storekeeper")
    bad = [
        status(503),
        status(503),
        status(404),
        status(200),
        status(200),
        status(301, b"", "Location: /elsewhere"),
    ]
    with receiving(*bad) as receiver:
        settings.STOREKEEPER_PING_URL = receiver.url
        for number in range(6):
            run_at(number)
        origin = f"http://127.0.0.1:{receiver.port}"
    assert [record.getMessage() for record in caplog.records if "signal" in record.getMessage()] == [
        f"the signal could not be sent: {origin} answered with status 503.",
        f"the signal could not be sent: {origin} answered with status 404.",
        "the signal is sent again",
        f"the signal could not be sent: {origin} answered with status 301.",
    ]
    assert "s3cret" not in caplog.text
    assert "s3cret" not in str(TaskRun.objects.values())
    assert TaskRun.objects.get(task=WATCH).finished_at >= NOW + 5 * MINUTE  # type: ignore[operator]
    assert state().finished_at < NOW + 5 * MINUTE  # type: ignore[operator]
    assert len(receiver.requests) == 6, "no redirect is followed"


def test_an_address_that_the_policy_refuses_is_not_asked(settings: Settings) -> None:
    with receiving() as receiver:
        settings.STOREKEEPER_PING_URL, settings.STOREKEEPER_OUTBOUND_ALLOW = receiver.url, []
        tasks.find_expiring()
    assert receiver.requests == []
    assert "STOREKEEPER_OUTBOUND_ALLOW does not name its network" in state().facts["failure"]


def test_who_does_not_answer_is_waited_for_within_limits(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, now: dt.datetime
) -> None:
    monkeypatch.setattr("portal.posting.TOTAL_SECONDS", 0.3)
    receiver: Receiver
    with receiving() as receiver:
        receiver.answers[:] = [silent(receiver)]
        settings.STOREKEEPER_PING_URL = receiver.url
        tasks.find_expiring()
    assert "did not answer within" in state().facts["failure"]


def test_monitoring_sees_whether_it_arrives(settings: Settings, cast: Cast) -> None:
    with receiving(status(500), status(200)) as receiver:
        settings.STOREKEEPER_PING_URL = receiver.url
        for signal, figure in (("failed", "1.0"), ("ok", "0.0")):
            tasks.find_expiring()
            answer = Client().get("/health/ready")
            assert (answer.status_code, answer.json()["signal"]) == (200, signal)
            metrics = Client().get("/metrics").content.decode()
            assert f"storekeeper_signal_failed {figure}" in metrics
            assert "s3cret" not in metrics + answer.content.decode()
