"""Workers that are killed at any instant, and ten at once: nothing is lost, nothing lies in an inbox twice, no mail goes twice unmarked."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import random
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import time_machine
from django.db import connection, connections

from portal.models import Membership, Role, Team, User
from stores import tasks, watch
from stores.models import Case, Certificate, ChainCertificate, Flag, Notice, Store, Version
from stores.notices.delivery import STUCK_AFTER
from tests.cast import Cast
from tests.mail_server import Mailbox
from tests.material import NOW
from tests.stores.test_notices import text_of
from tests.stores.watched import Link, row
from tests.together import together

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
KILLS = 200
DUE, EACH = 5000, 10
"""So many certificates are due, and so many of them belong to one person."""
NAME = re.compile(r"\bc\d{4}\b")


def people_of(team: Team, number: int) -> list[User]:
    """Editors, of whom each owns some of so many certificates; the team's policy tells nobody else."""
    team.policy = {"told": {"urgent": {"who": ["certificate"], "email": True, "webhook": False}}}
    team.save()
    people = User.objects.bulk_create(
        User(username=f"person-{place}", email=f"person-{place:03}@example.org")
        for place in range(number // EACH)
    )
    Membership.objects.bulk_create(Membership(team=team, user=user, role=Role.EDITOR) for user in people)
    return people


def due_of_many(team: Team, number: int, people: Sequence[User] = ()) -> None:
    """Certificates in their urgent stage and not flagged, of these people in turn."""
    store = Store.objects.create(team=team, kind="key", name="outbound")
    names = [f"c{place:04}" for place in range(number)]
    slots = Certificate.objects.bulk_create(
        Certificate(team=team, store=store, name=name, folded_name=name, owner=people[place // EACH] if people else None)
        for place, name in enumerate(names)
    )  # fmt: skip
    versions = Version.objects.bulk_create(
        Version(
            team=team, certificate=slot, number=1, state=Version.State.ACTIVE, format="pem", file_name="orders.pem", file_size=1000,
            created_at=NOW, activated_at=NOW, original="tests", sealed_with="tests", next_stage_at=NOW,
        )
        for slot in slots
    )  # fmt: skip
    ChainCertificate.objects.bulk_create(row(version, 0, Link("orders", end=6)) for version in versions)


def work() -> None:
    """What beat asks of the worker, as the worker does it."""
    tasks.find_expiring()
    tasks.deliver_notices()


def assert_all_told_once(mailbox: Mailbox, number: int, most_repeats: int) -> int:
    """Each flag, case and notice is there once, and each mail but for marked repeats; how many of these there were."""
    told = Flag.objects.filter(told=True, stage="urgent")
    assert told.count() == Case.objects.open().count() == number
    assert Flag.objects.count() == 3 * number
    found = Counter(Notice.objects.values_list("channel", "state"))
    assert found == {("portal", "sent"): number, ("email", "sent"): number}
    messages = {str(message["Message-ID"]): message for message in mailbox.messages}
    repeats = len(mailbox.messages) - len(messages)
    assert repeats <= most_repeats
    said = Counter(
        (message["To"], name) for message in messages.values() for name in set(NAME.findall(text_of(message)))
    )
    owners = Certificate.objects.values_list("owner__email", "name")
    assert said == Counter(dict.fromkeys(owners, 1))
    return repeats


class Process:
    """A child that works at an instant, and says so before each statement; ends when it is killed."""

    def __init__(self, now: dt.datetime) -> None:
        connections.close_all()  # a child must not share them
        self.said, told = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            self._live(now, told)
        os.close(told)

    def _live(self, now: dt.datetime, told: int) -> None:
        try:
            for one in connections.all(initialized_only=True):
                del connections[one.alias]

            def say(execute: Callable[..., Any], *rest: Any) -> Any:
                os.write(told, b".")
                return execute(*rest)

            with time_machine.travel(now, tick=False), connection.execute_wrapper(say):
                while True:
                    work()
        finally:
            os._exit(1)

    def kill(self, statements: int, seconds: float) -> None:
        """After so many statements and a moment; AssertionError when it has ended by itself."""
        while statements > 0:
            said = os.read(self.said, statements)
            assert said, "the worker ended by itself"
            statements -= len(said)
        time.sleep(seconds)
        os.kill(self.pid, signal.SIGKILL)
        os.close(self.said)
        _, status = os.waitpid(self.pid, 0)
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


@contextlib.contextmanager
def at(now: dt.datetime) -> Iterator[None]:
    with time_machine.travel(now, tick=False):
        yield


@pytest.mark.timeout(600)
def test_killed_two_hundred_times(cast: Cast, mailbox: Mailbox) -> None:
    """Each worker begins when what the one before was sending may be sent again."""
    chance, now = random.Random(5), NOW
    due_of_many(cast.team, DUE, people_of(cast.team, DUE))
    in_time = 0
    for _ in range(KILLS):
        Process(now).kill(chance.randint(1, 30), chance.uniform(0, 0.01))
        now += STUCK_AFTER
        in_time += (
            Notice.objects.filter(channel="email").exclude(state="sent").exists() or not Flag.objects.exists()
        )
    with at(now):
        work()
        work()
    repeats = assert_all_told_once(mailbox, DUE, most_repeats=KILLS)
    assert in_time > KILLS / 4, "most were killed when all was done"
    print(
        f"{in_time} kills while there was something to do, {len(mailbox.messages)} mails, {repeats} of them repeats"
    )


def test_ten_workers_do_everything_once(cast: Cast, mailbox: Mailbox) -> None:
    due_of_many(cast.team, 300, people_of(cast.team, 300))
    with at(NOW):
        together(*[work] * 10)
        work()
    assert_all_told_once(mailbox, 300, most_repeats=0)


def test_ten_thousand_due_at_once_are_one_mail_though_the_delivery_runs_while_they_are_found(
    cast: Cast, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    due_of_many(cast.team, 10_000)
    plain, batches = watch._flag, []

    def flag_and_deliver(*given: Any) -> None:
        plain(*given)
        batches.append(len(mailbox.messages))
        tasks.deliver_notices()

    monkeypatch.setattr(watch, "_flag", flag_and_deliver)
    with at(NOW):
        tasks.find_expiring()
        assert batches == [0] * 20
        assert mailbox.messages == []
        tasks.deliver_notices()
        tasks.deliver_notices()
    [message] = mailbox.messages
    assert "9,950 more" in text_of(message)
    assert Notice.objects.filter(channel="email", state="sent").count() == 10_000
