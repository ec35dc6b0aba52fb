"""Finding: which versions came nearer to their end, each crossing written down once (DESIGN section 10).

Nothing is sent here: flags are recorded, notices are queued, and `stores.notices.delivery` sends them later.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Prefetch, Q

from portal.models import Team, User
from stores import cases, expiry, notices
from stores.expiry import Crossing, Ending, Policy
from stores.models import Certificate, ChainCertificate, Flag, Version

log = logging.getLogger("storekeeper")
BATCH = 500
EVER = dt.datetime.min.replace(tzinfo=dt.UTC)
LINK = ("version_id", "position", "sha256", "common_name", "not_before", "not_after", "is_self_signed")


@dataclass
class Found:
    """What one run of the scan did. `failed` versions stay due; the log says why."""

    versions: int = 0
    flags: int = 0
    notices: int = 0
    failed: int = 0


def start(version: Version, now: dt.datetime, **state: object) -> None:
    """Watches a version that becomes active; `state` says so in its row. What it has crossed already is flagged by the next scan.

    Call it in the transaction of the activation. The flags of a version that was active before count again.
    """
    if version.activated_at:
        version.flags.update(resolved_at=None)
    endings, policy = _endings(version), policy_of(version.team)
    values = _outlook(version, endings, expiry.crossings(endings, None, now, policy), now)
    values["next_stage_at"] = expiry.next_stage_at(endings, EVER, policy)
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
        notices.withdraw(version, now)


def find_due(now: dt.datetime, batch: int = BATCH) -> Found:
    """Flags every crossing up to `now` of every version that is due, each version in a transaction of its own.

    Safe to run ten times at once, and to be killed at any instant: what is not committed is still due.
    """
    found = Found()
    for due in _batches(now, batch):
        people = notices.recipients([version.certificate for version in due])
        for version in due:
            try:
                _flag(version, people[version.certificate_id], now, found)
            except (OperationalError, InterfaceError):
                raise
            except Exception:
                # One row that cannot be judged must not keep the others from being told.
                log.exception("version %s could not be judged; it stays due", version.pk)
                found.failed += 1
    return found


def policy_of(team: Team) -> Policy:
    """The team's own days, else the default that follows the lifetime."""
    return Policy(**(team.policy or {}))


def _batches(now: dt.datetime, size: int) -> Iterator[list[Version]]:
    """Due versions with all that is needed to judge them, the longest overdue first."""
    rows = (
        Version.objects.due(now)
        .select_related("certificate__store", "certificate__owner", "team")
        .prefetch_related(Prefetch("chain", ChainCertificate.objects.only(*LINK)))
        .defer("sealed_key", "findings", "certificate__search_text")
    )
    batch = list(rows[:size])
    while batch:
        yield batch
        last = batch[-1]
        after = Q(next_stage_at__gt=last.next_stage_at) | Q(next_stage_at=last.next_stage_at, pk__gt=last.pk)
        batch = list(rows.filter(after)[:size]) if len(batch) == size else []


def _flag(version: Version, people: Sequence[User], now: dt.datetime, found: Found) -> None:
    """Claims one due version, and writes all that follows from it; nothing when somebody else was first."""
    endings, policy = _endings(version), policy_of(version.team)
    crossed = expiry.crossings(endings, None, now, policy)
    values = _outlook(version, endings, crossed, now)
    values["next_stage_at"] = expiry.next_stage_at(endings, now, policy)
    with transaction.atomic():
        if not _claim(version, values):
            return
        _repeat_on_certificate(version, values)
        flags = _write_flags(version, crossed, now)
        if worst := _worst(crossed):
            owner = version.certificate.owner
            cases.open_or_advance(version, worst, owner if owner in people else None, now)
        queued = notices.queue(version, [flag for flag in flags if flag.told], people, now)
    found.versions += 1
    found.flags += len(flags)
    found.notices += queued


def _claim(version: Version, values: dict[str, Any]) -> bool:
    """Moves the version on if it stands where it was read. The certificate is locked first, as activation does."""
    row = Certificate.objects.select_for_update(skip_locked=True).filter(pk=version.certificate_id)
    if not list(row.values_list("pk")):
        return False
    unmoved = Version.objects.current().filter(pk=version.pk, next_stage_at=version.next_stage_at)
    return unmoved.update(**values) == 1


def _write_flags(version: Version, crossed: Sequence[Crossing], now: dt.datetime) -> list[Flag]:
    """Writes the flags that are not there yet, and gives these back. Of one end only the latest stage is told."""
    latest = {crossing.ending.sha256: crossing.stage for crossing in crossed}
    flags = [
        Flag(
            version=version,
            ends_sha256=crossing.ending.sha256,
            ends_name=crossing.ending.common_name,
            ends_at=crossing.ending.not_after,
            stage=crossing.stage,
            crossed_at=crossing.instant,
            flagged_at=now,
            told=crossing.stage == latest[crossing.ending.sha256],
        )
        for crossing in crossed
    ]
    Flag.objects.bulk_create(flags, ignore_conflicts=True)
    return list(Flag.objects.filter(version=version, flagged_at=now))


def _outlook(
    version: Version, endings: Sequence[Ending], crossed: Sequence[Crossing], now: dt.datetime
) -> dict[str, Any]:
    """What the version shows: the end that is named, and the farthest stage that any of its certificates reached."""
    ending, worst = _named_ending(_kind(version), endings, now), _worst(crossed)
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


def _worst(crossed: Sequence[Crossing]) -> Crossing | None:
    """Of the farthest stage the crossing whose certificate ends first."""
    return min(
        crossed,
        key=lambda crossing: (-crossing.stage.order, crossing.ending.not_after, crossing.ending.position),
        default=None,
    )


def _endings(version: Version) -> tuple[Ending, ...]:
    return expiry.watched(version.links, _kind(version))


def _kind(version: Version) -> Literal["key", "trust"]:
    return cast(Literal["key", "trust"], version.certificate.store.kind)


def _repeat_on_certificate(version: Version, values: dict[str, Any]) -> None:
    """Lists read `fails_at` and `stage` from the certificate's own row."""
    shown = {name: values[name] for name in ("fails_at", "stage")}
    Certificate.objects.filter(pk=version.certificate_id).update(**shown)
    for name, value in shown.items():
        setattr(version.certificate, name, value)
