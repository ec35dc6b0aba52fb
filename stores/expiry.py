"""When to speak of an end: stages, and what of a chain counts (DESIGN section 10).

Pure policy: no Django, no clock. All instants are aware datetimes. A certificate counts as ended from its
`not_after` on. RFC 5280, section 4.1.2.5, lets it live to the end of that second; one second early is the
safe side, and so one instant serves all.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol


class Stage(StrEnum):
    """A named distance from the end; the nearer stage is the greater one: `NOTICE < EXPIRED`."""

    NOTICE = "notice"
    WARNING = "warning"
    URGENT = "urgent"
    EXPIRED = "expired"

    @property
    def order(self) -> int:
        """0 for the first stage, 3 for the last."""
        return _ORDER[self]

    def __lt__(self, other: str) -> bool:
        return self.order < Stage(other).order

    def __le__(self, other: str) -> bool:
        return self.order <= Stage(other).order

    def __gt__(self, other: str) -> bool:
        return self.order > Stage(other).order

    def __ge__(self, other: str) -> bool:
        return self.order >= Stage(other).order


_ORDER: dict[Stage, int] = {stage: place for place, stage in enumerate(Stage)}

WORDS: dict[Stage, str] = {
    Stage.NOTICE: "Expires soon",
    Stage.WARNING: "Warning",
    Stage.URGENT: "Urgent",
    Stage.EXPIRED: "Expired",
}
"""What people read."""
BEFORE_END: dict[Stage, tuple[int, int]] = {
    Stage.NOTICE: (60, 3),
    Stage.WARNING: (30, 6),
    Stage.URGENT: (7, 15),
}
"""Days before the end, and the part of the lifetime that counts where that is shorter."""
LONGEST_DAYS = 3650


class StageError(ValueError):
    """Days that make no sense, and the stage at whose field the sentence belongs."""

    def __init__(self, stage: Stage, sentence: str) -> None:
        super().__init__(sentence)
        self.stage = stage


@dataclass(frozen=True)
class Policy:
    """A team's own days before the end at which each stage begins.

    None keeps the default, which follows the lifetime. Raises StageError with a sentence for the form when a
    number is out of range or a stage would begin before the one that it follows.
    """

    notice: int | None = None
    warning: int | None = None
    urgent: int | None = None

    def __post_init__(self) -> None:
        for stage in BEFORE_END:
            self._check_range(stage)
        for earlier, later in ((Stage.NOTICE, Stage.WARNING), (Stage.WARNING, Stage.URGENT)):
            self._check_order(earlier, later)

    def own_days(self, stage: Stage) -> int | None:
        """The team's own number for a stage; None where the default holds."""
        return {Stage.NOTICE: self.notice, Stage.WARNING: self.warning, Stage.URGENT: self.urgent}.get(stage)

    def _check_range(self, stage: Stage) -> None:
        days = self.own_days(stage)
        if days is not None and not 0 < days <= LONGEST_DAYS:
            raise StageError(
                stage,
                f"“{WORDS[stage]}” must begin 1 to {LONGEST_DAYS:,} days before the end, not {days:,}.",
            )

    def _check_order(self, earlier: Stage, later: Stage) -> None:
        first, second = (self._longest(stage) for stage in (earlier, later))
        if second > first:
            raise StageError(
                earlier if self.own_days(later) is None else later,
                f"“{WORDS[later]}” begins {second} days before the end, which is earlier than "
                f"“{WORDS[earlier]}” ({first} days). "
                f"Set “{WORDS[later]}” to at most {first} days, or “{WORDS[earlier]}” to at least {second}.",
            )

    def _longest(self, stage: Stage) -> int:
        own = self.own_days(stage)
        return BEFORE_END[stage][0] if own is None else own


DEFAULT = Policy()


def stage_instants(
    not_before: dt.datetime, not_after: dt.datetime, policy: Policy = DEFAULT
) -> dict[Stage, dt.datetime]:
    """When each stage begins, in the order of the stages.

    The default follows the lifetime L: notice min(60 d, L/3), warning min(30 d, L/6), urgent min(7 d, L/15)
    before the end. No stage begins before `not_before` or after the stage that follows it; a lifetime below
    zero counts as zero.
    """
    lifetime = not_after - not_before
    instants = {Stage.EXPIRED: not_after}
    following = not_after
    for stage in reversed(BEFORE_END):
        following = min(not_after - _distance(stage, lifetime, policy), following)
        instants[stage] = following
    return {stage: instants[stage] for stage in Stage}


def _distance(stage: Stage, lifetime: dt.timedelta, policy: Policy) -> dt.timedelta:
    own = policy.own_days(stage)
    if own is not None:
        return min(dt.timedelta(days=own), lifetime)
    days, part = BEFORE_END[stage]
    return min(dt.timedelta(days=days), lifetime / part)


