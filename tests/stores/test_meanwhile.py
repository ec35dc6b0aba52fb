"""What happens between two clicks: others replace and delete, a day goes by, the session ends."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from portal.errors import Conflict
from portal.models import AuditEvent
from stores import housekeeping, services
from stores.models import Certificate, Draft, Store, Version
from stores.saving import confirm
from stores.tasks import discard_unconfirmed
from tests.cast import Cast, client_of, kept
from tests.material import NOW, mint
from tests.stores.steps import NEW, ROOT, assert_whole, propose, save, saving

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]
LATER = NOW + dt.timedelta(days=2)


@pytest.fixture
def browser(cast: Cast) -> Client:
    return client_of(cast.editor)


# While somebody looks at the review


def test_a_certificate_that_is_gone_is_told_and_the_upload_can_be_kept_as_a_new_one(
    cast: Cast, browser: Client
) -> None:
    old = kept(cast, mint("orders", ROOT))
    review = propose(
        browser, reverse("stores:replace", args=[old.certificate_id]), mint("orders", ROOT, end=500)
    )
    fields = saving(browser, review)
    services.delete_certificate(certificate=old.certificate, actor=cast.actor)
    answer = save(browser, review, fields)
    assert answer.status_code == 422
    assert "no longer there" in str(answer.context["form"].errors["destination"])
    assert "no longer there" in answer.content.decode()
    assert save(browser, review, saving(browser, review) | {"name": "orders-again"}).status_code == 302
    assert_whole()


def test_a_store_that_is_gone_is_told_and_can_be_made_anew(cast: Cast, browser: Client) -> None:
    store = kept(cast, mint("other", ROOT), name="other").certificate.store
    review = propose(browser, store=store.pk, store_name="")
    fields = saving(browser, review)
    services.delete_store(store=store, actor=cast.actor)
    answer = save(browser, review, fields | {"timing": "staged"})
    assert answer.status_code == 409
    assert (
        "The store “outbound” has been deleted meanwhile. Nothing of yours is lost" in answer.content.decode()
    )
    assert answer.context["form"]["timing"].value() == "staged"
    assert "(new)" in answer.content.decode()
    assert save(browser, review, saving(browser, review)).status_code == 302
    assert Store.objects.get().name == "outbound"
    assert_whole()


def test_certificate_and_store_both_gone(cast: Cast, browser: Client) -> None:
    old = kept(cast, mint("orders", ROOT))
    review = propose(
        browser, reverse("stores:replace", args=[old.certificate_id]), mint("orders", ROOT, end=500)
    )
    services.delete_store(store=old.certificate.store, actor=cast.actor)
    fields = saving(browser, review)
    assert save(browser, review, fields).status_code == 302
    assert (Store.objects.get().name, Certificate.objects.get().name) == ("outbound", "orders-client")
    assert_whole()


@pytest.mark.parametrize(
    ("page", "fields"),
    [
        ("versions/{version}/activate/", {}),
        ("versions/{version}/discard/", {}),
        ("versions/{version}/purge/", {}),
        ("versions/{version}/schedule/", {"activate_at": "2026-07-01T00:00"}),
        ("{certificate}/edit/", {"name": "another", "owner": ""}),
        ("{certificate}/delete/", {}),
    ],
)
def test_what_is_deleted_an_instant_before_a_change_is_told(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, page: str, fields: dict[str, str]
) -> None:
    version = kept(cast, mint("orders", ROOT))
    for name in ("locked_certificate", "locked_version"):
        monkeypatch.setattr(services, name, _after_deletion(getattr(services, name)))
    page = page.format(version=version.pk, certificate=version.certificate_id)
    answer: Any = client_of(cast.owner).post(f"/certificates/{page}", fields)
    assert answer.status_code == 409
    assert "has been deleted meanwhile. Nothing was changed." in answer.content.decode()


@pytest.mark.parametrize("change", ["postponed", "discarded", "deleted"])
def test_what_is_changed_while_others_are_activated_is_left_as_it_is(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    first, second = (kept(cast, mint(name, ROOT, begin=1), name=name) for name in ("first", "second"))
    plain = services.activate

    def slow(**given: Any) -> Version:
        (other,) = {first, second} - {given["version"]}
        if change == "postponed":
            services.schedule(version=other, activate_at=NOW + dt.timedelta(days=20), actor=cast.actor)
        elif change == "discarded":
            services.discard(version=other, actor=cast.actor, now=NOW)
        else:
            services.delete_certificate(certificate=other.certificate, actor=cast.actor)
        return plain(**given)

    monkeypatch.setattr(services, "activate", slow)
    assert housekeeping.activate_due(LATER) == 1
    assert Version.objects.filter(state="active").count() == 1
    assert not AuditEvent.objects.filter(action="version.not_activated").exists()


def test_a_newer_active_version_is_not_replaced_by_one_that_was_scheduled_before(cast: Cast) -> None:
    older = kept(cast, mint("orders", ROOT, begin=1))
    newer = kept(cast, mint("orders", ROOT))
    assert housekeeping.activate_due(LATER) == 0
    older.refresh_from_db()
    assert (Version.objects.get(state="active"), older.state, older.activate_at) == (newer, "staged", None)
    assert AuditEvent.objects.filter(action="version.not_activated").exists()


def _after_deletion(lock: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The lock, taken by somebody who was slower than a deletion."""

    def late(row: Any) -> Any:
        Certificate.objects.all().delete()
        return lock(row)

    return late


