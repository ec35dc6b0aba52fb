"""What people do about a case: who has it, what they note, until when it can wait. Each function is one transaction with its audit."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from portal import audit
from portal.audit import Actor
from portal.errors import Conflict, PortalError
from portal.models import User
from portal.permissions import Action, allowed
from portal.templatetags.portal_tags import visible
from stores import cases
from stores.cases import note_event
from stores.models import Case, CaseEvent

Kind = CaseEvent.Kind
LONGEST = 2000
"""What an event of a case holds."""
NOBODY = "nobody"


@transaction.atomic
def take(*, case: Case, seen: str, actor: Actor, now: dt.datetime) -> Case:
    """The actor has the case from now on; who had it by name is told. Nothing happens where it is the actor's already.

    `seen` is what `holding` said when the page was shown; Conflict when somebody else has taken it since.
    """
    if actor.user is None:
        raise ValueError("a case is taken by a person")
    case = _locked(case)
    if case.owner == actor.user:
        return case
    if holding(case) != seen:
        raise Conflict(
            "taken_meanwhile",
            f"{case.owner or 'Somebody'} has taken it meanwhile. Take it over only if you have agreed on that.",
        )
    before = _give(case, actor.user)
    event = note_event(case, Kind.TAKEN, now, by=actor.label)
    audit.record(actor, "case.taken", case, team=case.team)
    if before:
        title = f"{actor.user} replaces {case.certificate.name} in your place"
        cases.tell(case, [before], f"taken/{event.pk}", now, title=title, text="")
    return case


@transaction.atomic
def hand(*, case: Case, to: User, words: str = "", actor: Actor, now: dt.datetime) -> Case:
    """Gives the case to a teammate, who is told, with the actor's words. PortalError when they could not replace it."""
    case = _locked(case)
    if not (to.is_active and allowed(to, Action.CHANGE, case.team)):
        raise PortalError(
            "not_an_editor", f"{to} is no editor of the team and could not replace it.", field="to"
        )
    if to == case.owner:
        raise PortalError("has_it_already", f"{to} has it already.", field="to")
    words = _bounded(words, "words")
    before = _give(case, to)
    said = f"To {to}: {words}" if words else f"To {to}."
    event = note_event(case, Kind.HANDED, now, said, by=actor.label)
    audit.record(actor, "case.handed", case, team=case.team, member=to.email)
    by = actor.user or actor.label
    if to != actor.user:
        title = f"{by} hands you the replacement of {case.certificate.name}"
        cases.tell(case, [to], f"handed/{event.pk}", now, title=title, text=visible(words))
    if before and before != actor.user:
        title = f"{to} replaces {case.certificate.name} in your place"
        cases.tell(case, [before], f"taken/{event.pk}", now, title=title, text=f"{by} has decided so.")
    return case


@transaction.atomic
def note(*, case: Case, text: str, actor: Actor, now: dt.datetime) -> None:
    """Writes down what was done, or is known, for everybody who may see the case."""
    case = _locked(case)
    text = _bounded(text, "text")
    if not text:
        raise PortalError("empty", "Write something first.", field="text")
    note_event(case, Kind.NOTED, now, text, by=actor.label)
    audit.record(actor, "case.noted", case, team=case.team)


@transaction.atomic
def snooze(*, case: Case, until: dt.datetime, reason: str, actor: Actor, now: dt.datetime) -> Case:
    """Lets the case wait until an instant before the certificate fails; a later stage wakes it before."""
    case = _locked(case)
    _refuse_instant(case, until, now)
    reason = _bounded(reason, "reason")
    if not reason:
        raise PortalError(
            "reason_missing", "Say why it can wait: others of the team will want to know.", field="reason"
        )
    case.snoozed_until, case.snooze_reason = until, reason
    case.save(update_fields=["snoozed_until", "snooze_reason"])
    note_event(case, Kind.SNOOZED, now, f"Until {until.day} {until:%B %Y}: {reason}", by=actor.label)
    audit.record(actor, "case.snoozed", case, team=case.team, until=until.isoformat(), reason=reason)
    return case


def _refuse_instant(case: Case, until: dt.datetime, now: dt.datetime) -> None:
    if case.fails_at <= now:
        raise PortalError("has_failed", "It has failed already, so it cannot wait.", field="until")
    if until <= now:
        raise PortalError("has_passed", "This day has begun already. Choose a later one.", field="until")
    if until > case.fails_at:
        raise PortalError(
            "after_the_end",
            f"It fails on {case.fails_at.day} {case.fails_at:%B %Y}. Choose a day before.",
            field="until",
        )


@transaction.atomic
def wake(*, case: Case, actor: Actor, now: dt.datetime) -> Case:
    """Ends the snooze; nothing happens where there is none."""
    case = _locked(case)
    if case.snoozed_until is None:
        return case
    case.snoozed_until, case.snooze_reason = None, ""
    case.save(update_fields=["snoozed_until", "snooze_reason"])
    note_event(case, Kind.WOKEN, now, by=actor.label)
    audit.record(actor, "case.woken", case, team=case.team)
    return case


def holding(case: Case) -> str:
    """Who has taken the case, to notice that it went to somebody else while a page was open."""
    return str(case.owner_id or NOBODY)


def _locked(case: Case) -> Case:
    """The case for this transaction alone. Conflict when it is closed or gone."""
    rows = Case.objects.select_for_update(of=("self",)).select_related("team", "certificate__store")
    found = rows.filter(pk=case.pk).first()
    if found is None:
        raise Conflict("case_gone", "Its certificate has been deleted meanwhile. Nothing was changed.")
    if found.closed_at:
        raise Conflict("case_closed", "This replacement is done, and closed by now. Nothing was changed.")
    return found


def _give(case: Case, to: User) -> User | None:
    """Who had taken the case before and has to be told, if anybody."""
    before, case.owner = case.owner, to
    case.save(update_fields=["owner"])
    return before if before and before.is_active and allowed(before, Action.SEE, case.team) else None


def _bounded(text: str, field: str) -> str:
    text = text.strip()
    if len(text) > LONGEST:
        raise PortalError("too_long", f"At most {LONGEST:,} characters are kept; shorten it.", field=field)
    return text
