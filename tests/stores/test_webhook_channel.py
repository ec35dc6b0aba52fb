"""The channel webhook, over real HTTP: signed, one message per run, tried again, given up, kept in its log."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Iterator

import pytest
import time_machine
from pytest_django.fixtures import Settings
from standardwebhooks.webhooks import WebhookVerificationError

from portal import posting
from portal.errors import Conflict
from portal.models import AuditEvent
from stores import notices, webhooks
from stores.models import Notice, Version, WebhookAttempt
from stores.notices import delivery
from stores.notices import webhook as channel
from stores.notices.delivery import CHANNELS, STUCK_AFTER, Delivered, deliver
from stores.notices.outcome import Failure
from tests.cast import Cast
from tests.material import NOW
from tests.receiver import Answering, Receiver, octets, receiving, silent, status
from tests.stores.hooks import hooked, verified
from tests.stores.test_notices import due

pytestmark = pytest.mark.usefixtures("now")
PAUSES = CHANNELS["webhook"].pauses


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


@pytest.fixture(autouse=True)
def only_webhooks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mails are another file's business."""
    monkeypatch.setattr(delivery, "CHANNELS", {"webhook": CHANNELS["webhook"]})
    real = delivery._groups
    monkeypatch.setattr(
        delivery, "_groups", lambda *args: [one for one in real(*args) if one.channel == "webhook"]
    )


def at(instant: dt.datetime) -> Delivered:
    """A run at another instant."""
    with time_machine.travel(instant, tick=False):
        return deliver(instant)


def waiting() -> Notice:
    return Notice.objects.get(channel="webhook")


class TestSignature:
    def test_an_independent_implementation_accepts_it(self, cast: Cast, receiver: Receiver) -> None:
        _, secret = hooked(cast, receiver)
        due(cast.team)
        assert deliver(NOW) == Delivered(messages=1, notices=1)
        (request,) = receiver.requests
        said = verified(secret, request)
        assert said["type"] == "portal.notices"
        assert request.path == "/in?key=s3cret-part"
        assert request.headers["content-type"].startswith("application/json")
        assert request.headers["webhook-timestamp"] == str(int(NOW.timestamp()))
        assert waiting().state == "sent"

    @pytest.mark.parametrize("header", ["webhook-id", "webhook-timestamp", "body", "secret"])
    def test_it_covers_everything(self, cast: Cast, receiver: Receiver, header: str) -> None:
        _, secret = hooked(cast, receiver)
        due(cast.team)
        deliver(NOW)
        request = receiver.requests[0]
        if header == "secret":
            secret = "whsec_" + base64.b64encode(b"another" * 4).decode()
        elif header == "body":
            request = type(request)(request.method, request.path, request.headers, request.body + b" ")
        else:
            request.headers[header] = str(int(NOW.timestamp()) + 1)
        with pytest.raises(WebhookVerificationError):
            verified(secret, request)

    def test_for_a_day_the_secret_before_signs_as_well(self, cast: Cast, receiver: Receiver) -> None:
        hook, old = hooked(cast, receiver)
        new = webhooks.rotate_secret(webhook=hook, actor=cast.actor, now=NOW)
        due(cast.team)
        deliver(NOW)
        for secret in (old, new):
            assert verified(secret, receiver.requests[0])
        assert len(receiver.requests[0].headers["webhook-signature"].split(" ")) == 2
        hook.refresh_from_db()
        later = NOW + dt.timedelta(hours=24)
        with time_machine.travel(later, tick=False):
            channel.send_test(hook, later)
            assert verified(new, receiver.requests[1])
            with pytest.raises(WebhookVerificationError):
                verified(old, receiver.requests[1])

    def test_secrets_are_long_and_each_is_another(self, cast: Cast, receiver: Receiver) -> None:
        hook, first = hooked(cast, receiver)
        second = webhooks.rotate_secret(webhook=hook, actor=cast.actor, now=NOW)
        assert first != second
        assert all(
            one.startswith("whsec_") and len(base64.b64decode(one[6:])) == 32 for one in (first, second)
        )


