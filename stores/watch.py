"""Finding: which versions came nearer to their end, each crossing written down once (DESIGN section 10).

Nothing is sent here: flags are recorded, notices are queued, and `stores.notices.delivery` sends them later.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Q

from portal import bulk
from portal.bulk import Change
from portal.models import Team
from stores import cases, expiry, notices, policy
from stores.expiry import Crossing, Ending, Policy, Stage
from stores.models import Certificate, ChainCertificate, Flag, Version
from stores.notices.audience import Directory

log = logging.getLogger("storekeeper")
BATCH = 500
EVER = dt.datetime.min.replace(tzinfo=dt.UTC)
LINK = ("sha256", "common_name", "not_before", "not_after", "is_self_signed")
NOTHING = Q()


@dataclass
class Found:
    """What one run of the scan did. `failed` versions stay due; the log says why."""

    versions: int = 0
    flags: int = 0
    notices: int = 0
    failed: int = 0


def start(version: Version, now: dt.datetime, **state: object) -> None:
    """Watches a version that becomes active; `state` says so in its row. What it has crossed already is flagged by the next scan.

    Call it in the transaction of the activation. The flags of a version that was active before count again, and what was not sent of them
    when it was superseded is sent after all.
    """
    endings, days = endings_of(version), policy_of(version.team)
    crossed = expiry.crossings(endings, None, now, days)
    if version.activated_at and version.flags.update(resolved_at=None):
        reached = expiry.latest_of(crossed)
        flags = version.flags.filter(told=True).select_related("version__certificate")
        notices.queue_again([one for one in flags if reached.get(one.ends_sha256) == one.stage], now)
    values = _outlook(version, endings, crossed, now)
    values["next_stage_at"] = expiry.next_stage_at(endings, EVER, days)
    Version.objects.filter(pk=version.pk).update(**values, **state)
    for name, value in (values | state).items():
        setattr(version, name, value)
    _repeat_on_certificate(version, values)


def stop(version: Version, now: dt.datetime) -> None:
    """Watches a version no longer: its flags are resolved, and what is not sent yet stays unsent.

    Call it in the transaction that takes the version out of use.
    """
    Version.objects.filter(pk=version.pk).update(next_stage_at=None, stage="")
    version.next_stage_at, version.stage = None, ""
    if version.flags.open().update(resolved_at=now):
        notices.withdraw([version], now)


def find_due(now: dt.datetime, batch: int = BATCH) -> Found:
    """Flags every crossing up to `now` of every version that is due, each batch in a transaction of its own.

    A constant number of queries per batch, and one when nothing is due. Safe to run ten times at once, and to be killed at any instant:
    what is not committed is still due.
    """
    found, after = Found(), NOTHING
    while due := _read(now, after, batch):
        after = Q(next_stage_at__gt=due[-1][1]) | Q(next_stage_at=due[-1][1], pk__gt=due[-1][0])
        _flag([pk for pk, _ in due], now, found)
        if len(due) < batch:
            break
    return found


def rejudge(team: Team, now: dt.datetime) -> int:
    """The team's policy has changed: all that it watches is due, and judged anew by the next scan; how many versions.

    What was told already is not told again. Call it in the transaction that writes the policy.
    """
    ended = Q(next_stage_at=None, stage=Stage.EXPIRED)
    return Version.objects.current().filter(certificate__team=team).exclude(ended).update(next_stage_at=now)


def policy_of(team: Team) -> Policy:
    """The team's own days, else the default that follows the lifetime."""
    return policy.read(team.policy).days


def _read(now: dt.datetime, after: Q, size: int) -> list[tuple[str, dt.datetime]]:
    """Id and instant of the next versions that are due, the longest overdue first."""
    rows = Version.objects.due(now).filter(after).values_list("pk", "next_stage_at")[:size]
    return cast(list[tuple[str, dt.datetime]], list(rows))


def _flag(ids: Sequence[str], now: dt.datetime, found: Found) -> None:
    """Judges some due versions together; where that fails, each by itself, so that one keeps no other from being told."""
    try:
        with transaction.atomic():
            _flag_together(ids, now, found)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        if len(ids) > 1:
            for pk in ids:
                _flag([pk], now, found)
            return
        log.exception("version %s could not be judged; it stays due", ids[0])
        found.failed += 1


def _flag_together(ids: Sequence[str], now: dt.datetime, found: Found) -> None:
    """Claims due versions, and writes all that follows from them; what somebody else holds or has moved on is left alone."""
    versions = _locked(ids, now)
    directory = Directory([version.certificate for version in versions])
    known = known_flags(versions)
    judged: dict[str, _Judged] = {}
    for version in versions:
        days = directory.policy(version.team_id).days
        judged[version.pk] = _judge(version, known.get(version.pk, ()), days, now)
    claimed = bulk.write(
        Version,
        [Change(pk, one.values, {"next_stage_at": one.version.next_stage_at}) for pk, one in judged.items()],
    )
    mine = [one for pk, one in judged.items() if pk in claimed]
    bulk.write(Certificate, [Change(one.version.certificate_id, _shown(one.values)) for one in mine])
    flags = _write_flags([flag for one in mine for flag in one.flags], now)
    worst = {one.version: one.worst for one in mine if one.worst}
    owners = {version.certificate_id: directory.owner(version.certificate) for version in worst}
    directory.go_up(cases.follow(worst, owners, now))
    found.notices += notices.queue([flag for flag in flags if flag.told], directory, now)
    found.versions += len(mine)
    found.flags += len(flags)


