"""What several people and the portal do about one case at the same instant, in transactions of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from portal.audit import Actor
from portal.errors import PortalError
from portal.models import Membership, User
from providers.models import ConnectionReport, Provider
from stores import case_work, cases, watch
from stores.models import Case, CaseEvent, Notice
from tests.cast import Cast
from tests.material import NOW
from tests.stores.test_cases import supersede
from tests.stores.watched import Link, day, watched
from tests.together import together

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("now")]
ROUNDS = range(3)


@pytest.fixture
def case(cast: Cast) -> Case:
    watched(cast.team, Link("orders", end=50))
    watch.find_due(NOW)
    Notice.objects.all().delete()
    return Case.objects.get()


def outcome(work: Callable[[], object]) -> str:
    try:
        work()
    except PortalError as error:
        return error.code
    return "done"


@pytest.mark.parametrize("_", ROUNDS)
def test_of_many_who_take_it_one_has_it(cast: Cast, case: Case, _: int) -> None:
    people = [User.objects.create_user(email=f"p{number}@example.org") for number in range(4)]
    for one in people:
        Membership.objects.create(team=cast.team, user=one, role="editor")
    seen = case_work.holding(case)
    done = together(
        *(
            lambda one=one: outcome(lambda: case_work.take(case=case, seen=seen, actor=Actor(one), now=NOW))
            for one in people
        )
    )
    assert Counter(done) == {"done": 1, "taken_meanwhile": 3}
    [event] = case.events.filter(kind="taken")
    case.refresh_from_db()
    assert case.owner and event.by == case.owner.email


@pytest.mark.parametrize("_", ROUNDS)
def test_its_day_comes_several_times_at_once_and_is_told_once(case: Case, cast: Cast, _: int) -> None:
    case_work.snooze(case=case, until=day(10), reason="x", actor=cast.actor, now=NOW)
    assert sum(together(*(lambda: cases.wake_due(day(10)) for _ in range(4)))) == 1
    assert CaseEvent.objects.filter(kind="woken").count() == 1
    assert Notice.objects.filter(channel="portal").count() == 1


@pytest.mark.parametrize("_", ROUNDS)
def test_snoozed_while_a_later_stage_comes_it_is_one_after_the_other(cast: Cast, case: Case, _: int) -> None:
    together(
        lambda: watch.find_due(day(21)),
        lambda: case_work.snooze(case=case, until=day(30), reason="x", actor=cast.actor, now=day(21)),
        lambda: case_work.note(case=case, text="x", actor=cast.actor, now=day(21)),
    )
    case.refresh_from_db()
    last = case.events.exclude(kind="noted").order_by("-pk")[0].kind
    assert (case.stage, case.snoozed_until is None) == ("warning", last in ("woken", "opened"))
    assert case.level == (1 if last == "woken" else 0)


@pytest.mark.parametrize("_", ROUNDS)
def test_settled_by_several_at_once_it_is_closed_once(cast: Cast, case: Case, _: int) -> None:
    provider = Provider.objects.create(
        team=cast.team, name="orders", host="o.example.org", key_certificate=case.certificate
    )
    new = supersede(cast.team, Link("orders", end=500), at=day(1))
    ConnectionReport.objects.create(
        team=cast.team, provider=provider, reason="asked", state="done", ok=True, code="ok", asked_at=day(2), finished_at=day(2),
        shown=new,
    )  # fmt: skip
    together(
        lambda: cases.settle_all(day(2)),
        lambda: cases.settle(case, day(2)),
        lambda: outcome(lambda: case_work.note(case=case, text="x", actor=cast.actor, now=day(2))),
        lambda: cases.settle_all(day(2)),
    )
    kinds = Counter(case.events.values_list("kind", flat=True))
    assert (kinds["closed"], kinds["evidence"]) == (1, 2)
    case.refresh_from_db()
    assert len(case.evidence) == 2