class TestOneMessage:
    def test_per_webhook_and_run(self, cast: Cast, receiver: Receiver) -> None:
        hooked(cast, receiver)
        hooked(cast, receiver, name="chat", shape="text")
        for number in range(3):
            due(cast.team, name=f"client-{number}")
        assert deliver(NOW) == Delivered(messages=2, notices=6)
        assert len(receiver.requests) == 2

    def test_also_of_ten_thousand_notices(self, cast: Cast, receiver: Receiver) -> None:
        hook, secret = hooked(cast, receiver)
        version = due(cast.team)
        Notice.objects.exclude(channel="webhook").delete()
        more = [_more(cast, version, number) for number in range(10_000)]
        Notice.objects.bulk_create(
            Notice(
                team=cast.team, key=f"k/{number}", title=title, url="/x/", severity="info", webhook=hook, recipient=hook.pk,
                channel="webhook", created_at=NOW, due_at=NOW,
            )
            for number, title in enumerate(more)
        )  # fmt: skip
        assert deliver(NOW) == Delivered(messages=1, notices=10_001)
        said = verified(secret, receiver.requests[0])["data"]
        assert len(said["items"]) == 50
        assert said["more"] == 10_001 - 50
        assert said["items"][0]["certificate"]["name"] == "orders-client"
        assert said["url"] == "http://localhost:8000/replace/"
        assert len(receiver.requests[0].body) < 30_000

    def test_nothing_when_all_was_withdrawn(self, cast: Cast, receiver: Receiver) -> None:
        hooked(cast, receiver)
        version = due(cast.team)
        notices.withdraw([version], NOW)
        assert deliver(NOW) == Delivered()
        assert receiver.requests == []


def _more(cast: Cast, version: Version, number: int) -> str:
    return f"Change {number} of {version.certificate.name}"