def stage_at(
    not_before: dt.datetime, not_after: dt.datetime, now: dt.datetime, policy: Policy = DEFAULT
) -> Stage | None:
    """The last stage that has begun; None before the first."""
    begun = [
        stage for stage, instant in stage_instants(not_before, not_after, policy).items() if instant <= now
    ]
    return begun[-1] if begun else None


class Link(Protocol):
    """What is needed of a certificate, in whatever form it comes: as parsed, or as stored."""

    @property
    def sha256(self) -> str: ...
    @property
    def common_name(self) -> str: ...
    @property
    def not_before(self) -> dt.datetime: ...
    @property
    def not_after(self) -> dt.datetime: ...
    @property
    def is_self_signed(self) -> bool: ...


@dataclass(frozen=True)
class Ending:
    """One certificate whose end matters, and its position in the version (0: the leaf of a key store)."""

    sha256: str
    common_name: str
    not_before: dt.datetime
    not_after: dt.datetime
    position: int


@dataclass(frozen=True)
class Crossing:
    """The instant at which a certificate comes into a stage."""

    instant: dt.datetime
    ending: Ending
    stage: Stage


def watched(chain: Iterable[Link], store_kind: Literal["key", "trust"]) -> tuple[Ending, ...]:
    """The certificates whose end matters, `chain` being in the stored order.

    Of a key store: the leaf (self-signed or not) and the intermediates, but no self-signed certificate above
    the leaf, since the other side keeps its own root. Of a trust store: all.
    """
    return tuple(
        Ending(link.sha256, link.common_name, link.not_before, link.not_after, position)
        for position, link in enumerate(chain)
        if store_kind == "trust" or position == 0 or not link.is_self_signed
    )


def fails_at(endings: Iterable[Ending], now: dt.datetime) -> Ending | None:
    """The ending that comes first from `now` on; when all have ended, the last one that did.

    So the answer only moves forward as time passes, and what has ended completely still says since when.
    None only for nothing. Of two that end at once, the lower position is named.
    """
    ordered = sorted(endings, key=lambda ending: (ending.not_after, ending.position))
    to_come = (ending for ending in ordered if ending.not_after > now)
    return next(to_come, ordered[-1] if ordered else None)


def crossings(
    endings: Iterable[Ending], after: dt.datetime | None, until: dt.datetime, policy: Policy = DEFAULT
) -> list[Crossing]:
    """Every crossing with `after` < instant <= `until`, the earliest first.

    `after` None means from the beginning. After an outage it tells all that was missed. Crossings at one
    instant are sorted by stage, then by position.
    """
    found = [
        crossing
        for crossing in _all_crossings(endings, policy)
        if (after is None or crossing.instant > after) and crossing.instant <= until
    ]
    return sorted(found, key=_order)


def _order(crossing: Crossing) -> tuple[dt.datetime, int, int]:
    return crossing.instant, crossing.stage.order, crossing.ending.position


def outlook(
    endings: Iterable[Ending], now: dt.datetime, policy: Policy = DEFAULT
) -> tuple[list[Crossing], dt.datetime | None]:
    """Every crossing up to `now`, as `crossings` sorts them, and the next one, as `next_stage_at`: both for the price of one."""
    every = list(_all_crossings(endings, policy))
    crossed = [crossing for crossing in every if crossing.instant <= now]
    to_come = (crossing.instant for crossing in every if crossing.instant > now)
    return sorted(crossed, key=_order), min(to_come, default=None)


def latest_of(crossed: Iterable[Crossing]) -> dict[str, Stage]:
    """The farthest stage of each certificate, by its `sha256`; the earliest crossing comes first."""
    return {crossing.ending.sha256: crossing.stage for crossing in crossed}


def unflagged(crossed: Sequence[Crossing], known: Collection[tuple[str, str]]) -> list[tuple[Crossing, bool]]:
    """The crossings that are not written down yet, in their order, each with whether it is told: of one end only the latest stage is.

    `known` holds the ends (their `sha256`) and stages that are written down.
    """
    latest = latest_of(crossed)
    return [
        (crossing, crossing.stage == latest[crossing.ending.sha256])
        for crossing in crossed
        if (crossing.ending.sha256, crossing.stage) not in known
    ]


def next_stage_at(
    endings: Iterable[Ending], now: dt.datetime, policy: Policy = DEFAULT
) -> dt.datetime | None:
    """The next crossing of any certificate after `now`; None when all have ended."""
    return min(
        (crossing.instant for crossing in _all_crossings(endings, policy) if crossing.instant > now),
        default=None,
    )


def _all_crossings(endings: Iterable[Ending], policy: Policy) -> Iterable[Crossing]:
    for ending in endings:
        for stage, instant in stage_instants(ending.not_before, ending.not_after, policy).items():
            yield Crossing(instant, ending, stage)
