"""The weekly summary: one mail per person, on the day that the team has chosen (DESIGN section 10)."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db.models import Q, QuerySet
from django.urls import reverse

from portal.models import Membership, Role, Team
from portal.templatetags.portal_tags import in_words, visible
from stores import policy
from stores.figures import Figure, figures
from stores.models import Case, Notice, Preferences, Version
from stores.prompts import Prompt, explained_cases, explained_versions, prompts_of
from stores.querysets import CaseQuerySet

log = logging.getLogger("storekeeper")
KEY = "summary "
"""What the keys of these notices begin with."""
AHEAD = dt.timedelta(days=30)
MOST_LINES = 8
MOST_COUNTED = 9_999
MOST_OF_A_REASON = 200


@dataclass(frozen=True)
class Line:
    """One certificate: what there is to say of it, what goes on below, and where it is."""

    text: str
    aside: str
    url: str


@dataclass(frozen=True)
class Section:
    """One part of a summary: at most `MOST_LINES` of its lines, and how many there are."""

    name: str
    title: str
    count: Figure
    lines: Sequence[Line]

    @property
    def more(self) -> int:
        return self.count.count - len(self.lines)


def send_due(now: dt.datetime) -> int:
    """Queues the summary of each team whose hour has come today; how many mails. Safe to repeat: each week is told once."""
    return sum(_send(team, now) for team in Team.objects.filter(policy__has_key="summary"))


def _send(team: Team, now: dt.datetime) -> int:
    try:
        said = policy.read(team.policy)
    except ValueError:
        log.exception("the policy of team %s cannot be read", team.pk)
        return 0
    week = said.summary_due(now)
    key = f"{KEY}{team.pk} {week}"
    if week is None or Notice.objects.filter(key=key).exists():
        return 0
    due_at = said.send_at(None, now)
    rows = [_notice(reader, key, week, now, due_at) for reader in _readers(team)]
    Notice.objects.bulk_create(rows, ignore_conflicts=True)
    return len(rows)


def _readers(team: Team) -> QuerySet[Membership]:
    """The owners of the team, and all members who look after something, but those who do not want it."""
    something = [
        team.certificates.exclude(owner=None).values("owner"),
        team.providers.exclude(owner=None).values("owner"),
        Case.objects.open().filter(team=team).exclude(owner=None).values("owner"),
    ]
    wanted = Q(role=Role.OWNER)
    for owners in something:
        wanted |= Q(user__in=owners)
    unwanted = Preferences.objects.filter(summary=False).values("user")
    rows = Membership.objects.filter(wanted, team=team, user__is_active=True).exclude(user__in=unwanted)
    return rows.select_related("user", "team").order_by("user")


def _notice(reader: Membership, key: str, week: str, now: dt.datetime, due_at: dt.datetime) -> Notice:
    return Notice(
        team=reader.team, key=key, title=f"{reader.team}: summary of week {week}", url=reverse("stores:cases"), severity="info",
        user=reader.user, recipient=reader.user.email, channel=Notice.Channel.EMAIL, created_at=now, due_at=due_at,
    )  # fmt: skip


def title_of(team: Team, sections: Sequence[Section]) -> str:
    """As "Payments this week: 3 to replace, 2 end within 30 days"."""
    said = ", ".join(f"{section.count} {section.name}" for section in sections)
    return f"{team}, this week: {said or 'nothing to do'}"


def sections_of(team: Team, now: dt.datetime) -> list[Section]:
    """What there is to say of the team; what there is nothing of is left out. A handful of queries, whatever the team keeps."""
    parts = _parts(team, now)
    counts = figures(team, {part.name: (part.rows, MOST_COUNTED) for part in parts})
    return [_section(part, counts[part.name], now) for part in parts if counts[part.name]]


class _Part(NamedTuple):
    """Where a section comes from: what sorts first in `rows` is shown, each by `say`."""

    name: str
    title: str
    rows: QuerySet[Any]
    say: Callable[[Prompt], Line]


def _parts(team: Team, now: dt.datetime) -> list[_Part]:
    cases = Case.objects.open().filter(team=team).order_by("fails_at", "pk")
    replaced, asleep = Q(successor__isnull=False), Q(snoozed_until__gt=now)
    soon = Version.objects.current().filter(certificate__team=team, certificate__fails_at__gt=now)
    soon = soon.filter(certificate__fails_at__lte=now + AHEAD).order_by("certificate__fails_at", "pk")
    quiet = soon.exclude(certificate__in=cases.order_by().values("certificate"))
    return [
        _Part("to replace", "To replace", cases.exclude(replaced | asleep), _to_replace),
        _Part("end within 30 days", "Ends in the next 30 days, nothing to do yet", quiet, _ends),
        _Part("not proven", "Replaced, but not seen in use everywhere", cases.filter(replaced), _not_proven),
        _Part("snoozed", "Snoozed", cases.filter(asleep).exclude(replaced), _snoozed),
    ]


def _section(part: _Part, count: Figure, now: dt.datetime) -> Section:
    rows = part.rows
    explained = explained_cases(rows) if isinstance(rows, CaseQuerySet) else explained_versions(rows)
    prompts = prompts_of(list(explained[:MOST_LINES]), now, with_uses=False)
    return Section(part.name, part.title, count, [part.say(prompt) for prompt in prompts])


def _to_replace(prompt: Prompt) -> Line:
    owner = prompt.case.owner if prompt.case else None
    return Line(
        prompt.headline,
        f"{visible(owner)} has it" if owner else "nobody has taken it yet",
        prompt.replace_url,
    )


def _ends(prompt: Prompt) -> Line:
    return Line(prompt.headline, prompt.reason, prompt.url)


def _not_proven(prompt: Prompt) -> Line:
    return Line(visible(prompt.certificate.name), "the next version is active", _case_url(prompt))


def _snoozed(prompt: Prompt) -> Line:
    reason = visible(prompt.case.snooze_reason[:MOST_OF_A_REASON]) if prompt.case else ""
    wakes = in_words(prompt.case.snoozed_until, prompt.now) if prompt.case else ""
    return Line(prompt.headline, f"wakes {wakes}: {reason}", _case_url(prompt))


def _case_url(prompt: Prompt) -> str:
    return prompt.case.get_absolute_url() if prompt.case else prompt.url
