"""Asking the future: what would be told, to whom and when, as things stand (DESIGN section 10).

Nothing is written. What decides is what decides in the scan: `expiry.unflagged`, `cases.advanced` and `notices.planned`. Things stand as
they do: nothing is replaced, nobody comes or leaves, and the scan and the senders run whenever there is something to do.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Q

from portal.models import Team
from stores import cases, expiry, notices
from stores.expiry import Crossing, Ending, Stage
from stores.models import Case, Certificate, Version
from stores.notices.audience import Directory, Recipient
from stores.policy import TeamPolicy
from stores.querysets import VersionQuerySet
from stores.watch import endings_of, known_flags, read_chains, worst_of

BATCH = 500


@dataclass(frozen=True)
class Told:
    """One thing that would be told to one recipient over one channel."""

    at: dt.datetime
    """When it would arrive or be sent: after the quiet hours where these are kept."""
    found_at: dt.datetime
    """When the scan would find it."""
    stage: Stage
    certificate: Certificate
    ending: Ending
    recipient: Recipient | None
    """None where it would reach nobody."""


def watched_of(team: Team | None = None) -> VersionQuerySet:
    """The versions that can have anything told of them, of one team or of all."""
    rows = Version.objects.current()
    return rows.filter(certificate__team=team) if team else rows


def foretell(
    versions: VersionQuerySet,
    now: dt.datetime,
    until: dt.datetime,
    policies: Mapping[str, TeamPolicy] | None = None,
) -> Iterator[Told]:
    """What would be told of active versions from `now` to `until`, those of one certificate together, in the order of time.

    `policies` by id of the team are tried in the place of what these teams have said, as if saved now: then all of theirs is judged anew,
    as `watch.rejudge` does. A constant number of queries for each `BATCH` of versions, which are all that is held at a time.
    """
    for batch in _batches(versions, until, policies or {}):
        directory = Directory([version.certificate for version in batch], policies)
        known, asleep = known_flags(batch), _snoozed(batch)
        for version in batch:
            begin = now
            if version.next_stage_at and version.team_id not in (policies or {}):
                begin = max(now, version.next_stage_at)
            outlook = _Outlook(
                version, directory, known.get(version.pk, ()), asleep.get(version.certificate_id)
            )
            yield from (told for told in outlook.told(begin, until) if told.at <= until)


def _batches(
    versions: VersionQuerySet, until: dt.datetime, tried: Collection[str]
) -> Iterator[list[Version]]:
    """The versions that come into a stage by then, or may under a policy that is tried; with their chains."""
    ended = Q(next_stage_at=None, stage=Stage.EXPIRED)
    rows = versions.filter(Q(next_stage_at__lte=until) | Q(certificate__team__in=tried) & ~ended)
    rows = rows.select_related("certificate__store", "certificate__team").order_by("pk").only(
        "team", "state", "next_stage_at", "stage", "certificate__name", "certificate__team__name", "certificate__owner",
        "certificate__store__kind", "certificate__store__name", "certificate__store__team",
    )  # fmt: skip
    batch = list(rows[:BATCH])
    while batch:
        read_chains(batch)
        yield batch
        batch = list(rows.filter(pk__gt=batch[-1].pk)[:BATCH]) if len(batch) == BATCH else []


def _snoozed(versions: Sequence[Version]) -> dict[str, Case]:
    """Id of the certificate to its case, where that is snoozed: what wakes it takes it up one level."""
    rows = Case.objects.open().filter(snoozed_until__isnull=False)
    found = rows.filter(certificate__in=[version.certificate_id for version in versions])
    return {case.certificate_id: case for case in found}


@dataclass
class _Outlook:
    """What is to come of one version."""

    version: Version
    directory: Directory
    known: Collection[tuple[str, str]]
    case: Case | None

    def told(self, begin: dt.datetime, until: dt.datetime) -> Iterator[Told]:
        """What is told from the scan at `begin` on, which catches up with all that was missed."""
        if begin > until or not self.directory.can_read(self.version.team_id):
            return
        days = self.directory.policy(self.version.team_id).days
        endings = endings_of(self.version)
        crossed = expiry.crossings(endings, None, begin, days)
        yield from self._scan(crossed, crossed, begin)
        to_come = expiry.crossings(endings, begin, until, days)
        for instant, group in itertools.groupby(to_come, lambda crossing: crossing.instant):
            here = list(group)
            crossed += here
            yield from self._scan(here, crossed, instant)

    def _scan(self, new: Sequence[Crossing], crossed: Sequence[Crossing], now: dt.datetime) -> Iterator[Told]:
        """What one scan tells, `crossed` being all until now and `new` all since the scan before."""
        self._wake(worst_of(crossed), now)
        certificate = self.version.certificate
        for crossing, is_told in expiry.unflagged(new, self.known):
            if not is_told:
                continue
            for recipient, at in notices.planned(certificate, crossing.stage, self.directory, now):
                yield Told(at, now, crossing.stage, certificate, crossing.ending, recipient)

    def _wake(self, worst: Crossing | None, now: dt.datetime) -> None:
        """What becomes of a case that is snoozed, and so of who is told."""
        if self.case is None or worst is None:
            return
        is_later, says = cases.advanced(self.case, self.version.pk, worst, now)
        if is_later:
            self.case.stage, self.case.level = says["stage"], says["level"]
            self.case.snoozed_until = says["snoozed_until"]
            self.directory.go_up({self.case.certificate_id: self.case.level})