def test_a_draft_that_was_tidied_away_is_told(browser: Client) -> None:
    review = propose(browser)
    fields = saving(browser, review)
    assert housekeeping.discard_unconfirmed(LATER) == 1
    for answer in (save(browser, review, fields), browser.get(review)):
        assert answer.status_code == 404
        assert "not saved within a day" in answer.content.decode()
    assert not Version.objects.exists()


def test_a_draft_whose_version_was_deleted_makes_no_second_one_without_bytes(
    cast: Cast, browser: Client
) -> None:
    review = propose(browser)
    fields = saving(browser, review)
    save(browser, review, fields)
    draft = Draft.objects.get()
    services.delete_certificate(certificate=Certificate.objects.get(), actor=cast.actor)
    assert [browser.get(review).status_code, save(browser, review, fields).status_code] == [404, 404]
    with pytest.raises(Conflict):
        confirm(draft=draft, actor=cast.actor, now=NOW)
    assert not Version.objects.exists()


def test_another_window_cannot_turn_a_save_elsewhere(cast: Cast, browser: Client) -> None:
    """Both windows show the same review; what each sends counts, whatever the other one has chosen since."""
    old = kept(cast, mint("orders", ROOT))
    review = propose(browser, leaf=mint("orders", ROOT, end=500), name="elsewhere")
    fields = saving(browser, review)
    browser.post(review, {"do": "compare", "destination": old.certificate_id})
    assert save(browser, review, fields).status_code == 302
    assert sorted(Certificate.objects.values_list("name", flat=True)) == ["elsewhere", "orders-client"]
    assert Certificate.objects.get(name="orders-client").versions.count() == 1


def test_an_upload_over_one_that_was_not_compared_is_told(cast: Cast, browser: Client) -> None:
    old = kept(cast, mint("orders", ROOT))
    review = propose(browser, leaf=mint("orders", ROOT, end=500), name="elsewhere")
    fields = saving(browser, review) | {"destination": old.certificate_id, "name": ""}
    answer = save(browser, review, fields)
    assert answer.status_code == 409
    page = answer.content.decode()
    assert (
        "“orders-client” now has version 1. Nothing of yours is lost" in page and "Version 1, active" in page
    )
    again = {name: str(value) for name, value in answer.context["form"].data.items()}
    assert save(browser, review, again | {"do": "save"}).status_code == 302
    assert old.certificate.versions.count() == 2


