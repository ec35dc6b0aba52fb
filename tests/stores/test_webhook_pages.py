"""The pages of webhooks: made, edited, switched, given another secret, tried, read, deleted; and what each role sees."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django.fixtures import Settings

from portal import vault
from portal.errors import Conflict
from portal.models import AuditEvent
from stores import webhooks
from stores.models import Notice, Webhook, WebhookAttempt
from stores.notices import webhook as channel
from stores.notices.delivery import deliver
from stores.rotation import webhook_rows
from tests.cast import Cast, client_of
from tests.material import NOW
from tests.receiver import Receiver, receiving, status
from tests.stores.hooks import hooked, verified
from tests.stores.test_notices import due

pytestmark = pytest.mark.usefixtures("now")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


@pytest.fixture
def browser(cast: Cast) -> Any:
    return client_of(cast.owner)


def text(answer: Any) -> str:
    return str(answer.content.decode())


def secret_on(page: str) -> str:
    found = re.search(r"whsec_[A-Za-z0-9+/]+=*", page)
    assert found
    return found[0]


def fields(**more: str) -> dict[str, str]:
    return {"name": "pipeline", "url": "http://127.0.0.1:1/in?key=s3cret-part", "format": "standard"} | more


class TestMaking:
    def test_the_secret_is_shown_once_and_signs(self, browser: Any, receiver: Receiver) -> None:
        made = browser.post("/team/webhooks/new/", fields(url=receiver.url))
        secret = secret_on(text(made))
        assert "no-store" in made.headers["Cache-Control"]
        hook = Webhook.objects.get()
        assert (hook.name, hook.host) == ("pipeline", f"http://127.0.0.1:{receiver.port}")
        for address in (hook.get_absolute_url(), "/team/webhooks/", f"{hook.get_absolute_url()}edit/"):
            page = text(browser.get(address))
            assert "whsec_" not in page and "s3cret-part" not in page
            assert hook.host in page
        browser.post(f"{hook.get_absolute_url()}test/")
        assert verified(secret, receiver.requests[0])

    def test_what_is_kept_is_sealed(self, browser: Any) -> None:
        browser.post("/team/webhooks/new/", fields())
        (row,) = Webhook.objects.values()
        assert b"s3cret-part" not in b"".join(
            bytes(one) for one in row.values() if isinstance(one, bytes | memoryview)
        )
        assert "s3cret-part" not in str(row)
        assert "s3cret-part" not in str(list(AuditEvent.objects.values()))
        assert AuditEvent.objects.get(action="webhook.created").facts == {"format": "standard"}

    @pytest.mark.parametrize(
        ("wrong", "sentence"),
        [
            ({"url": "ftp://example.org/"}, "does not begin with https://"),
            ({"url": "https://me:pw@127.0.0.1/"}, "before the @"),
            ({"url": "http://169.254.169.254/latest"}, "metadata service"),
            ({"url": "http://10.1.2.3/"}, "STOREKEEPER_OUTBOUND_ALLOW"),
            ({"url": "http://[::ffff:10.1.2.3]/"}, "STOREKEEPER_OUTBOUND_ALLOW"),
            ({"url": ""}, "This field is required"),
            ({"url": "http://127.0.0.1/" + "a" * 2000}, "at most 2000"),
            ({"name": ""}, "This field is required"),
            ({"format": "carrier pigeon"}, "Select a valid choice"),
        ],
    )
    def test_what_is_wrong_is_said_at_its_field(
        self, browser: Any, wrong: dict[str, str], sentence: str
    ) -> None:
        answer = browser.post("/team/webhooks/new/", fields(**wrong))
        assert answer.status_code == 422
        assert sentence in text(answer)
        assert f'id="id_{next(iter(wrong))}' in text(answer) and 'aria-invalid="true"' in text(answer)
        assert not Webhook.objects.exists()

    def test_what_loopback_may_not_be_asked_is_refused_by_name_too(
        self, browser: Any, settings: Settings
    ) -> None:
        settings.STOREKEEPER_OUTBOUND_ALLOW = []
        answer = browser.post("/team/webhooks/new/", fields(url="http://localhost:8000/"))
        assert "is not a public address" in text(answer)

    def test_a_name_that_is_not_found_may_come_later(self, browser: Any) -> None:
        assert secret_on(text(browser.post("/team/webhooks/new/", fields(url="https://nowhere.invalid/x"))))

    def test_names_are_unique_in_the_team_and_few(self, cast: Cast, browser: Any, receiver: Receiver) -> None:
        hooked(cast, receiver)
        assert "There is a webhook" in text(browser.post("/team/webhooks/new/", fields(name="PIPELINE")))
        for number in range(webhooks.MOST - 1):
            hooked(cast, receiver, name=f"hook {number}")
        assert "at most 20" in text(browser.post("/team/webhooks/new/", fields(name="one more")))
        assert Webhook.objects.count() == webhooks.MOST


class TestChanging:
    def test_name_and_format_change_and_the_address_stays(
        self, cast: Cast, browser: Any, receiver: Receiver
    ) -> None:
        hook, secret = hooked(cast, receiver)
        answer = browser.post(f"{hook.get_absolute_url()}edit/", fields(name="chat", url="", format="text"))
        assert answer.status_code == 302
        hook.refresh_from_db()
        assert (hook.name, hook.format, webhooks.url_of(hook)) == ("chat", "text", receiver.url)
        assert webhooks.secrets_of(hook, NOW) == [secret]
        event = AuditEvent.objects.get(action="webhook.changed")
        assert event.facts == {"old_name": "pipeline", "changed": ["name", "format"]}

    def test_another_address(self, cast: Cast, browser: Any, receiver: Receiver) -> None:
        hook, _ = hooked(cast, receiver)
        with receiving() as other:
            browser.post(f"{hook.get_absolute_url()}edit/", fields(url=other.url))
            browser.post(f"{hook.get_absolute_url()}test/")
            assert len(other.requests) == 1
        hook.refresh_from_db()
        assert hook.host == f"http://127.0.0.1:{other.port}"
        assert receiver.requests == []

    def test_nothing_changed_is_no_event(self, cast: Cast, browser: Any, receiver: Receiver) -> None:
        hook, _ = hooked(cast, receiver)
        browser.post(f"{hook.get_absolute_url()}edit/", fields(url=""))
        assert not AuditEvent.objects.filter(action="webhook.changed").exists()

    def test_a_taken_name_and_a_bad_address_are_refused(
        self, cast: Cast, browser: Any, receiver: Receiver
    ) -> None:
        hook, _ = hooked(cast, receiver)
        hooked(cast, receiver, name="other")
        for wrong, sentence in (
            (fields(name="Other", url=""), "There is a webhook"),
            (fields(url="x"), "https://"),
        ):
            answer = browser.post(f"{hook.get_absolute_url()}edit/", wrong)
            assert answer.status_code == 422 and sentence in text(answer)

    def test_a_new_secret_is_asked_once_and_shown_once(
        self, cast: Cast, browser: Any, receiver: Receiver
    ) -> None:
        hook, old = hooked(cast, receiver)
        address = f"{hook.get_absolute_url()}secret/"
        assert "24 hours" in text(browser.get(address))
        hook.refresh_from_db()
        assert webhooks.secrets_of(hook, NOW) == [old]
        answer = browser.post(address)
        new = secret_on(text(answer))
        assert "no-store" in answer.headers["Cache-Control"]
        hook.refresh_from_db()
        assert webhooks.secrets_of(hook, NOW) == [new, old]
        assert "signs as well until" in text(browser.get(hook.get_absolute_url()))
        assert AuditEvent.objects.get(action="webhook.secret_rotated").facts == {}

    def test_off_and_on(self, cast: Cast, browser: Any, receiver: Receiver) -> None:
        hook, _ = hooked(cast, receiver)
        for on, action in (("no", "webhook.disabled"), ("yes", "webhook.enabled")):
            for _ in range(2):
                browser.post(f"{hook.get_absolute_url()}switch/", {"on": on})
            hook.refresh_from_db()
            assert hook.is_enabled == (on == "yes")
            assert AuditEvent.objects.filter(action=action).count() == 1

    def test_deleting_asks_once_and_takes_all_along(
        self, cast: Cast, browser: Any, receiver: Receiver
    ) -> None:
        hook, _ = hooked(cast, receiver)
        channel.send_test(hook, NOW)
        due(cast.team)
        assert "1 notice that waits for it is not sent" in text(
            browser.get(f"{hook.get_absolute_url()}delete/")
        )
        browser.post(f"{hook.get_absolute_url()}delete/")
        assert not Webhook.objects.exists() and not WebhookAttempt.objects.exists()
        assert not Notice.objects.filter(channel="webhook").exists()
        assert AuditEvent.objects.get(action="webhook.deleted").object_name == "pipeline"

    @pytest.mark.parametrize("what", ["edit", "secret"])
    def test_where_the_key_is_lost_it_is_said(
        self, cast: Cast, browser: Any, receiver: Receiver, settings: Settings, what: str
    ) -> None:
        hook, _ = hooked(cast, receiver)
        settings.STOREKEEPER_KEYS = "other:" + base64.b64encode(b"o" * 32).decode()
        answer = browser.post(f"{hook.get_absolute_url()}{what}/", fields())
        assert answer.status_code in (422, 503)
        assert "make a new webhook" in text(answer)
        assert browser.get(hook.get_absolute_url()).status_code == 200

    def test_what_was_deleted_meanwhile_is_said(self, cast: Cast, receiver: Receiver) -> None:
        hook, _ = hooked(cast, receiver)
        Webhook.objects.all().delete()
        with pytest.raises(Conflict, match="deleted meanwhile"):
            webhooks.switch(webhook=hook, on=False, actor=cast.actor)


class TestLog:
    def test_a_test_message_shows_what_was_answered(
        self, cast: Cast, browser: Any, receiver: Receiver
    ) -> None:
        receiver.answers = [status(500, b"<b>No such key</b>")]
        hook, _ = hooked(cast, receiver)
        page = text(browser.post(f"{hook.get_absolute_url()}test/", follow=True))
        assert "It did not arrive" in page and "The receiver answered 500." in page
        assert "&lt;b&gt;No such key&lt;/b&gt;" in page
        assert "portal.test" in page
        assert "s3cret-part" not in page
        log = text(browser.get(hook.get_absolute_url()))
        assert "Failed" in log and WebhookAttempt.objects.get().message_id in log

    def test_a_message_is_sent_once_more(self, cast: Cast, browser: Any, receiver: Receiver) -> None:
        hooked(cast, receiver)
        due(cast.team)
        deliver(NOW)
        attempt = WebhookAttempt.objects.get()
        page = text(browser.post(f"/team/webhooks/attempts/{attempt.pk}/redeliver/", follow=True))
        assert "It arrived" in page and "2 with this id" in page
        first, second = receiver.requests
        assert first.headers["webhook-id"] == second.headers["webhook-id"]

    def test_two_at_once_are_refused_in_words(self, cast: Cast, browser: Any, receiver: Receiver) -> None:
        hook, _ = hooked(cast, receiver)
        WebhookAttempt.objects.create(team=cast.team, webhook=hook, message_id="m", body="{}", at=NOW)
        answer = browser.post(f"{hook.get_absolute_url()}test/")
        assert answer.status_code == 409 and "under way" in text(answer)
        assert "Under way" in text(browser.get(hook.get_absolute_url()))

    def test_what_was_cut_off_is_told_from_what_is_under_way(
        self, cast: Cast, browser: Any, receiver: Receiver
    ) -> None:
        hook, _ = hooked(cast, receiver)
        attempt = WebhookAttempt.objects.create(
            team=cast.team, webhook=hook, message_id="m", body="{}", at=NOW - channel.UNDER_WAY
        )
        assert "Cut off" in text(browser.get(hook.get_absolute_url()))
        assert "Nobody knows" in text(browser.get(f"/team/webhooks/attempts/{attempt.pk}/"))


class TestRoles:
    def test_editors_read_and_change_nothing(self, cast: Cast, receiver: Receiver) -> None:
        hook, _ = hooked(cast, receiver)
        attempt = channel.send_test(hook, NOW)
        browser = client_of(cast.editor)
        for address in ("/team/webhooks/", hook.get_absolute_url(), f"/team/webhooks/attempts/{attempt.pk}/"):
            page = text(browser.get(address))
            assert "pipeline" in page
            for button in ("Send a test", "Send it once more", "Add a webhook", "New secret", "s3cret-part"):
                assert button not in page

    def test_the_tab_is_for_those_who_see_addresses(self, cast: Cast) -> None:
        assert 'href="/team/webhooks/"' in text(client_of(cast.editor).get("/team/"))
        assert 'href="/team/webhooks/"' not in text(client_of(cast.viewer).get("/team/"))

    def test_the_list_asks_the_same_few_questions_for_many(self, cast: Cast, receiver: Receiver) -> None:
        counts = []
        for more in (1, 15):
            for number in range(more):
                channel.send_test(hooked(cast, receiver, name=f"{more}-{number}")[0], NOW)
            browser = client_of(cast.owner)
            browser.get("/team/")
            with CaptureQueriesContext(connection) as counted:
                assert text(browser.get("/team/webhooks/")).count("Arrived") == more + (more > 1)
            counts.append(len(counted))
        assert counts[0] == counts[1] <= 12

    def test_a_team_sees_its_own_alone(self, cast: Cast, receiver: Receiver) -> None:
        hooked(cast, receiver)
        assert "pipeline" not in text(client_of(cast.outsider).get("/team/webhooks/"))

    def test_owners_read_what_could_not_be_delivered(
        self, cast: Cast, browser: Any, receiver: Receiver
    ) -> None:
        hooked(cast, receiver)
        due(cast.team)
        Notice.objects.filter(channel="webhook").update(state="failed", attempted_at=NOW, error="Why not.")
        page = text(browser.get("/notices/"))
        assert "pipeline</a> (webhook)" in page and "Why not." in page


class TestKeys:
    NEW = "new:" + base64.b64encode(b"n" * 32).decode()

    def test_all_is_wrapped_anew_and_opens_with_the_new_key_alone(
        self, cast: Cast, receiver: Receiver, settings: Settings, capsys: pytest.CaptureFixture[str]
    ) -> None:
        hook, old = hooked(cast, receiver)
        hooked(cast, receiver, name="never rotated")
        new = webhooks.rotate_secret(webhook=hook, actor=cast.actor, now=NOW)
        settings.STOREKEEPER_KEYS = f"{self.NEW},{settings.STOREKEEPER_KEYS}"
        call_command("rotate_keys", batch=1)
        assert "webhooks: 2 re-wrapped, 0 left" in capsys.readouterr().out
        settings.STOREKEEPER_KEYS = self.NEW
        hook.refresh_from_db()
        assert webhooks.url_of(hook) == receiver.url
        assert webhooks.secrets_of(hook, NOW) == [new, old]

    def test_what_is_changed_is_wrapped_by_one_key(
        self, cast: Cast, receiver: Receiver, settings: Settings
    ) -> None:
        hook, old = hooked(cast, receiver)
        settings.STOREKEEPER_KEYS = f"{self.NEW},{settings.STOREKEEPER_KEYS}"
        new = webhooks.rotate_secret(webhook=hook, actor=cast.actor, now=NOW)
        settings.STOREKEEPER_KEYS = self.NEW
        hook.refresh_from_db()
        assert (hook.sealed_with, webhooks.url_of(hook)) == ("new", receiver.url)
        assert webhooks.secrets_of(hook, NOW) == [new, old]

    def test_what_does_not_open_is_left_and_told(
        self, cast: Cast, receiver: Receiver, settings: Settings, capsys: pytest.CaptureFixture[str]
    ) -> None:
        hooked(cast, receiver)
        settings.STOREKEEPER_KEYS = self.NEW
        with pytest.raises(CommandError, match="1 objects"):
            call_command("rotate_keys")
        assert "webhooks: 0 re-wrapped, 1 left" in capsys.readouterr().out

    def test_an_address_changed_meanwhile_stays_changed(
        self, cast: Cast, receiver: Receiver, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hook, _ = hooked(cast, receiver)
        settings.STOREKEEPER_KEYS = f"{self.NEW},{settings.STOREKEEPER_KEYS}"
        real = webhooks.rewrapped

        def meanwhile(row: Webhook) -> dict[str, object]:
            monkeypatch.undo()
            webhooks.edit(
                webhook=row, name="x", url="http://127.0.0.1/changed", shape="text", actor=cast.actor
            )
            return real(row)

        monkeypatch.setattr(webhooks, "rewrapped", meanwhile)
        assert webhook_rows(10).left == 0
        hook.refresh_from_db()
        assert webhooks.url_of(hook) == "http://127.0.0.1/changed"

    def test_what_is_swapped_does_not_open(self, cast: Cast, receiver: Receiver) -> None:
        one, _ = hooked(cast, receiver)
        other, _ = hooked(cast, receiver, name="other")
        one.sealed_url = other.sealed_url
        with pytest.raises(vault.VaultError):
            webhooks.url_of(one)
