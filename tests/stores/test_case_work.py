"""What people do about a case: take, hand over, note, snooze, wake; and what wakes and settles by itself."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from portal.audit import SYSTEM, Actor
from portal.errors import Conflict, PortalError
from portal.models import AuditEvent, Membership, Team, User
from stores import case_work, cases, services, watch
from stores.models import Case, CaseEvent, Notice
from tests.cast import Cast
from tests.material import NOW
from tests.stores.watched import Link, day, watched

pytestmark = pytest.mark.usefixtures("now")


@pytest.fixture
def case(cast: Cast) -> Case:
    """Of a certificate of the editor, which fails in 50 days; its next stage begins in 20."""
    watched(cast.team, Link("orders.example.org", end=50), owner=cast.editor)
    watch.find_due(NOW)
    Notice.objects.all().delete()
    return Case.objects.get()


def kinds(case: Case) -> list[str]:
    return list(case.events.values_list("kind", flat=True))


def told() -> dict[str, set[str]]:
    """Title of each message in an inbox to whom it tells."""
    found: dict[str, set[str]] = {}
    for notice in Notice.objects.filter(channel="portal"):
        found.setdefault(notice.title, set()).add(notice.recipient)
    return found


def held(case: Case) -> Case:
    return Case.objects.with_holders().get(pk=case.pk)


def take(case: Case, user: User, seen: str | None = None) -> None:
    case_work.take(
        case=case, seen=case_work.holding(case) if seen is None else seen, actor=Actor(user), now=NOW
    )


class TestTake:
    def test_it_is_written_down_audited_and_told_to_who_had_it(self, cast: Cast, case: Case) -> None:
        take(case, cast.owner)
        assert held(case).holder == cast.owner
        [event] = case.events.filter(kind="taken")
        assert (event.by, event.at) == ("owner@example.org", NOW)
        assert AuditEvent.objects.get(action="case.taken").actor == cast.owner
        assert told() == {"Owner replaces orders-client in your place": {"editor@example.org"}}
        assert not Notice.objects.filter(channel="webhook").exists()

    def test_what_is_yours_already_is_not_taken_again(self, cast: Cast, case: Case) -> None:
        take(case, cast.editor)
        assert kinds(case) == ["opened"]
        assert told() == {}

    def test_who_was_slower_is_told_who_has_it(self, cast: Cast, case: Case) -> None:
        seen = case_work.holding(case)
        take(case, cast.owner)
        with pytest.raises(Conflict, match="Owner has taken it meanwhile"):
            take(case, cast.viewer, seen)
        assert held(case).holder == cast.owner

    def test_of_one_who_left_nobody_is_told(self, cast: Cast, case: Case) -> None:
        Membership.objects.filter(user=cast.editor).delete()
        take(case, cast.owner)
        assert told() == {}


class TestHand:
    def hand(self, case: Case, to: User, by: User, words: str = "") -> None:
        case_work.hand(case=case, to=to, words=words, actor=Actor(by), now=NOW)

    def test_the_teammate_is_told_with_the_words(self, cast: Cast, case: Case) -> None:
        self.hand(case, cast.owner, cast.editor, "I am away.")
        assert held(case).holder == cast.owner
        assert case.events.get(kind="handed").text == "To Owner: I am away."
        notice = Notice.objects.get(channel="email")
        assert (notice.title, notice.recipient) == (
            "Editor hands you the replacement of orders-client", "owner@example.org",
        )  # fmt: skip
        assert notice.text == "orders-client fails on 21 July 2026. I am away."
        assert notice.url == case.get_absolute_url()
        assert AuditEvent.objects.get(action="case.handed").facts == {"member": "owner@example.org"}

    def test_a_third_person_who_decides_tells_both(self, cast: Cast, case: Case) -> None:
        chief = User.objects.create_user(email="chief@example.org", first_name="Chief")
        Membership.objects.create(team=cast.team, user=chief, role="owner")
        self.hand(case, cast.owner, chief)
        assert told() == {
            "Chief hands you the replacement of orders-client": {"owner@example.org"},
            "Owner replaces orders-client in your place": {"editor@example.org"},
        }

    @pytest.mark.parametrize("who", ["viewer", "outsider", "nobody"])
    def test_only_who_could_replace_it_is_given_it(self, cast: Cast, case: Case, who: str) -> None:
        with pytest.raises(PortalError, match="is no editor of the team") as refused:
            self.hand(case, getattr(cast, who), cast.editor)
        assert refused.value.field == "to"
        assert kinds(case) == ["opened"]

    def test_who_has_it_is_not_given_it_again(self, cast: Cast, case: Case) -> None:
        with pytest.raises(PortalError, match="has it already"):
            self.hand(case, cast.editor, cast.owner)


class TestNote:
    def test_it_stands_in_the_case_and_its_text_in_no_audit(self, cast: Cast, case: Case) -> None:
        case_work.note(case=case, text="  Asked for it.\n", actor=cast.actor, now=NOW)
        assert case.events.get(kind="noted").text == "Asked for it."
        assert AuditEvent.objects.get(action="case.noted").facts == {}

    @pytest.mark.parametrize(("text", "said"), [(" \n", "Write something"), ("x" * 2001, "At most 2,000")])
    def test_nothing_and_too_much_are_refused(self, cast: Cast, case: Case, text: str, said: str) -> None:
        with pytest.raises(PortalError, match=said) as refused:
            case_work.note(case=case, text=text, actor=cast.actor, now=NOW)
        assert refused.value.field == "text"


def snooze(
    case: Case, until: dt.datetime, reason: str = "They are on holiday.", now: dt.datetime = NOW
) -> None:
    case_work.snooze(case=case, until=until, reason=reason, actor=SYSTEM, now=now)


class TestSnooze:
    def test_it_says_until_when_and_why(self, case: Case) -> None:
        snooze(case, day(10))
        case.refresh_from_db()
        assert (case.snoozed_until, case.snooze_reason) == (day(10), "They are on holiday.")
        assert case.events.get(kind="snoozed").text == "Until 11 June 2026: They are on holiday."
        facts = AuditEvent.objects.get(action="case.snoozed").facts
        assert facts == {"until": day(10).isoformat(), "reason": "They are on holiday."}
        assert list(Case.objects.asleep(NOW)) == [case]
        assert not Case.objects.awake(NOW).exists()

    @pytest.mark.parametrize(
        ("until", "reason", "field", "said"),
        [
            (day(0), "x", "until", "has begun already"),
            (day(-3), "x", "until", "has begun already"),
            (day(50.01), "x", "until", "It fails on 21 July 2026"),
            (day(10), " ", "reason", "Say why it can wait"),
            (day(10), "x" * 2001, "reason", "At most 2,000"),
        ],
    )
    def test_what_makes_no_sense_is_refused_at_its_field(
        self, case: Case, until: dt.datetime, reason: str, field: str, said: str
    ) -> None:
        with pytest.raises(PortalError, match=said) as refused:
            snooze(case, until, reason)
        assert refused.value.field == field
        assert kinds(case) == ["opened"]

    def test_until_the_very_end_it_may_wait_and_no_longer_after_it(self, case: Case) -> None:
        snooze(case, day(50))
        with pytest.raises(PortalError, match="has failed already"):
            snooze(case, day(60), now=day(50))

    def test_a_later_stage_wakes_it_before(self, cast: Cast, case: Case) -> None:
        snooze(case, day(40))
        watch.find_due(day(21))
        case.refresh_from_db()
        assert (case.snoozed_until, case.snooze_reason, case.level, case.stage) == (None, "", 1, "warning")
        assert kinds(case)[-1] == "woken"
        assert cases.wake_due(day(41)) == 0

    def test_it_wakes_when_something_else_in_it_ends_before_the_day(self, cast: Cast) -> None:
        roots = Link("Root A", end=50, life=360), Link("Root B", end=45, life=30)
        watched(cast.team, *roots, kind="trust", name="partners")
        watch.find_due(day(21))
        case = Case.objects.get()
        snooze(case, day(48), now=day(21))
        watch.find_due(day(39))
        assert Case.objects.asleep(day(39)).exists()
        watch.find_due(day(41))
        case.refresh_from_db()
        assert (case.fails_at, case.stage, case.snoozed_until) == (day(45), "warning", None)
        assert (kinds(case)[-1], case.level) == ("woken", 0), "no later stage: nobody else is told"


class TestWake:
    def test_by_hand(self, cast: Cast, case: Case) -> None:
        snooze(case, day(10))
        case_work.wake(case=case, actor=cast.actor, now=NOW)
        case_work.wake(case=case, actor=cast.actor, now=NOW)
        assert kinds(case) == ["opened", "snoozed", "woken"]
        assert AuditEvent.objects.filter(action="case.woken").count() == 1

    def test_its_day_wakes_it_and_tells_who_has_it_once(self, cast: Cast, case: Case) -> None:
        snooze(case, day(10))
        assert cases.wake_due(day(9.99)) == 0
        assert cases.wake_due(day(10)) == 1
        assert cases.wake_due(day(10)) == 0
        assert kinds(case) == ["opened", "snoozed", "woken"]
        assert told() == {"It is time to replace orders-client": {"editor@example.org"}}
        assert "They are on holiday." in Notice.objects.filter(channel="portal").get().text
        assert not Notice.objects.filter(channel="webhook").exists()

    def test_snoozed_a_second_time_it_is_told_a_second_time(self, case: Case) -> None:
        for number in (5, 10):
            snooze(case, day(number), now=day(number - 1))
            assert cases.wake_due(day(number)) == 1
        assert Notice.objects.filter(channel="portal").count() == 2

    def test_where_who_had_it_left_the_owners_are_told(self, cast: Cast, case: Case) -> None:
        snooze(case, day(10))
        Membership.objects.filter(user=cast.editor).delete()
        cases.wake_due(day(10))
        assert told() == {"It is time to replace orders-client": {"owner@example.org"}}

    def test_one_that_fails_keeps_no_other_asleep(
        self, cast: Cast, case: Case, caplog: pytest.LogCaptureFixture
    ) -> None:
        watched(cast.other_team, Link("theirs", end=50), name="theirs")
        watch.find_due(NOW)
        for one in Case.objects.all():
            snooze(one, day(10 if one == case else 11))
        Team.objects.filter(pk=cast.team.pk).update(policy={"zone": "Atlantis/Poseidonis"})
        assert cases.wake_due(day(12)) == 1
        assert Case.objects.get(certificate__name="theirs").snoozed_until is None
        assert f"case {case.pk} could not be tended" in caplog.text

    def test_with_nothing_due_it_asks_once(self, case: Case) -> None:
        snooze(case, day(10))
        with CaptureQueriesContext(connection) as queries:
            cases.wake_due(NOW)
        assert len(queries) == 1


@pytest.mark.parametrize("work", ["take", "hand", "note", "snooze", "wake"])
class TestTooLate:
    def do(self, work: str, case: Case, cast: Cast) -> None:
        wanted: dict[str, dict[str, Any]] = {
            "take": {"seen": case_work.holding(case)}, "hand": {"to": cast.owner}, "note": {"text": "x"},
            "snooze": {"until": day(3), "reason": "x"}, "wake": {},
        }  # fmt: skip
        getattr(case_work, work)(case=case, actor=cast.actor, now=NOW, **wanted[work])

    def test_a_closed_case_changes_no_more(self, work: str, case: Case, cast: Cast) -> None:
        Case.objects.update(closed_at=NOW)
        with pytest.raises(Conflict, match="closed by now"):
            self.do(work, case, cast)
        assert CaseEvent.objects.count() == 1

    def test_of_a_deleted_certificate_it_is_said(self, work: str, case: Case, cast: Cast) -> None:
        services.delete_certificate(certificate=case.certificate, actor=SYSTEM)
        with pytest.raises(Conflict, match="deleted meanwhile"):
            self.do(work, case, cast)


class TestWhoHasIt:
    def test_who_left_the_team_or_was_shut_out_has_it_no_more(self, cast: Cast, case: Case) -> None:
        take(case, cast.owner)
        User.objects.filter(pk=cast.owner.pk).update(is_active=False)
        found = held(case)
        assert (found.holder, found.left_by) == (cast.editor, cast.owner), "back to the certificate's owner"
        assert list(Case.objects.held_by(cast.editor)) == [case]
        Membership.objects.filter(user=cast.editor).delete()
        assert held(case).holder is None

    def test_a_new_owner_of_the_certificate_has_it_and_is_told(self, cast: Cast, case: Case) -> None:
        self.edit(case, cast.owner, cast.editor)
        assert held(case).holder == cast.owner
        assert case.events.get(kind="handed").text == "Owner owns the certificate now."
        assert told() == {"You own orders-client now, which has to be replaced": {"owner@example.org"}}

    def test_another_description_takes_it_from_nobody(self, cast: Cast, case: Case) -> None:
        take(case, cast.owner)
        self.edit(case, cast.editor, cast.editor)
        assert held(case).holder == cast.owner

    def test_without_an_owner_it_is_for_the_owners_of_the_team(self, cast: Cast, case: Case) -> None:
        self.edit(case, None, cast.owner)
        assert held(case).holder is None
        assert case.events.get(kind="handed").text == "The certificate has no owner any more."

    def edit(self, case: Case, owner: User | None, by: User) -> None:
        services.edit_certificate(
            certificate=case.certificate, name="orders-client", description="new", owner=owner, actor=Actor(by), now=NOW
        )  # fmt: skip
