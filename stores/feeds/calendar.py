"""Writing ends down as a calendar (RFC 5545, RFC 7986): one event each, which blocks nobody's time and rings nobody's alarm."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from urllib.parse import urlsplit

from django.conf import settings
from icalendar import Calendar, Event, Timezone, TimezoneStandard

from portal.templatetags.portal_tags import visible
from stores.feeds.coming import Coming
from stores.models import Feed
from stores.prompts import Prompt
from stores.theirs import TheirEnd
from stores.usage import Use

CONTENT_TYPE = "text/calendar; charset=utf-8"
REFRESH = dt.timedelta(hours=6)
MOST_USES = 10


def calendar(feed: Feed, ends: Collection[Coming], now: dt.datetime) -> bytes:
    """The whole calendar. It says nothing that changes by the hour, so that who has it already can be told so."""
    made = Calendar()
    name = _name(feed)
    made.add("prodid", "-//Storekeeper//Certificates//EN")
    made.add("version", "2.0")
    made.add("calscale", "GREGORIAN")
    for field in ("name", "x-wr-calname"):
        made.add(field, name)
    for field in ("refresh-interval", "x-published-ttl"):
        made.add(field, REFRESH, {"VALUE": "DURATION"})
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    for one in ends:
        made.add_component(_event(one, day))
    if not ends:
        made.add_component(_utc())
    written: bytes = made.to_ical()
    return written


def _name(feed: Feed) -> str:
    whose = " (yours)" if feed.scope == Feed.Scope.MINE else ""
    return f"Certificates of {visible(feed.team.name)}{whose}"


def _event(one: Coming, day: dt.datetime) -> Event:
    """What ends, at its instant. It never moves: another end is another event, so its sequence stays 0."""
    made, end = Event(), one.end
    path = _path(one)
    made.add("uid", f"{one.key}@{urlsplit(settings.STOREKEEPER_URL).hostname}")
    made.add("dtstamp", day)
    made.add("dtstart", end.ends_at)
    if one.since:
        made.add("last-modified", one.since)
    made.add("sequence", 0)
    made.add("summary", _summary(end))
    made.add("description", "\n".join(_lines(one, settings.STOREKEEPER_URL + path)))
    made.add("url", settings.STOREKEEPER_URL + path)
    made.add("transp", "TRANSPARENT")
    return made


def _path(one: Coming) -> str:
    """Where the end is averted."""
    end = one.end
    if not isinstance(end, Prompt):
        return end.share_url
    return end.replace_url if end.uses else end.url


def _summary(end: Prompt | TheirEnd) -> str:
    """As "orders-client fails"; without distances, which a calendar shows itself."""
    if not isinstance(end, Prompt):
        return f"{visible(end.label)} fails"
    name = visible(end.certificate.name)
    return f"{name}: {visible(end.ends_name)} ends" if end.part == "bundle" else f"{name} fails"


def _lines(one: Coming, link: str) -> Sequence[str]:
    end = one.end
    if not isinstance(end, Prompt):
        return [_reason(end), "Only the people behind it can replace that certificate.", f"Ask them: {link}"]
    store = f"Kept in {visible(end.certificate.store.name)}."
    if not end.uses:
        return [_reason(end), store, f"Nothing uses it. Delete it if it is no longer needed: {link}"]
    return [_reason(end), store, f"Used by {_names(end.uses)}.", f"Replace it: {link}"]


def _reason(end: Prompt | TheirEnd) -> str:
    if isinstance(end, Prompt) and end.part == "bundle":
        return f"{visible(end.ends_name)} is 1 of {end.links:,} certificates in it."
    return f"It {'failed' if end.ended else 'fails'} {end.reason}."


def _names(uses: Sequence[Use]) -> str:
    names = ", ".join(visible(use.title) for use in uses[:MOST_USES])
    return f"{names} and {len(uses) - MOST_USES:,} more" if len(uses) > MOST_USES else names


def _utc() -> Timezone:
    """Stands in a calendar without events, since one without anything in it is none (RFC 5545, section 3.6)."""
    zone, standard = Timezone(), TimezoneStandard()
    zone.add("tzid", "Etc/UTC")
    standard.add("dtstart", dt.datetime(1970, 1, 1))  # noqa: DTZ001  # local by definition
    standard.add("tzoffsetfrom", dt.timedelta(0))
    standard.add("tzoffsetto", dt.timedelta(0))
    zone.add_component(standard)
    return zone
