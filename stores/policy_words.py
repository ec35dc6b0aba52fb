"""What a policy says, in words: for its page, its preview and the audit. Pure, as `stores.policy`."""

from __future__ import annotations

import calendar
import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stores.expiry import BEFORE_END, WORDS, Policy, Stage, stage_instants
from stores.policy import SUMMARY_HOUR, Audience, Route, TeamPolicy

LIFETIMES = {47: "47 days", 100: "100 days", 200: "200 days", 398: "398 days", 3652: "10 years"}
"""What certificates live for: in 2029, 2027 and 2026 at most, until 2026 at most, and as private CAs do."""
PARTS = {3: "a third", 6: "a sixth", 15: "a fifteenth"}
AUDIENCE = {
    Audience.CERTIFICATE: "the certificate's owner",
    Audience.PROVIDERS: "the owners of the providers that use it",
    Audience.TEAM: "the team's owners",
    Audience.ADDRESSES: "the extra addresses",
}
NEVER = "never"
_BEGIN = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def begins(stage: Stage, days: Policy) -> str:
    """When a stage begins: "45 days before the end"."""
    if stage == Stage.EXPIRED:
        return "at the end"
    own = days.own_days(stage)
    if own is not None:
        return f"{_count(own, 'day')} before the end"
    most, part = BEFORE_END[stage]
    return f"{PARTS[part]} of the lifetime before the end, at most {most} days"


def distances(days: Policy) -> list[tuple[Stage, list[str]]]:
    """For each stage how long before the end it begins, for each of the `LIFETIMES`."""
    found: list[tuple[Stage, list[str]]] = [(stage, []) for stage in BEFORE_END]
    for lifetime in LIFETIMES:
        end = _BEGIN + dt.timedelta(days=lifetime)
        instants = stage_instants(_BEGIN, end, days)
        for stage, row in found:
            row.append(_length(end - instants[stage]))
    return found


def _length(span: dt.timedelta) -> str:
    hours = round(span.total_seconds() / 3600)
    parts = [
        _count(hours // 24, "day") if hours >= 24 else "",
        _count(hours % 24, "hour") if hours % 24 else "",
    ]
    return " ".join(filter(None, parts)) or "0 days"


def _count(number: int, unit: str) -> str:
    return f"{number:,} {unit}{'' if number == 1 else 's'}"


def who(route: Route) -> str:
    """Who is told at a stage: "the certificate's owner and the team's owners"."""
    return _listed([AUDIENCE[one] for one in Audience if one in route.who])


def channels(route: Route) -> str:
    """Over what: "the portal, e-mail and webhooks"."""
    return _listed(
        ["the portal", *(["e-mail"] if route.email else []), *(["webhooks"] if route.webhook else [])]
    )


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def quiet(policy: TeamPolicy) -> str:
    """The quiet hours: "22:00 to 07:00"."""
    return f"{policy.quiet[0]:%H:%M} to {policy.quiet[1]:%H:%M}" if policy.quiet else "none"


def summary(policy: TeamPolicy) -> str:
    """When the weekly summary is sent: "Monday, 08:00"."""
    return NEVER if policy.summary is None else f"{calendar.day_name[policy.summary]}, {SUMMARY_HOUR:%H:%M}"


@dataclass(frozen=True)
class StageRow:
    """One stage, for the table that everybody reads."""

    stage: Stage
    begins: str
    who: str
    channels: str


def stages(policy: TeamPolicy) -> list[StageRow]:
    """All stages in their order."""
    return [
        StageRow(stage, begins(stage, policy.days), who(route), channels(route))
        for stage in Stage
        for route in [policy.routes[stage]]
    ]


def differences(old: TeamPolicy, new: TeamPolicy) -> list[str]:
    """What changes from one policy to another, a sentence for each; nothing where both say the same."""
    return list(_differences(old, new))


def _differences(old: TeamPolicy, new: TeamPolicy) -> Iterator[str]:
    for before, after in zip(stages(old), stages(new), strict=True):
        name = WORDS[after.stage]
        if after.begins != before.begins:
            yield f"{name} begins {after.begins}; until now {before.begins}."
        if after.who != before.who:
            yield f"{name} is told to {after.who}; until now to {before.who}."
        if after.channels != before.channels:
            yield f"{name} goes over {after.channels}; until now over {before.channels}."
    added = [one for one in new.addresses if one not in old.addresses]
    gone = [one for one in old.addresses if one not in new.addresses]
    if added:
        yield f"Told as well: {_listed(added)}."
    if gone:
        yield f"Told no longer: {_listed(gone)}."
    for what, word in (("Quiet hours", quiet), ("Weekly summary", summary)):
        if word(old) != word(new):
            yield f"{what}: {word(new)}; until now {word(old)}."
    if old.zone != new.zone:
        yield f"Time zone: {new.zone}; until now {old.zone}."
