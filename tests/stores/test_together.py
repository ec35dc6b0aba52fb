"""What several people do at the same instant, in threads and transactions of their own."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from portal.errors import PortalError
from portal.models import AuditEvent
from stores import housekeeping, services
from stores.models import Certificate, Store, Version
from tests.cast import Cast, client_of, kept
from tests.material import NOW, mint
from tests.stores.steps import ROOT, assert_whole, propose, save, saving, twin
from tests.together import together

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("now")]
ROUNDS = range(2)


@pytest.fixture
def browser(cast: Cast) -> Client:
    return client_of(cast.editor)


@pytest.mark.parametrize("_", ROUNDS)
def test_a_double_click_on_save_saves_once(browser: Client, _: int) -> None:
    address = propose(browser)
    fields = saving(browser, address)
    answers = together(
        *(lambda one=one: save(one, address, fields) for one in [twin(browser) for _ in range(4)])
    )
    assert {(answer.status_code, answer.url) for answer in answers} == {
        (302, Certificate.objects.get().get_absolute_url())
    }
    assert Version.objects.count() == 1
    assert Counter(AuditEvent.objects.values_list("action", flat=True))["version.uploaded"] == 1
    assert_whole()


@pytest.mark.parametrize("_", ROUNDS)
def test_two_people_who_replace_at_once_are_one_after_the_other(cast: Cast, _: int) -> None:
    old = kept(cast, mint("orders", ROOT))
    address = reverse("stores:replace", args=[old.certificate_id])
    people = [client_of(cast.editor), client_of(cast.owner)]
    reviews = [
        propose(one, address, mint("orders", ROOT, end=end))
        for one, end in zip(people, (500, 600), strict=True)
    ]
    fields = [saving(*both) for both in zip(people, reviews, strict=True)]
    answers = together(*(lambda at=at: save(people[at], reviews[at], fields[at]) for at in (0, 1)))
    assert sorted(answer.status_code for answer in answers) == [302, 409]
    second = 0 if answers[0].status_code == 409 else 1
    page = answers[second].content.decode()
    assert "now has version 2, made active while you looked. Nothing of yours is lost" in page
    assert "Version 2, active" in page, "compared with what is there now"
    again = {name: str(value) for name, value in answers[second].context["form"].data.items()}
    assert save(people[second], reviews[second], again | {"do": "save"}).status_code == 302
    assert Version.objects.get(state="active").number == 3
    assert_whole()


@pytest.mark.parametrize("_", ROUNDS)
def test_the_same_new_store_and_name_at_once(cast: Cast, _: int) -> None:
    people = [client_of(cast.editor), client_of(cast.owner)]
    reviews = [
        propose(one, leaf=mint(name, ROOT)) for one, name in zip(people, ("first", "second"), strict=True)
    ]
    fields = [saving(*both) for both in zip(people, reviews, strict=True)]
    answers = together(*(lambda at=at: save(people[at], reviews[at], fields[at]) for at in (0, 1)))
    assert sorted(answer.status_code for answer in answers) == [302, 409]
    [refused] = [answer for answer in answers if answer.status_code == 409]
    assert "Replace it, or type another name" in str(refused.context["form"].errors["name"])
    assert (Store.objects.count(), Certificate.objects.count()) == (1, 1)
    assert_whole()


def test_many_uploads_into_one_new_store_at_once_all_arrive(cast: Cast) -> None:
    people = [client_of(cast.editor) for _ in range(6)]
    reviews = [propose(one, leaf=mint(f"n{at}", ROOT), name=f"n{at}") for at, one in enumerate(people)]
    fields = [saving(*both) for both in zip(people, reviews, strict=True)]
    answers = together(*(lambda at=at: save(people[at], reviews[at], fields[at]) for at in range(6)))
    assert [answer.status_code for answer in answers] == [302] * 6
    assert (Store.objects.count(), Certificate.objects.count()) == (1, 6)
    assert_whole()


def attempt(work: Callable[[], object]) -> int:
    """200, or 409 when it is refused because somebody else was first."""
    try:
        work()
    except PortalError:
        return 409
    return 200


@pytest.mark.parametrize("_", ROUNDS)
def test_restoring_replacing_and_discarding_at_once(cast: Cast, browser: Client, _: int) -> None:
    first, second = kept(cast, mint("orders", ROOT)), kept(cast, mint("orders", ROOT, end=400))
    staged = kept(cast, mint("orders", ROOT, end=450), at_once=False)
    review = propose(
        browser, reverse("stores:replace", args=[first.certificate_id]), mint("orders", ROOT, end=500)
    )
    fields = saving(browser, review)
    together(
        lambda: attempt(lambda: services.activate(version=first, actor=cast.actor, now=NOW)),
        lambda: attempt(lambda: services.activate(version=second, actor=cast.actor, now=NOW)),
        lambda: attempt(lambda: services.discard(version=staged, actor=cast.actor, now=NOW)),
        lambda: attempt(lambda: services.activate(version=staged, actor=cast.actor, now=NOW)),
        lambda: save(browser, review, fields).status_code,
    )
    assert_whole()


@pytest.mark.parametrize("_", ROUNDS)
def test_a_store_deleted_while_something_is_saved_into_it(cast: Cast, browser: Client, _: int) -> None:
    store = kept(cast, mint("other", ROOT), name="other").certificate.store
    review = propose(browser, store=store.pk, store_name="")
    fields = saving(browser, review)
    statuses = together(
        lambda: save(browser, review, fields).status_code,
        lambda: attempt(lambda: services.delete_store(store=store, actor=cast.actor)),
    )
    assert statuses in ([302, 200], [409, 200])
    assert not Store.objects.exists() and not Version.objects.exists(), (
        "who deletes, deletes what came before"
    )
    if statuses[0] == 409:
        assert save(browser, review, saving(browser, review)).status_code == 302
    assert_whole()


@pytest.mark.parametrize("_", ROUNDS)
def test_a_certificate_deleted_while_it_is_replaced(cast: Cast, browser: Client, _: int) -> None:
    old = kept(cast, mint("orders", ROOT))
    review = propose(
        browser, reverse("stores:replace", args=[old.certificate_id]), mint("orders", ROOT, end=500)
    )
    fields = saving(browser, review)
    statuses = together(
        lambda: save(browser, review, fields).status_code,
        lambda: attempt(lambda: services.delete_certificate(certificate=old.certificate, actor=cast.actor)),
    )
    assert statuses[0] in (302, 409, 422) and statuses[1] == 200
    assert not Version.objects.exists()
    assert browser.get(review).status_code == (404 if statuses[0] == 302 else 200)


@pytest.mark.parametrize("_", ROUNDS)
def test_tidying_up_while_an_old_draft_is_saved(cast: Cast, browser: Client, _: int) -> None:
    review = propose(browser)
    fields = saving(browser, review)
    far = dt.datetime.now(dt.UTC) + dt.timedelta(days=9000)
    answer, *_rest = together(
        lambda: save(browser, review, fields),
        lambda: housekeeping.discard_unconfirmed(NOW + dt.timedelta(days=2)),
        lambda: housekeeping.remove_orphaned_files(far),
    )
    assert answer.status_code in (302, 404, 409)
    assert Version.objects.count() == (1 if answer.status_code == 302 else 0)
    assert_whole()


@pytest.mark.parametrize("what", ["certificates", "stores"])
def test_deleting_twice_gets_an_answer(cast: Cast, what: str) -> None:
    certificate = kept(cast).certificate
    row: Any = certificate if what == "certificates" else certificate.store
    owner, address = client_of(cast.owner), f"/{what}/{row.pk}/delete/"
    answers = together(*(lambda one=one: one.post(address) for one in (twin(owner), twin(owner))))
    assert min(answer.status_code for answer in answers) == 302
    assert {answer.status_code for answer in answers} <= {302, 404, 409}
