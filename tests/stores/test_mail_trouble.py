"""Mail servers as they are: they refuse some, are silent, hang up in the middle, or go away in the middle of a run."""

from __future__ import annotations

import datetime as dt

import pytest
from pytest_django.fixtures import Settings

from portal.models import TaskRun, User
from portal.runs import DELIVERY
from stores.models import Notice
from stores.notices.delivery import CHANNELS, Delivered, deliver
from stores.tasks import deliver_notices
from tests.cast import Cast, client_of
from tests.mail_server import Mailbox
from tests.material import NOW
from tests.stores.test_notices import IN_TIME, due, mails

pytestmark = pytest.mark.usefixtures("now")
PAUSES = CHANNELS["email"].pauses
MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def three(cast: Cast, mailbox: Mailbox, settings: Settings) -> list[str]:
    """Three people, each with one mail to come, in the order in which they are told."""
    settings.EMAIL_TIMEOUT = 0.5
    people = (cast.editor, cast.owner, cast.viewer)
    for person in people:
        due(cast.team, IN_TIME, name=f"of-{person.email}", owner=person)
    return sorted(person.email for person in people)


def ids(mailbox: Mailbox, recipient: str) -> list[str]:
    """The Message-ID of each message that somebody got."""
    got = zip(mailbox.recipients, mailbox.messages, strict=True)
    return [str(message["Message-ID"]) for address, message in got if address == recipient]


def states() -> list[str]:
    return [notice.state for notice in mails()]


def run_for(hours: int) -> None:
    """A run each minute from the next one on."""
    for minute in range(1, hours * 60):
        deliver(NOW + minute * MINUTE)


def test_each_refusal_is_its_own(three: list[str], mailbox: Mailbox) -> None:
    first, second, third = three
    mailbox.answers = {first: "450 4.2.1 Mailbox busy", second: "550 5.1.1 No such user"}
    assert deliver(NOW) == Delivered(messages=1, notices=1, later=1, failed=1)
    assert mailbox.recipients == [third]
    mailbox.answers = {}
    run_for(2)
    assert sorted(mailbox.recipients) == sorted([first, third])
    assert states() == ["sent", "failed", "sent"]


def test_a_server_that_is_silent_is_left_after_the_time_limit(three: list[str], mailbox: Mailbox) -> None:
    _, second, _ = three
    mailbox.hangs = {second}
    done = deliver(NOW)
    assert (done.messages, done.later) == (1, 1)
    assert "timed out" in done.lost["email"]
    assert states() == ["sent", "sending", "waiting"], "it may have been taken, nobody knows"
    mailbox.hangs = set()
    run_for(1)
    assert sorted(mailbox.recipients) == three
    assert [len(ids(mailbox, one)) for one in three] == [1, 1, 1]


def test_a_connection_that_is_cut_in_the_middle_of_a_message_is_tried_again(
    three: list[str], mailbox: Mailbox
) -> None:
    first, _, _ = three
    mailbox.drops = {first}
    done = deliver(NOW)
    assert (done.messages, done.later, list(done.lost)) == (0, 1, ["email"])
    assert states() == ["sending", "waiting", "waiting"], "it may have been taken, nobody knows"
    mailbox.drops = set()
    run_for(1)
    assert sorted(mailbox.recipients) == three


def test_one_recipient_at_whom_the_server_breaks_does_not_keep_the_others_for_ever(
    three: list[str], mailbox: Mailbox
) -> None:
    first, second, third = three
    mailbox.drops = {first}
    run_for(30)
    assert sorted(mailbox.recipients) == [second, third]
    assert states() == ["sending", "sent", "sent"]


def test_what_was_taken_and_not_confirmed_comes_again_under_the_same_id(
    three: list[str], mailbox: Mailbox
) -> None:
    first, _, _ = three
    mailbox.forgets = {first}
    assert deliver(NOW).later == 1
    mailbox.forgets = set()
    run_for(1)
    again = ids(mailbox, first)
    assert (len(again), len(set(again))) == (2, 1)
    assert states() == ["sent", "sent", "sent"]


def test_a_server_that_goes_away_in_the_middle_of_a_run_loses_nothing_and_repeats_nothing(
    three: list[str], mailbox: Mailbox
) -> None:
    mailbox.most = 1
    done = deliver(NOW)
    assert (done.messages, done.later, list(done.lost)) == (1, 1, ["email"])
    run_for(3)
    assert len(mailbox.messages) == 1
    mailbox.most = None
    run_for(12)
    assert sorted(mailbox.recipients) == three
    assert states() == ["sent", "sent", "sent"]


def test_trying_again_keeps_the_id_whatever_has_come_meanwhile(
    three: list[str], mailbox: Mailbox, cast: Cast
) -> None:
    first, _, _ = three
    mailbox.forgets = {first}
    deliver(NOW)
    due(cast.team, IN_TIME, name="later", owner=User.objects.get(email=first))
    mailbox.forgets = set()
    run_for(1)
    assert len(ids(mailbox, first)) == 3
    assert len(set(ids(mailbox, first))) == 2


class TestSaid:
    """While no mail can be sent, everybody who looks learns it; until one was sent again."""

    BANNER = 'No mail can be sent, since <time datetime="2026-06-01T12:00:00+00:00">'

    @pytest.fixture
    def lost(self, cast: Cast, mailbox: Mailbox, settings: Settings) -> int:
        """No server answers; the port of the one that will."""
        due(cast.team)
        settings.EMAIL_PORT = 9
        deliver_notices()
        return mailbox.port

    @pytest.mark.parametrize("path", ["/", "/notices/", "/certificates/"])
    def test_a_banner_says_so(self, cast: Cast, lost: int, path: str) -> None:
        page = client_of(cast.viewer).get(path).content.decode()
        assert self.BANNER in page
        assert "Tell who runs this portal." in page
        assert "refused" not in page

    def test_administrators_see_why(self, cast: Cast, lost: int) -> None:
        User.objects.filter(pk=cast.viewer.pk).update(is_staff=True)
        assert "Connection refused" in client_of(cast.viewer).get("/").content.decode()

    def test_a_run_with_nothing_to_send_proves_nothing(self, cast: Cast, lost: int) -> None:
        Notice.objects.filter(state="waiting").update(due_at=NOW + MINUTE)
        deliver_notices()
        facts = TaskRun.objects.get(task=DELIVERY).facts
        assert (facts["messages"], facts["later"], facts["answered"]) == (0, 0, [])
        assert self.BANNER in client_of(cast.viewer).get("/").content.decode()

    @pytest.mark.parametrize("answer", ["250 OK", "550 No such user"])
    def test_it_ends_when_somebody_answers(
        self, cast: Cast, mailbox: Mailbox, settings: Settings, lost: int, answer: str
    ) -> None:
        settings.EMAIL_PORT = lost
        mailbox.answers[cast.owner.email] = answer
        Notice.objects.filter(state="waiting").update(due_at=NOW)
        deliver_notices()
        assert "No mail can be sent" not in client_of(cast.viewer).get("/").content.decode()
