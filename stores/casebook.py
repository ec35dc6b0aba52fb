"""What the pages of cases say: the list, and all of one case."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stores import cases, proof
from stores.models import Case, CaseEvent, Version
from stores.prompts import HEAVY, Prompt, explained_cases, prompts_of
from stores.proof import Standing

Kind = CaseEvent.Kind
DRAWN = {
    Kind.OPENED: "notice", Kind.ADVANCED: "warning", Kind.WOKEN: "warning", Kind.TAKEN: "info", Kind.HANDED: "info",
    Kind.NOTED: "info", Kind.SNOOZED: "staged", Kind.EVIDENCE: "valid", Kind.STAYS: "warning", Kind.CLOSED: "valid",
}  # fmt: skip
"""How each kind of event is drawn: the names of states of the portal's pages."""


@dataclass(frozen=True)
class Row:
    """One case of a list."""

    prompt: Prompt
    case: Case
    standings: Sequence[Standing]
    """Where the replacement has to be seen; empty for a case that waits for no proof."""

    @property
    def seen(self) -> int:
        return sum(one.seen_at is not None for one in self.standings)


@dataclass(frozen=True)
class Told:
    """An event as it is drawn."""

    event: CaseEvent
    drawn: str
    by: str
    """Who did it; empty for the portal itself."""


def rows_of(found: Sequence[Case], now: dt.datetime) -> list[Row]:
    """Explained cases as a list shows them; a constant number of queries."""
    standings = _standings(found)
    prompts = prompts_of(found, now)
    return [
        Row(prompt, case, standings.get(case.pk, ())) for prompt, case in zip(prompts, found, strict=True)
    ]


def _standings(found: Sequence[Case]) -> dict[str, list[Standing]]:
    """Id of each case that waits for proof to where it was seen."""
    waiting = [case for case in found if case.successor_id and not case.closed_at]
    rows = Version.objects.filter(pk__in=[case.successor_id for case in waiting])
    versions = (
        {row.pk: row for row in rows.select_related("certificate__store").defer(*HEAVY)} if waiting else {}
    )
    known = proof.standings_of(list(versions.values()))
    for case in waiting:
        case.successor = versions[case.successor_id or ""]
    return {case.pk: cases.standings(case, known[case.successor_id or ""]) for case in waiting}


def told(events: Sequence[CaseEvent]) -> list[Told]:
    """Events with how they are drawn."""
    return [Told(event, DRAWN[Kind(event.kind)], event.by) for event in events]


def explained(case: Case, now: dt.datetime) -> tuple[Row, list[Standing]]:
    """One case with all that its page says; and where its replacement will have to be seen once it is active."""
    found = explained_cases(Case.objects.filter(pk=case.pk)).select_related("team")[0]
    [prompt] = prompts_of([found], now, with_notes=True)
    standings = _standings([found]).get(found.pk, [])
    ahead: list[Standing] = []
    if not found.closed_at and not found.successor_id:
        version = Version.objects.select_related("certificate__store").defer(*HEAVY).get(pk=found.version_id)
        ahead = proof.standings(version)
    return Row(prompt, found, standings), ahead


def evidence(case: Case) -> list[dict[str, Any]]:
    """What a closed case was closed on, the instants as such, without what others only say."""
    shown = [one for one in case.evidence if one["kind"] in ("version_active", "seen")]
    return [one | {"at": dt.datetime.fromisoformat(one["at"])} for one in shown]
