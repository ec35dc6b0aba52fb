"""Calendar months and weeks of UTC, for what is shown along time. Pure."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """A month or a week: from `begin` until just before `end`."""

    begin: dt.datetime
    end: dt.datetime
    key: str
    """How it is called in addresses: "2026-12"."""
    label: str
    """In full: "December 2026"."""
    short: str

    @property
    def last(self) -> dt.date:
        """Its last day."""
        return (self.end - dt.timedelta(days=1)).date()


def months(begin: dt.datetime, until: dt.datetime) -> list[Span]:
    """The months from that of `begin` to that of `until`."""
    found, first = [], _midnight(begin).replace(day=1)
    while first <= until:
        following = (first + dt.timedelta(days=31)).replace(day=1)
        found.append(Span(first, following, f"{first:%Y-%m}", f"{first:%B %Y}", f"{first:%b}"))
        first = following
    return found


def weeks(begin: dt.datetime, until: dt.datetime) -> list[Span]:
    """The weeks, Monday to Sunday, from that of `begin` to that of `until`."""
    found, first = [], _midnight(begin) - dt.timedelta(days=begin.astimezone(dt.UTC).weekday())
    while first <= until:
        following = first + dt.timedelta(days=7)
        day = f"{first.day} {first:%b}"
        found.append(Span(first, following, f"{first:%G-W%V}", f"week of {first.day} {first:%B %Y}", day))
        first = following
    return found


def _midnight(instant: dt.datetime) -> dt.datetime:
    return instant.astimezone(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
