"""Deciding: what has to be replaced, and when that is done (DESIGN section 10). What people do about a case is `case_work`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from typing import Any

from django.db import transaction

from portal import bulk
from portal.bulk import Change
from portal.ids import random_id
from portal.models import User
from stores import proof
from stores.expiry import Crossing, Stage
from stores.models import Case, CaseEvent, Certificate, Version

Kind = CaseEvent.Kind


def follow(
    worst: Mapping[Version, Crossing], owners: Mapping[str, User | None], now: dt.datetime
) -> dict[str, int]:
    """Opens or advances the case of each version's certificate; `owners` by id of the certificate. A constant number of queries.

    A later stage wakes a case that is snoozed, and takes it up one level: the answer has the certificates of these and their levels.
    Call it in the transaction that writes the flags, with the certificates locked.
    """
    known = _open_cases(version.certificate_id for version in worst)
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
        if came_later:
            wakes = says["level"] > case.level
            events.append(_event(case.pk, Kind.WOKEN if wakes else Kind.ADVANCED, now, _nearness(crossing)))
            if wakes:
                woken[case.certificate_id] = says["level"]
    bulk.create(Case, opened)
    bulk.write(Case, changes)
    bulk.create(CaseEvent, events)
    return woken


def _open_cases(certificates: Collection[str] | Any) -> dict[str, Case]:
    rows = Case.objects.open().filter(certificate__in=list(certificates))
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
    """Whether the case comes into a later stage, and all that is to be written of it; nothing where it says so already."""
    says = {"version": version_id, "stage": crossing.stage.value, "fails_at": crossing.ending.not_after}
    is_later = crossing.stage > Stage(case.stage)
    if not is_later and (case.version_id, case.stage, case.fails_at) == tuple(says.values()):
        return False, {}
    wakes = is_later and case.snoozed_until is not None and case.snoozed_until > now
    awake: dict[str, Any] = {
        "snoozed_until": None if is_later else case.snoozed_until,
        "level": case.level + wakes,
        "successor": None if case.successor_id == says["version"] else case.successor_id,
    }
    return is_later, says | awake


def _nearness(crossing: Crossing) -> str:
    ends = crossing.ending.not_after
    return f"{crossing.stage.title()}: {crossing.ending.common_name} ends on {ends.day} {ends:%B %Y}."


def _event(case: str, kind: str, now: dt.datetime, text: str = "", by: str = "") -> dict[str, Any]:
    return {"case_id": case, "kind": kind, "at": now, "text": text[:2000], "by": by}


def note_event(case: Case, kind: str, now: dt.datetime, text: str = "", by: str = "") -> None:
    """Writes down what was done about a case, or happened to it; call it in the transaction of the change."""
    CaseEvent.objects.create(**_event(case.pk, kind, now, text, by))


def replaced(new: Version, now: dt.datetime) -> None:
    """`new` is active in the place of another: the open case of its certificate closes, or says what is missing.

    It stays where the replacement has come into a stage itself, or ends no later; and until each user that can be reached was seen with it.
    Call it in the transaction of the activation, with the watch of `new` started.
    """
    case = Case.objects.open().select_for_update().filter(certificate=new.certificate_id).first()
    if case is None:
        return
    case.evidence = [*case.evidence, {"kind": "version_active", "version": new.number, "at": now.isoformat()}]
    note_event(case, Kind.EVIDENCE, now, f"Version {new.number} is active.")
    if new.fails_at and (new.stage or new.fails_at <= case.fails_at):
        _stays(case, new, new.fails_at, now)
    else:
        case.successor = new
        case.save(update_fields=["evidence", "successor"])
        settle(case, now)


def _stays(case: Case, new: Version, ends: dt.datetime, now: dt.datetime) -> None:
    no_later = "at the same time as the one before" if ends == case.fails_at else "before the one before"
    why = no_later if ends <= case.fails_at else "soon as well"
    note_event(
        case, Kind.STAYS, now, f"Version {new.number} ends {why}: {new.fails_name}, {ends.day} {ends:%B %Y}."
    )
    case.version, case.fails_at, case.successor = new, ends, None
    case.stage = new.stage or case.stage
    case.save(update_fields=["evidence", "version", "fails_at", "successor", "stage"])


@transaction.atomic
def settle(case: Case, now: dt.datetime) -> bool:
    """Closes a case whose successor was seen by all that can be reached from here; whether it is closed. Safe to repeat."""
    row = Case.objects.open().select_for_update().filter(pk=case.pk, successor__isnull=False)
    locked = row.select_related("certificate").first()
    if locked is None or locked.successor is None:
        return False
    known, missing = {one.get("url") for one in locked.evidence if one["kind"] == "seen"}, 0
    for one in proof.standings(locked.successor):
        if one.url in known:
            continue
        if one.seen_at is None:
            missing += 1
            continue
        seen = {"kind": "seen", "provider": one.title, "url": one.url, "version": locked.successor.number}
        locked.evidence = [*locked.evidence, seen | {"at": one.seen_at.isoformat()}]
        text = f"{one.title} was seen with version {locked.successor.number}."
        note_event(locked, Kind.EVIDENCE, now, text)
    if not missing:
        locked.closed_at = now
        note_event(locked, Kind.CLOSED, now)
    locked.save(update_fields=["closed_at", "evidence"])
    return not missing


def settle_all(now: dt.datetime) -> int:
    """Looks at all cases that wait for proof; how many it closed."""
    waiting = Case.objects.open().filter(successor__isnull=False).order_by("pk")
    return sum(settle(case, now) for case in waiting.iterator(chunk_size=200))


def add_evidence(certificate: Certificate, evidence: dict[str, Any], text: str, now: dt.datetime) -> None:
    """Notes on the certificate's open case, if there is one, what speaks for it being done soon; it stays open.

    Call it in a transaction.
    """
    for case in Case.objects.open().select_for_update().filter(certificate=certificate):
        case.evidence = [*case.evidence, evidence]
        case.save(update_fields=["evidence"])
        note_event(case, Kind.EVIDENCE, now, text)


def hand_over(certificate: Certificate, owner: User | None) -> None:
    """The open case goes to the certificate's new owner with it; None leaves it to the team's owners."""
    Case.objects.open().filter(certificate=certificate).update(owner=owner)