class TestTrying:
    @pytest.mark.parametrize("number", [301, 302, 400, 401, 403, 404, 413, 429, 500, 502, 503])
    def test_whatever_is_no_2xx_is_tried_again_under_the_same_id(
        self, cast: Cast, receiver: Receiver, number: int
    ) -> None:
        receiver.answers = [status(number), status(200)]
        _, secret = hooked(cast, receiver)
        due(cast.team)
        assert deliver(NOW).later == 1
        assert str(number) in waiting().error
        assert at(NOW + PAUSES[0]) == Delivered(messages=1, notices=1)
        first, second = receiver.requests
        assert first.headers["webhook-id"] == second.headers["webhook-id"]
        assert first.headers["webhook-signature"] != second.headers["webhook-signature"]
        with time_machine.travel(NOW + PAUSES[0], tick=False):
            assert verified(secret, second)
        assert [row.status for row in WebhookAttempt.objects.order_by("at")] == [number, 200]

    def test_a_redirect_says_what_to_do(self, cast: Cast, receiver: Receiver) -> None:
        with receiving() as other:
            receiver.answers = [status(308, b"", f"Location: {other.url}")]
            hooked(cast, receiver)
            due(cast.team)
            deliver(NOW)
            assert other.requests == []
        assert "Redirects are not followed" in waiting().error

    @pytest.mark.parametrize(
        ("answering", "words"),
        [(octets(b""), "without an answer"), (octets(b"SSH-2.0-x\r\n"), "not in HTTP")],
    )
    def test_resets_and_garbage(
        self, cast: Cast, receiver: Receiver, answering: Answering, words: str
    ) -> None:
        receiver.answers = [answering]
        hooked(cast, receiver)
        due(cast.team)
        assert deliver(NOW).later == 1
        assert words in waiting().error

    def test_who_does_not_answer(
        self, cast: Cast, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(posting, "TOTAL_SECONDS", 0.3)
        receiver.answers = [silent(receiver)]
        hooked(cast, receiver)
        due(cast.team)
        assert deliver(NOW).later == 1
        assert "did not answer" in waiting().error

    def test_a_private_address_that_is_allowed_no_longer(
        self, cast: Cast, receiver: Receiver, settings: Settings
    ) -> None:
        hooked(cast, receiver)
        due(cast.team)
        settings.STOREKEEPER_OUTBOUND_ALLOW = []
        assert deliver(NOW).later == 1
        assert "STOREKEEPER_OUTBOUND_ALLOW" in waiting().error
        assert receiver.requests == []

    def test_for_a_day_then_it_is_given_up(self, cast: Cast, receiver: Receiver) -> None:
        receiver.answers = [status(500)]
        hooked(cast, receiver)
        due(cast.team)
        instant, done = NOW, deliver(NOW)
        while done.later:
            instant = waiting().due_at
            done = at(instant)
        assert done.failed == 1
        assert dt.timedelta(hours=20) < instant - NOW < dt.timedelta(hours=28)
        assert waiting().state == "failed"
        ids = {request.headers["webhook-id"] for request in receiver.requests}
        assert (len(receiver.requests), len(ids)) == (len(PAUSES) + 1, 1)

    def test_killed_between_send_and_record_it_goes_again_with_the_same_id(
        self, cast: Cast, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hooked(cast, receiver)
        due(cast.team)
        with monkeypatch.context() as killed:
            killed.setattr(channel, "judge", _killed)
            with pytest.raises(KeyboardInterrupt):
                deliver(NOW)
        assert waiting().state == "sending"
        assert WebhookAttempt.objects.get().status is None
        assert at(NOW + STUCK_AFTER).messages == 1
        first, second = receiver.requests
        assert first.headers["webhook-id"] == second.headers["webhook-id"]

    def test_what_may_have_arrived_goes_again_as_it_was_and_what_was_refused_with_what_is_new(
        self, cast: Cast, receiver: Receiver
    ) -> None:
        receiver.answers = [octets(b""), status(200)]
        _, secret = hooked(cast, receiver)
        due(cast.team)
        deliver(NOW)
        due(cast.team, name="new")
        assert at(NOW + PAUSES[0]).messages == 2
        ids = [request.headers["webhook-id"] for request in receiver.requests]
        assert len(ids) == 3 and len(set(ids)) == 2
        receiver.answers = [status(500), status(200)]
        due(cast.team, name="third")
        at(NOW + PAUSES[0])
        due(cast.team, name="fourth")
        later = NOW + 2 * PAUSES[0]
        assert at(later).messages == 1
        with time_machine.travel(later, tick=False):
            assert len(verified(secret, receiver.requests[-1])["data"]["items"]) == 2

    def test_one_that_does_not_answer_is_asked_once_per_run(self, cast: Cast, receiver: Receiver) -> None:
        receiver.answers = [octets(b"")]
        hooked(cast, receiver)
        for number in range(3):
            due(cast.team, name=f"client-{number}")
            at(NOW + dt.timedelta(seconds=number))
        before = len(receiver.requests)
        at(NOW + dt.timedelta(hours=1))
        assert len(receiver.requests) == before + 1

    def test_what_waits_for_one_that_does_not_answer_does_not_hold_up_the_others(
        self, cast: Cast, receiver: Receiver
    ) -> None:
        with receiving(octets(b"")) as broken:
            hooked(cast, broken, name="a")
            hooked(cast, receiver, name="b")
            due(cast.team)
            assert deliver(NOW) == Delivered(messages=1, notices=1, later=1)

    def test_a_key_that_was_lost_is_said(self, cast: Cast, receiver: Receiver, settings: Settings) -> None:
        hooked(cast, receiver)
        due(cast.team)
        settings.STOREKEEPER_KEYS = "other:" + base64.b64encode(b"o" * 32).decode()
        assert deliver(NOW).later == 1
        assert "cannot be decrypted" in waiting().error


def _killed(answer: object) -> None:
    raise KeyboardInterrupt


class TestSwitchedOff:
    def test_410_switches_it_off_and_the_owners_are_told(self, cast: Cast, receiver: Receiver) -> None:
        receiver.answers = [status(410)]
        hook, _ = hooked(cast, receiver)
        due(cast.team)
        assert deliver(NOW).messages == 0
        assert (waiting().state, waiting().error) == ("dropped", webhooks.DISABLED)
        hook.refresh_from_db()
        assert not hook.is_enabled
        told = Notice.objects.filter(flag=None)
        assert {(one.channel, one.recipient) for one in told} == {
            ("portal", cast.owner.email), ("email", cast.owner.email),
        }  # fmt: skip
        assert told[0].url == hook.get_absolute_url()
        event = AuditEvent.objects.get(action="webhook.disabled")
        assert event.facts["reason"] == "410 Gone" and event.actor is None
        due(cast.team, name="another")
        assert at(NOW + dt.timedelta(days=1)) == Delivered()
        assert len(receiver.requests) == 1

    def test_what_waits_is_dropped_when_it_is_switched_off(self, cast: Cast, receiver: Receiver) -> None:
        hook, _ = hooked(cast, receiver)
        due(cast.team)
        webhooks.switch(webhook=hook, on=False, actor=cast.actor)
        assert (waiting().state, waiting().error) == ("dropped", webhooks.DISABLED)
        assert deliver(NOW) == Delivered()
        webhooks.switch(webhook=hook, on=True, actor=cast.actor)
        assert deliver(NOW) == Delivered()
        due(cast.team, name="later")
        assert deliver(NOW).messages == 1

    def test_nothing_goes_out_where_it_was_switched_off_meanwhile(
        self, cast: Cast, receiver: Receiver
    ) -> None:
        hook, _ = hooked(cast, receiver)
        due(cast.team)
        type(hook).objects.update(is_enabled=False)
        assert deliver(NOW) == Delivered(dropped=1)
        assert receiver.requests == []

    def test_deleted_while_it_is_told(self, cast: Cast, receiver: Receiver) -> None:
        """By its owner, who has pressed the button before the answer came."""
        hook, _ = hooked(cast, receiver)
        due(cast.team)
        receiver.answers = [status(410)]
        real = channel.judge

        def pressed(answer: posting.Answer) -> Failure | None:
            webhooks.delete(webhook=hook, actor=cast.actor)
            return real(answer)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(channel, "judge", pressed)
            assert deliver(NOW) == Delivered()
        assert not WebhookAttempt.objects.exists()
        assert not Notice.objects.filter(channel="webhook").exists()


class TestLog:
    def test_the_attempt_is_kept_before_it_is_made(self, cast: Cast, receiver: Receiver) -> None:
        hook, _ = hooked(cast, receiver)
        seen: list[tuple[int | None, str]] = []

        def look(answer: posting.Answer) -> None:
            seen.extend(WebhookAttempt.objects.values_list("status", "error"))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(channel, "judge", look)
            attempt = channel.send_test(hook, NOW)
        assert seen == [(None, "")]
        attempt.refresh_from_db()
        assert (attempt.status, attempt.answer, attempt.error) == (200, "taken", "")
        assert attempt.seconds is not None and attempt.seconds > 0

    def test_the_last_hundred_are_kept(self, cast: Cast, receiver: Receiver) -> None:
        hook, _ = hooked(cast, receiver)
        other, _ = hooked(cast, receiver, name="other")
        for webhook in (hook, other):
            WebhookAttempt.objects.bulk_create(
                WebhookAttempt(
                    team=cast.team, webhook=webhook, message_id=f"m{number}", body="{}", status=200,
                    at=NOW - dt.timedelta(minutes=number + 1),
                )
                for number in range(100)
            )  # fmt: skip
        channel.send_test(hook, NOW)
        assert hook.attempts.count() == 100
        assert not hook.attempts.filter(message_id="m99").exists()
        assert other.attempts.filter(message_id="m99").exists()

    def test_nothing_secret_is_kept_also_where_the_receiver_repeats_it(
        self, cast: Cast, receiver: Receiver, caplog: pytest.LogCaptureFixture
    ) -> None:
        _, secret = hooked(cast, receiver)
        answer = (
            b"No s3cret-part at /in?key=s3cret-part or /in%3Fkey%3Ds3cret-part \0\x1b[31m " + secret.encode()
        )
        receiver.answers = [status(500, answer)]
        due(cast.team)
        deliver(NOW)
        (attempt,) = WebhookAttempt.objects.all()
        kept = " ".join(map(str, vars(attempt).values())) + waiting().error + caplog.text
        for one in ("s3cret-part", secret, secret[6:]):
            assert one not in kept
        assert "No … at" in attempt.answer
        assert "\\u0000" in attempt.answer and "\0" not in attempt.answer and "\x1b" not in attempt.answer

    def test_a_long_answer_is_cut(self, cast: Cast, receiver: Receiver) -> None:
        hook, _ = hooked(cast, receiver)
        receiver.answers = [status(200, b"\xff\0" * 30_000)]
        attempt = channel.send_test(hook, NOW)
        assert 0 < len(attempt.answer) <= channel.LONGEST_ANSWER


class TestByHand:
    def test_a_test_message_says_so_and_changes_nothing_else(self, cast: Cast, receiver: Receiver) -> None:
        hook, secret = hooked(cast, receiver)
        webhooks.switch(webhook=hook, on=False, actor=cast.actor)
        attempt = channel.send_test(hook, NOW)
        assert attempt.status == 200
        said = verified(secret, receiver.requests[0])
        assert said["type"] == "portal.test"
        assert receiver.requests[0].headers["webhook-id"] == attempt.message_id
        assert attempt.message_id.startswith("test-")

    def test_redelivery_repeats_message_and_id_with_a_fresh_signature(
        self, cast: Cast, receiver: Receiver
    ) -> None:
        _, secret = hooked(cast, receiver)
        due(cast.team)
        deliver(NOW)
        later = NOW + dt.timedelta(hours=3)
        with time_machine.travel(later, tick=False):
            again = channel.redeliver(WebhookAttempt.objects.get(), cast.actor, later)
            first, second = receiver.requests
            assert verified(secret, second)
        assert (first.body, first.headers["webhook-id"]) == (second.body, second.headers["webhook-id"])
        assert again.message_id == first.headers["webhook-id"]
        event = AuditEvent.objects.get(action="webhook.redelivered")
        assert event.facts == {"message": again.message_id}

    @pytest.mark.parametrize("given_up", [False, True])
    def test_what_arrived_by_hand_is_not_sent_once_more(
        self, cast: Cast, receiver: Receiver, given_up: bool
    ) -> None:
        receiver.answers = [status(500), status(200)]
        hooked(cast, receiver)
        due(cast.team)
        due(cast.team, name="second")
        deliver(NOW)
        if given_up:
            Notice.objects.filter(channel="webhook").update(state="failed")
        channel.redeliver(WebhookAttempt.objects.get(), cast.actor, NOW)
        assert set(Notice.objects.filter(channel="webhook").values_list("state", "error")) == {("sent", "")}
        assert at(NOW + PAUSES[0]) == Delivered()

    def test_that_of_another_message_settles_nothing(self, cast: Cast, receiver: Receiver) -> None:
        receiver.answers = [status(500), status(200)]
        hook, _ = hooked(cast, receiver)
        due(cast.team)
        deliver(NOW)
        test = channel.send_test(hook, NOW)
        channel.redeliver(test, cast.actor, NOW)
        assert waiting().state == "waiting"

    def test_two_at_once_are_refused(self, cast: Cast, receiver: Receiver) -> None:
        hook, _ = hooked(cast, receiver)
        attempt = WebhookAttempt.objects.create(
            team=cast.team, webhook=hook, message_id="m", body="{}", at=NOW
        )
        with pytest.raises(Conflict, match="under way"):
            channel.send_test(hook, NOW)
        with pytest.raises(Conflict, match="under way"):
            channel.redeliver(attempt, cast.actor, NOW)
        assert channel.send_test(hook, NOW + dt.timedelta(minutes=1)).status == 200
        assert len(receiver.requests) == 1
