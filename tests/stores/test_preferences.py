"""What a person wants to be mailed, and the plain addresses that are told of a certificate."""

from __future__ import annotations

import pytest

from portal.models import AuditEvent
from stores import watch
from stores.models import Notice, Preferences, Watcher
from stores.notices import preferences
from stores.notices.watchers import MOST
from tests.cast import Cast, client_of
from tests.material import NOW
from tests.stores.test_notices import due
from tests.stores.watched import Link, watched

pytestmark = pytest.mark.usefixtures("now")
PAGE = "/notices/preferences/"


class TestPreferences:
    def test_who_has_said_nothing_is_mailed_everything(self, cast: Cast) -> None:
        page = client_of(cast.viewer).get(PAGE).content.decode()
        assert page.count("checked") == 6
        assert "Always mailed, whatever is chosen here" in page

    def test_what_is_not_ticked_is_silent(self, cast: Cast) -> None:
        browser = client_of(cast.owner)
        assert browser.post(PAGE, {"urgent": "on", "info": "on"}).status_code == 302
        said = Preferences.objects.get(user=cast.owner)
        assert (said.silent, said.summary) == (["warning", "notice"], False)
        assert browser.get(PAGE).content.decode().count("checked") == 3
        due(cast.team, Link("x", end=20))
        assert [notice.channel for notice in Notice.objects.filter(user=cast.owner)] == ["portal"]
        due(cast.team, name="soon")
        assert Notice.objects.filter(user=cast.owner, channel="email").count() == 1

    def test_what_has_expired_cannot_be_switched_off(self, cast: Cast) -> None:
        client_of(cast.owner).post(PAGE, {})
        assert "expired" not in Preferences.objects.get(user=cast.owner).silent
        with pytest.raises(ValueError, match="cannot be silenced: expired"):
            preferences.save(user=cast.owner, silent=["expired"], summary=True, actor=cast.actor)

    def test_the_change_is_audited_and_nothing_when_there_is_none(self, cast: Cast) -> None:
        for _ in range(2):
            client_of(cast.owner).post(PAGE, {"urgent": "on", "info": "on", "warning": "on", "notice": "on"})
        (event,) = AuditEvent.objects.filter(action="mail.chosen")
        assert (event.actor, event.team, event.facts) == (cast.owner, None, {"changed": ["summary"]})

    def test_each_person_has_their_own(self, cast: Cast) -> None:
        client_of(cast.owner).post(PAGE, {})
        assert client_of(cast.editor).get(PAGE).content.decode().count("checked") == 6


class TestWatchers:
    @pytest.fixture
    def address(self, cast: Cast) -> str:
        version = watched(cast.team, Link("orders", end=5))
        return f"/certificates/{version.certificate.pk}/watchers/"

    def test_an_address_that_an_editor_adds_is_told(self, cast: Cast, address: str) -> None:
        answer = client_of(cast.editor).post(address, {"email": " Ops@Example.org "}, follow=True)
        assert "ops@example.org is told of orders-client from now on." in answer.content.decode()
        watch.find_due(NOW)
        assert Notice.objects.filter(recipient="ops@example.org", channel="email", user=None).count() == 1
        (event,) = AuditEvent.objects.filter(action="watcher.added")
        assert (event.actor, event.object_name, event.facts) == (
            cast.editor,
            "orders-client",
            {"email": "ops@example.org"},
        )

    @pytest.mark.parametrize(
        ("email", "sentence"),
        [
            ("", "This field is required."),
            ("nonsense", "Enter a valid email address."),
            ("OPS@example.org", "ops@example.org is told of this certificate already."),
        ],
    )
    def test_what_cannot_be_told_is_said_at_the_field(
        self, cast: Cast, address: str, email: str, sentence: str
    ) -> None:
        browser = client_of(cast.editor)
        browser.post(address, {"email": "ops@example.org"})
        answer = browser.post(address, {"email": email})
        assert answer.status_code == 422
        assert sentence in answer.content.decode()
        assert Watcher.objects.count() == 1

    def test_there_is_an_end_to_it(self, cast: Cast, address: str) -> None:
        browser = client_of(cast.editor)
        answers = [browser.post(address, {"email": f"p{n}@example.org"}) for n in range(MOST + 1)]
        assert [answer.status_code for answer in answers] == [302] * MOST + [422]
        assert "Remove one, or use the address of a mailing list" in answers[-1].content.decode()

    def test_it_is_taken_out_again(self, cast: Cast, address: str) -> None:
        browser = client_of(cast.editor)
        browser.post(address, {"email": "ops@example.org"})
        watcher = Watcher.objects.get()
        assert browser.post(f"/certificates/watchers/{watcher.pk}/remove/").status_code == 302
        assert not Watcher.objects.exists()
        (event,) = AuditEvent.objects.filter(action="watcher.removed")
        assert event.facts == {"email": "ops@example.org"}
        assert "Nobody else is told" in browser.get(address).content.decode()

    def test_viewers_see_no_address(self, cast: Cast, address: str) -> None:
        client_of(cast.editor).post(address, {"email": "ops@example.org"})
        page = address.removesuffix("watchers/")
        assert "1 plain address, at each stage" in client_of(cast.owner).get(page).content.decode()
        assert "plain address" not in client_of(cast.viewer).get(page).content.decode()
        for path in (page, f"{page}history/"):
            assert "ops@example.org" not in client_of(cast.viewer).get(path).content.decode()
        assert "added an address" in client_of(cast.viewer).get(f"{page}history/").content.decode()
