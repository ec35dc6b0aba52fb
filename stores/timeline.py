"""What ends when, along the next year or the next 90 days: counted by the database, drawn by the server."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from django.db.models import CharField, Count
from django.db.models.functions import Cast, Substr
from django.urls import reverse

from portal.models import Team
from portal.templatetags.portal_tags import STATES
from stores.expiry import Stage
from stores.models import Certificate
from stores.months import Span, months, weeks

YEAR, NEAR = dt.timedelta(days=365), dt.timedelta(days=90)
TOP, BASE, LABEL = 22, 128, 146
"""Where bars end, stand, and where their labels stand, in pixels from above; sideways all is in per cent, so that it fits every screen."""
THINNEST = 4
ORDER = (*reversed(Stage), "")
"""From the baseline upwards: what is gravest first."""


@dataclass(frozen=True)
class Part:
    """What of a bar is in one stage."""

    stage: str
    count: int
    y: int
    height: int


@dataclass(frozen=True)
class Bar:
    """What ends in one month or week."""

    span: Span
    counts: Mapping[str, int]
    parts: Sequence[Part]
    place: int
    of: int

    @property
    def count(self) -> int:
        return sum(self.counts.values())

    @property
    def words(self) -> str:
        """As "3: 1 urgent, 2 valid"."""
        return ", ".join(f"{part.count:,} {STATES[part.stage][1].lower()}" for part in self.parts)

    @property
    def url(self) -> str:
        """The certificates that end in it."""
        span = {"from": self.span.begin.date().isoformat(), "until": self.span.last.isoformat()}
        return f"{reverse('stores:certificates')}?{urlencode(span)}"

    @property
    def top(self) -> int:
        """Where its count stands."""
        return min((part.y for part in self.parts), default=BASE) - 6

    @property
    def slot(self) -> str:
        return _percent(100 / self.of * self.place)

    @property
    def slot_width(self) -> str:
        return _percent(100 / self.of)

    @property
    def x(self) -> str:
        return _percent(100 / self.of * (self.place + 0.19))

    @property
    def width(self) -> str:
        return _percent(62 / self.of)

    @property
    def middle(self) -> str:
        return _percent(100 / self.of * (self.place + 0.5))


@dataclass(frozen=True)
class Timeline:
    """The bars, and what they say together."""

    bars: Sequence[Bar]
    is_near: bool

    @property
    def stages(self) -> list[tuple[str, int]]:
        """The stages that are in it and how many certificates are in each, the gravest first."""
        total: Counter[str] = Counter()
        for bar in self.bars:
            total.update(bar.counts)
        return [(stage or "valid", total[stage]) for stage in ORDER if total[stage]]

    @property
    def full(self) -> list[Bar]:
        """The bars in which anything ends."""
        return [bar for bar in self.bars if bar.count]


def timeline(team: Team, now: dt.datetime, *, near: bool = False) -> Timeline:
    """What ends in each month of the next year, or in each week of the next 90 days. One query, whose rows are days."""
    spans = weeks(now, now + NEAR) if near else months(now, now + YEAR)
    counts = _counts(team, spans)
    highest = max((sum(some.values()) for some in counts.values()), default=0)
    bars = [
        Bar(span, counts[span.key], _parts(counts[span.key], highest), place, len(spans))
        for place, span in enumerate(spans)
    ]
    return Timeline(bars, near)


def _counts(team: Team, spans: Sequence[Span]) -> defaultdict[str, Counter[str]]:
    """Key of each span to how many certificates of each stage fail in it."""
    rows = Certificate.objects.filter(team=team, fails_at__gte=spans[0].begin, fails_at__lt=spans[-1].end)
    # The date as text: on SQLite, Django cuts dates by a function of Python, which takes seconds for many.
    days = rows.annotate(day=Substr(Cast("fails_at", CharField()), 1, 10)).values_list("day", "stage")
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for day, stage, count in days.annotate(count=Count("pk")).order_by():
        found[_key_of(day, spans)][stage] += count
    return found


def _key_of(day: str, spans: Iterable[Span]) -> str:
    return next(span.key for span in spans if day <= span.last.isoformat())


def _parts(counts: Mapping[str, int], highest: int) -> list[Part]:
    found, y = [], BASE
    for stage in ORDER:
        if counts.get(stage):
            height = max(round((BASE - TOP) * counts[stage] / highest), THINNEST)
            y -= height
            found.append(Part(str(stage), counts[stage], y, height))
    return found


def _percent(number: float) -> str:
    return f"{number:.3f}%"