def _write_flags(flags: list[Flag], now: dt.datetime) -> list[Flag]:
    """Writes new flags, and gives them the keys that the database gave out."""
    bulk.create(Flag, [vars(flag) for flag in flags])
    rows = Flag.objects.filter(version__in={flag.version_id for flag in flags}, flagged_at=now).order_by()
    keys = {tuple(key): pk for pk, *key in rows.values_list("pk", "version_id", "ends_sha256", "stage")}
    for flag in flags:
        flag.pk = keys[flag.version_id, flag.ends_sha256, str(flag.stage)]
    return flags


def _locked(ids: Sequence[str], now: dt.datetime) -> list[Version]:
    """The versions of these that are still due and that nobody holds, their certificates locked as activation does, with their chains."""
    rows = (
        Version.objects.due(now)
        .filter(pk__in=ids)
        .select_related("certificate__store")
        .only(
            "team", "state", "next_stage_at", "stage", "certificate__name", "certificate__team",
            "certificate__owner", "certificate__store__kind", "certificate__store__team",
        )
        .select_for_update(skip_locked=True, of=("certificate",))
    )  # fmt: skip
    versions = list(rows)
    read_chains(versions)
    return versions


def read_chains(versions: Sequence[Version]) -> None:
    """Gives each version what is needed of its chain, in one query."""
    links: defaultdict[str, list[_Link]] = defaultdict(list)
    chains = ChainCertificate.objects.filter(version__in=[version.pk for version in versions])
    for version_id, *facts in chains.order_by("version", "position").values_list("version_id", *LINK):
        links[version_id].append(_Link(*facts))
    for version in versions:
        version.__dict__["links"] = links[version.pk]


class _Link(NamedTuple):
    """What is needed of a chain certificate (`expiry.Link`)."""

    sha256: str
    common_name: str
    not_before: dt.datetime
    not_after: dt.datetime
    is_self_signed: bool


@dataclass(frozen=True)
class _Judged:
    """What becomes of one version."""

    version: Version
    values: dict[str, Any]
    flags: list[Flag]
    worst: Crossing | None


def known_flags(versions: Sequence[Version]) -> dict[str, set[tuple[str, str]]]:
    """Id of the version to the ends and stages that are flagged already."""
    known: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    rows = Flag.objects.filter(version__in=[version.pk for version in versions]).order_by()
    for version_id, sha256, stage in rows.values_list("version_id", "ends_sha256", "stage"):
        known[version_id].add((sha256, stage))
    return known


def _judge(version: Version, known: Collection[tuple[str, str]], days: Policy, now: dt.datetime) -> _Judged:
    endings = endings_of(version)
    crossed, next_stage_at = expiry.outlook(endings, now, days)
    values = _outlook(version, endings, crossed, now)
    values["next_stage_at"] = next_stage_at
    flags = _new_flags(version, crossed, known, now)
    return _Judged(version, values, flags, worst_of(crossed))


def _new_flags(
    version: Version, crossed: Sequence[Crossing], known: Collection[tuple[str, str]], now: dt.datetime
) -> list[Flag]:
    """The flags that are not there yet."""
    return [
        Flag(
            version=version,
            ends_sha256=crossing.ending.sha256,
            ends_name=crossing.ending.common_name,
            ends_at=crossing.ending.not_after,
            stage=crossing.stage,
            crossed_at=crossing.instant,
            flagged_at=now,
            told=told,
        )
        for crossing, told in expiry.unflagged(crossed, known)
    ]


def _outlook(
    version: Version, endings: Sequence[Ending], crossed: Sequence[Crossing], now: dt.datetime
) -> dict[str, Any]:
    """What the version shows: the end that is named, and the farthest stage that any of its certificates reached."""
    ending, worst = _named_ending(_kind(version), endings, now), worst_of(crossed)
    return {
        "fails_at": ending and ending.not_after,
        "fails_sha256": ending.sha256 if ending else "",
        "fails_name": ending.common_name if ending else "",
        "stage": worst.stage if worst else "",
    }


def _named_ending(kind: str, endings: Sequence[Ending], now: dt.datetime) -> Ending | None:
    """A chain fails with its first link and stays failed; of a bundle, the next one to end is named."""
    if kind == "trust":
        return expiry.fails_at(endings, now)
    return min(endings, key=lambda ending: (ending.not_after, ending.position), default=None)


def worst_of(crossed: Sequence[Crossing]) -> Crossing | None:
    """Of the farthest stage the crossing whose certificate ends first."""
    return min(
        crossed,
        key=lambda crossing: (-crossing.stage.order, crossing.ending.not_after, crossing.ending.position),
        default=None,
    )


def endings_of(version: Version) -> tuple[Ending, ...]:
    """The certificates of the version whose end matters."""
    return expiry.watched(version.links, _kind(version))


def _kind(version: Version) -> Literal["key", "trust"]:
    return cast(Literal["key", "trust"], version.certificate.store.kind)


def _repeat_on_certificate(version: Version, values: dict[str, Any]) -> None:
    """Lists read `fails_at` and `stage` from the certificate's own row."""
    shown = _shown(values)
    Certificate.objects.filter(pk=version.certificate_id).update(**shown)
    for name, value in shown.items():
        setattr(version.certificate, name, value)


def _shown(values: dict[str, Any]) -> dict[str, Any]:
    return {name: values[name] for name in ("fails_at", "stage")}
