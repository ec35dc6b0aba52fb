"""Deciding: what has to be replaced, and when that is done (DESIGN section 10). What people do about a case is `case_work`."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.db import InterfaceError, OperationalError, transaction

from portal import bulk
from portal.audit import Actor
from portal.bulk import Change
from portal.ids import random_id
from portal.models import User
from portal.templatetags.portal_tags import visible
from stores import notices, proof
from stores.expiry import Crossing, Stage
from stores.models import Case, CaseEvent, Certificate, Version
from stores.proof import Standing

log = logging.getLogger("storekeeper")
Kind = CaseEvent.Kind
BATCH = 200
AWAKE: dict[str, Any] = {"snoozed_until": None, "snooze_reason": ""}
"""What the row of a case says that is not snoozed."""


def follow(
    worst: Mapping[Version, Crossing], owners: Mapping[str, User | None], now: dt.datetime
) -> dict[str, int]:
    """Opens or advances the case of each version's certificate; `owners` by id of the certificate. A constant number of queries.

    A later stage wakes a case that is snoozed, and takes it up one level: the answer has the certificates of these and their levels.
    Call it in the transaction that writes the flags, with the certificates locked.
    """
    known = _locked_cases(version.certificate_id for version in worst)
    opened: list[dict[str, Any]] = []
    changes: list[Change] = []
    events: list[dict[str, Any]] = []
    woken: dict[str, int] = {}
    for version, crossing in worst.items():
        case = known.get(version.certificate_id)
        if case is None:
            opened.append(_new_case(version, crossing, owners.get(version.certificate_id), now))
            events.append(_event(opened[-1]["id"], Kind.OPENED, now, _nearness(crossing)))
            continue
        came_later, says = advanced(case, version.pk, crossing, now)
        if says:
            changes.append(Change(case.pk, says))
        if came_later or (says and (case.version_id != version.pk or _wakes(case, says, now))):
            kind = Kind.WOKEN if _wakes(case, says, now) else Kind.ADVANCED
            events.append(_event(case.pk, kind, now, _nearness(crossing)))
        if says and says["level"] > case.level:
            woken[case.certificate_id] = says["level"]
    bulk.create(Case, opened)
    bulk.write(Case, changes)
    bulk.create(CaseEvent, events)
    return woken


def _locked_cases(certificates: Iterable[str]) -> dict[str, Case]:
    """Locked in one order by everybody who takes several, so that no two wait for each other."""
    rows = Case.objects.open().select_for_update().filter(certificate__in=list(certificates)).order_by("pk")
    return {case.certificate_id: case for case in rows}


def _new_case(version: Version, crossing: Crossing, owner: User | None, now: dt.datetime) -> dict[str, Any]:
    return {
        "id": random_id(),
        "team_id": version.team_id,
        "certificate_id": version.certificate_id,
        "version_id": version.pk,
        "stage": crossing.stage.value,
        "fails_at": crossing.ending.not_after,
        "owner_id": owner.pk if owner else None,
        "opened_at": now,
    }


def advanced(
    case: Case, version_id: str, crossing: Crossing, now: dt.datetime
) -> tuple[bool, dict[str, Any]]:
    """Whether the case comes into a later stage, and all that is to be written of it; nothing where it says so already.

    A later stage wakes it and takes it up one level; so does, but for the level, an end that comes before its snooze is over.
    """
    says = {"version": version_id, "stage": crossing.stage.value, "fails_at": crossing.ending.not_after}
    is_later = crossing.stage > Stage(case.stage)
    if not is_later and (case.version_id, case.stage, case.fails_at) == tuple(says.values()):
        return False, {}
    is_up = is_later or case.snoozed_until is None or case.snoozed_until > crossing.ending.not_after
    asleep = {"snoozed_until": case.snoozed_until, "snooze_reason": case.snooze_reason}
    more = {
        "level": case.level + (is_later and case.is_asleep(now)),
        "successor": None if case.successor_id == says["version"] else case.successor_id,
    }
    return is_later, says | (AWAKE if is_up else asleep) | more


def _wakes(case: Case, says: Mapping[str, Any], now: dt.datetime) -> bool:
    """Whether what is written of the case ends a snooze that was not over yet."""
    return case.is_asleep(now) and says["snoozed_until"] is None


def _nearness(crossing: Crossing) -> str:
    ends = crossing.ending.not_after
    return f"{crossing.stage.title()}: {crossing.ending.common_name} ends on {ends.day} {ends:%B %Y}."


def _event(case: str, kind: str, now: dt.datetime, text: str = "", by: str = "") -> dict[str, Any]:
    return {"case_id": case, "kind": kind, "at": now, "text": text[:2000], "by": by}


def note_event(case: Case, kind: str, now: dt.datetime, text: str = "", by: str = "") -> CaseEvent:
    """Writes down what was done about a case, or happened to it; call it in the transaction of the change."""
    return CaseEvent.objects.create(**_event(case.pk, kind, now, text, by))


def replaced(new: Version, now: dt.datetime) -> None:
    """`new` is active in the place of another: the open case of its certificate closes, or says what is missing.

    It stays where the replacement has come into a stage itself, or ends no later; and until each user that can be reached was seen with it.
    Call it in the transaction of the activation, with the watch of `new` started.
    """
    case = Case.objects.open().select_for_update().filter(certificate=new.certificate_id).first()
    if case is None:
        return
    case.evidence = [*case.evidence, {"kind": "version_active", "version": new.number, "at": now.isoformat()}]
    case.snoozed_until, case.snooze_reason = None, ""
    note_event(case, Kind.EVIDENCE, now, f"Version {new.number} is active.")
    if new.fails_at and (new.stage or new.fails_at <= case.fails_at):
        _stays(case, new, new.fails_at, now)
    else:
        case.successor = new
        case.save(update_fields=["evidence", "successor", *AWAKE])
        settle(case, now)


def _stays(case: Case, new: Version, ends: dt.datetime, now: dt.datetime) -> None:
    note_event(
        case, Kind.STAYS, now,
        f"Version {new.number} {_how_it_ends(case, new, ends)}: {visible(new.fails_name)}, {ends.day} {ends:%B %Y}.",
    )  # fmt: skip
    case.version, case.fails_at, case.successor = new, ends, None
    case.stage = new.stage or case.stage
    case.save(update_fields=["evidence", "version", "fails_at", "successor", "stage", *AWAKE])


def _how_it_ends(case: Case, new: Version, ends: dt.datetime) -> str:
    if new.pk == case.version_id:
        return "is the one that has to be replaced"
    if ends == case.fails_at:
        return "ends at the same time as the one before"
    return "ends before the one before" if ends < case.fails_at else "ends soon as well"


@transaction.atomic
def settle(case: Case, now: dt.datetime) -> bool:
    """Closes a case whose successor was seen by all that can be reached from here; whether it is closed. Safe to repeat."""
    row = Case.objects.open().select_for_update(of=("self",)).filter(pk=case.pk, successor__isnull=False)
    locked = row.select_related("successor__certificate__store").first()
    if locked is None or locked.successor is None:
        return False
    known, found = seen_already(locked), standings(locked, proof.standings(locked.successor))
    for one in found:
        if one.seen_at and one.url not in known:
            seen = {"kind": "seen", "provider": one.title, "url": one.url, "version": locked.successor.number}
            locked.evidence = [*locked.evidence, seen | {"at": one.seen_at.isoformat()}]
            text = f"{one.title} was seen with version {locked.successor.number}."
            note_event(locked, Kind.EVIDENCE, now, text)
    is_done = all(one.seen_at for one in found)
    if is_done:
        locked.closed_at = now
        note_event(locked, Kind.CLOSED, now)
    locked.save(update_fields=["closed_at", "evidence"])
    return is_done


def seen_already(case: Case) -> dict[str, dt.datetime]:
    """Address of each user to when it was seen with the successor since it is active, as the case has noted it."""
    successor = case.successor
    if successor is None:
        return {}
    seen = {
        one["url"]: dt.datetime.fromisoformat(one["at"])
        for one in case.evidence
        if one["kind"] == "seen" and one["version"] == successor.number
    }
    return {url: at for url, at in seen.items() if successor.activated_at and at >= successor.activated_at}


def standings(case: Case, found: Sequence[Standing]) -> list[Standing]:
    """What was found of the successor, with what the case has noted from tests that are kept no longer."""
    known = seen_already(case)
    return [replace(one, seen_at=one.seen_at or known.get(one.url)) for one in found]


def settle_all(now: dt.datetime) -> int:
    """Looks at all cases that wait for proof; how many it closed. A constant number of queries for each batch in which nothing is new."""
    closed, after = 0, ""
    while batch := _waiting(after):
        after = batch[-1].pk
        found = proof.standings_of([case.successor for case in batch if case.successor])
        news = [case for case in batch if _has_news(case, found[case.successor_id or ""])]
        closed += _each(news, lambda case: settle(case, now))
    return closed


def _waiting(after: str) -> list[Case]:
    rows = Case.objects.open().filter(successor__isnull=False, pk__gt=after).order_by("pk")
    heavy = ("successor__sealed_key", "successor__findings", "successor__certificate__search_text")
    return list(rows.select_related("successor__certificate__store").defer(*heavy)[:BATCH])


def _has_news(case: Case, found: Sequence[Standing]) -> bool:
    known = seen_already(case)
    return any(one.seen_at and one.url not in known for one in found) or all(
        one.seen_at or one.url in known for one in found
    )


def wake_due(now: dt.datetime) -> int:
    """Wakes the cases whose snooze is over, and tells those who have them; how many. One query when there are none."""
    return _each(list(Case.objects.to_wake(now)), lambda case: _wake(case, now))


@transaction.atomic
def _wake(case: Case, now: dt.datetime) -> bool:
    """Whether this call has woken it; what was snoozed again or woken meanwhile is left alone."""
    until = case.snoozed_until
    if until is None or not Case.objects.open().filter(pk=case.pk, snoozed_until=until).update(**AWAKE):
        return False
    note_event(case, Kind.WOKEN, now, f"The day has come until which it was snoozed: {case.snooze_reason}")
    tell(
        case, people_of(case), f"woken/{case.pk}/{until:%Y%m%dT%H%M%S}", now,
        title=f"It is time to replace {case.certificate.name}",
        text=f"It was snoozed until now: {visible(case.snooze_reason)}",
    )  # fmt: skip
    return True


def _each(rows: Sequence[Case], work: Callable[[Case], bool]) -> int:
    """Does the work for each, each by itself, so that one keeps no other from being looked at; how often it said yes."""
    done = 0
    for row in rows:
        try:
            done += work(row)
        except (OperationalError, InterfaceError):
            raise
        except Exception:
            log.exception("case %s could not be tended", row.pk)
    return done


def people_of(case: Case) -> list[User]:
    """Those who have the case, which was read `with_holders`."""
    return [case.holder] if case.holder else notices.people_of(case.certificate)


def tell(
    case: Case, people: Iterable[User], what: str, now: dt.datetime, *, title: str, text: str
) -> None:  # fmt: skip
    """Tells people, in the portal and by mail, what somebody did about a case, or that its time has come."""
    ends, ended = case.fails_at, case.fails_at <= now
    when = f"{case.certificate.name} {'failed' if ended else 'fails'} on {ends.day} {ends:%B %Y}."
    notices.tell(
        team=case.team, people=people, key=f"case/{what}", title=title[:250], text=f"{when} {text}".strip(),
        url=case.get_absolute_url(), now=now, webhooks=False,
    )  # fmt: skip


def add_evidence(certificate: Certificate, evidence: dict[str, Any], text: str, now: dt.datetime) -> None:
    """Notes on the certificate's open case, if there is one, what speaks for it being done soon; it stays open.

    Call it in a transaction.
    """
    for case in Case.objects.open().select_for_update().filter(certificate=certificate):
        case.evidence = [*case.evidence, evidence]
        case.save(update_fields=["evidence"])
        note_event(case, Kind.EVIDENCE, now, text)


def hand_over(certificate: Certificate, owner: User | None, actor: Actor, now: dt.datetime) -> None:
    """The certificate has another owner: its open case goes with it; None leaves it to the team's owners.

    Call it in the transaction of the change.
    """
    rows = Case.objects.open().select_for_update(of=("self",)).filter(certificate=certificate)
    case = rows.select_related("certificate", "team").first()
    if case is None or case.owner == owner:
        return
    case.owner = owner
    case.save(update_fields=["owner"])
    text = f"{owner} owns the certificate now." if owner else "The certificate has no owner any more."
    event = note_event(case, Kind.HANDED, now, text, by=actor.label)
    if owner and owner != actor.user:
        title = f"You own {certificate.name} now, which has to be replaced"
        tell(case, [owner], f"owner/{event.pk}", now, title=title, text="")
