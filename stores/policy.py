"""What a team has said about being told: when, who, how, and at which hours (DESIGN section 10).

Pure: no Django, no clock. Kept as JSON on the team; `read` is strict, so that nonsense is found when it is saved and not when it counts.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from stores.expiry import Policy, Stage

MOST_ADDRESSES = 20
DAY_STAGES = (Stage.NOTICE, Stage.WARNING, Stage.URGENT)
AT_ANY_HOUR = (Stage.URGENT, Stage.EXPIRED)
"""Stages that do not wait for quiet hours to end."""
SUMMARY_HOUR = dt.time(8)
"""When the weekly summary is made, by the team's clock."""
LONGEST_ADDRESS = 254
_ADDRESS = re.compile(r"[^@\s<>,;\x00-\x1f\x7f]+@[^@\s<>,;\x00-\x1f\x7f]+")


class Audience(StrEnum):
    """Who can be told of a certificate."""

    CERTIFICATE = "certificate"
    """Whoever has the case, else the owner of the certificate, else the owners of the team."""
    PROVIDERS = "providers"
    """The owners of the providers that use it."""
    TEAM = "team"
    """The owners of the team."""
    ADDRESSES = "addresses"
    """The plain addresses that the team has named."""


@dataclass(frozen=True)
class Route:
    """Who is told at one stage, and over which channels beside the portal's inbox. Watchers of a certificate are told at every stage."""

    who: frozenset[Audience]
    email: bool = True
    webhook: bool = True

    def __post_init__(self) -> None:
        if not self.who - {Audience.ADDRESSES}:
            raise ValueError("Choose somebody of the team who is told; plain addresses cannot act.")


_FEW = Route(frozenset({Audience.CERTIFICATE, Audience.ADDRESSES}))
_ALL = Route(frozenset(Audience))
ROUTES: Mapping[Stage, Route] = {
    Stage.NOTICE: _FEW,
    Stage.WARNING: _FEW,
    Stage.URGENT: _ALL,
    Stage.EXPIRED: _ALL,
}
"""Who is told where the team has not said otherwise: the nearer the end, the more people."""


@dataclass(frozen=True)
class TeamPolicy:
    """All that a team has said. Raises ValueError with a sentence for the form where it makes no sense."""

    days: Policy = field(default_factory=Policy)
    routes: Mapping[Stage, Route] = field(default_factory=lambda: ROUTES)
    addresses: tuple[str, ...] = ()
    quiet: tuple[dt.time, dt.time] | None = None
    """From when until when by the team's clock nothing but what is urgent is sent; may go over midnight."""
    zone: str = "UTC"
    summary: int | None = None
    """The day of the week, Monday 0, on which the summary is sent; None: never."""

    def __post_init__(self) -> None:
        if not self.routes[Stage.EXPIRED].email:
            raise ValueError("What has expired is always sent by e-mail.")
        if len(self.addresses) > MOST_ADDRESSES:
            raise ValueError(f"At most {MOST_ADDRESSES} extra addresses are told, not {len(self.addresses)}.")
        for address in self.addresses:
            if len(address) > LONGEST_ADDRESS or not _ADDRESS.fullmatch(address):
                raise ValueError(f"{address!r:.100} is not an e-mail address.")
        if self.quiet and self.quiet[0] == self.quiet[1]:
            raise ValueError("Quiet hours have to end at another time than they begin.")
        if self.summary not in (None, *range(7)):
            raise ValueError("The day of the weekly summary is one of the seven.")
        self.clock  # noqa: B018 - an unknown zone raises here

    @property
    def clock(self) -> ZoneInfo:
        """The team's time zone."""
        try:
            return ZoneInfo(self.zone)
        except (ValueError, OSError, LookupError):
            raise ValueError(f"{self.zone!r:.80} is not a time zone. One is Europe/Berlin.") from None

    def send_at(self, stage: Stage | None, now: dt.datetime) -> dt.datetime:
        """When a message that is ready now may go out; `stage` None for what is no stage. What is urgent does not wait."""
        if self.quiet is None or stage in AT_ANY_HOUR:
            return now
        begin, end = self.quiet
        local = now.astimezone(self.clock)
        time = local.time()
        is_quiet = begin <= time < end if begin < end else time >= begin or time < end
        if not is_quiet:
            return now
        day = local.date() + dt.timedelta(days=1 if time >= end else 0)
        return dt.datetime.combine(day, end, self.clock).astimezone(dt.UTC)

    def summary_due(self, now: dt.datetime) -> str | None:
        """The name of the week whose summary is due by now, as "2026-W49"; None on another day or before the hour."""
        local = now.astimezone(self.clock)
        if self.summary is None or local.weekday() != self.summary or local.time() < SUMMARY_HOUR:
            return None
        year, week, _ = local.isocalendar()
        return f"{year}-W{week:02}"


DEFAULT = TeamPolicy()


def read(kept: Mapping[str, Any] | None) -> TeamPolicy:
    """The policy of what a team keeps; None and {} are the default. ValueError for what `write` would not have written."""
    if not kept:
        return DEFAULT
    routes = dict(ROUTES)
    for stage, route in (kept.get("told") or {}).items():
        routes[Stage(stage)] = Route(
            frozenset(Audience(who) for who in route["who"]), route["email"], route["webhook"]
        )
    quiet = kept.get("quiet")
    return TeamPolicy(
        days=Policy(**{stage.value: kept.get(stage.value) for stage in DAY_STAGES}),
        routes=routes,
        addresses=tuple(kept.get("addresses") or ()),
        quiet=(dt.time.fromisoformat(quiet[0]), dt.time.fromisoformat(quiet[1])) if quiet else None,
        zone=kept.get("zone") or "UTC",
        summary=kept.get("summary"),
    )


def write(policy: TeamPolicy) -> dict[str, Any] | None:
    """What a team keeps of a policy, only what differs from the default; None for the default."""
    kept: dict[str, Any] = {
        stage.value: days for stage in DAY_STAGES if (days := policy.days.own_days(stage)) is not None
    }
    told = {
        stage.value: {"who": sorted(route.who), "email": route.email, "webhook": route.webhook}
        for stage, route in policy.routes.items()
        if route != ROUTES[stage]
    }
    if told:
        kept["told"] = told
    if policy.addresses:
        kept["addresses"] = list(policy.addresses)
    if policy.quiet:
        kept["quiet"] = [f"{time:%H:%M}" for time in policy.quiet]
    if policy.zone != "UTC":
        kept["zone"] = policy.zone
    if policy.summary is not None:
        kept["summary"] = policy.summary
    return kept or None