# When the session ends


def sign_in(browser: Client, user: Any) -> None:
    answer = browser.post("/accounts/login/", {"login": user.email, "password": "correct horse battery"})
    assert answer.status_code == 302


def test_the_upload_form_goes_on_after_signing_in(cast: Cast) -> None:
    store = kept(cast).certificate.store
    browser = client_of(cast.editor)
    browser.logout()
    typed = {
        "kind": "trust", "store": store.pk, "store_name": "typed store", "store_description": "typed too", "name": "typed name",
        "description": "typed as well", "password": "Never-Shown-4711", "pasted": ROOT.key_pem.decode(),
    }  # fmt: skip
    answer: Any = browser.post(NEW, typed | {"file": SimpleUploadedFile("x.pem", ROOT.pem)})
    assert answer.url == "/accounts/login/?next=/certificates/new/"
    sign_in(browser, cast.editor)
    form = browser.get(NEW).context["form"]
    for name in ("kind", "store", "store_name", "store_description", "name", "description"):
        assert form[name].value() == typed[name]
    assert not form["password"].value() and not form["pasted"].value()


def test_what_was_typed_goes_with_the_session_that_has_ended(cast: Cast) -> None:
    Client().post(NEW, {"name": "typed-before", "store_name": "outbound"})
    assert "typed-before" in str([one.get_decoded() for one in Session.objects.all()])
    Session.objects.update(expire_date=NOW - dt.timedelta(minutes=1))
    client = client_of(cast.editor)
    discard_unconfirmed()
    assert "typed-before" not in str([one.get_decoded() for one in Session.objects.all()])
    assert client.get("/").status_code == 200, "who is signed in stays so"


def test_the_review_goes_on_after_signing_in(cast: Cast) -> None:
    browser = client_of(cast.editor)
    review = propose(browser)
    typed = {
        "destination": "new",
        "name": "typed name",
        "timing": "at",
        "activate_at": "2026-06-09T08:00",
        "seen": "forged",
        "do": "save",
    }
    browser.logout()
    answer: Any = browser.post(review, typed)
    assert answer.url == f"/accounts/login/?next={review}"
    assert not Version.objects.exists()
    sign_in(browser, cast.editor)
    form = browser.get(review).context["form"]
    assert {name: form[name].value() for name in ("destination", "name", "timing", "activate_at")} == {
        name: typed[name] for name in ("destination", "name", "timing", "activate_at")
    }
    assert form["seen"].value() == ""
    assert browser.post(review, typed | {"seen": ""}).status_code == 302
    assert Version.objects.get().activate_at == dt.datetime(2026, 6, 9, 8, tzinfo=dt.UTC)


def test_a_part_of_a_page_leads_the_whole_page_to_signing_in(cast: Cast) -> None:
    answer = Client().post(NEW, {"name": "typed"}, headers={"HX-Request": "true"})
    assert answer.headers["HX-Redirect"] == "/accounts/login/?next=/certificates/new/"
    assert answer.status_code == 200 and not answer.content


def test_a_form_from_before_signing_in_elsewhere_is_told(cast: Cast) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(cast.editor, "django.contrib.auth.backends.ModelBackend")
    answer = strict.post(NEW, {"kind": "key", "csrfmiddlewaretoken": "x" * 64})
    assert answer.status_code == 403
    assert "This form is too old" in answer.content.decode()


def test_who_signs_out_elsewhere_meanwhile_is_told(browser: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    review = propose(browser)
    fields = saving(browser, review)

    def gone(*_: object, **__: object) -> None:
        raise UpdateError

    monkeypatch.setattr(SessionStore, "save", gone)
    answer = save(browser, review, fields)
    assert answer.status_code == 400
    assert "Sign in again and see whether it was" in answer.content.decode()
    assert Version.objects.count() == 1
