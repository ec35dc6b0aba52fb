"""How the portal draws state, time, icons and text that came from outside."""

from __future__ import annotations

import datetime as dt
import unicodedata
import zoneinfo
from typing import Any

from django import template
from django.http import HttpRequest
from django.template.context import Context
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from portal.permissions import Action
from portal.permissions import allowed as role_allows

register = template.Library()

ICONS = {
    "lock": '<rect x="2" y="8" width="16" height="10" rx="2"/><path d="M5 8V6a5 5 0 0 1 10 0v2"/>',
    "menu": '<path d="M3 5h14M3 10h14M3 15h14"/>',
    "close": '<path d="M5 5l10 10M15 5L5 15"/>',
    "copy": '<rect x="7" y="7" width="10" height="10" rx="2"/><path d="M13 7V5a2 2 0 0 0-2-2H5a2 2 0 0 0-2 2v6a2 2 0 0 0 2 2h2"/>',
    "valid": '<circle cx="10" cy="10" r="7.5"/><path d="M6.8 10.2l2.2 2.3 4.2-4.8"/>',
    "notice": '<circle cx="10" cy="10" r="7.5"/><path d="M10 9.2v4.4M10 6.4v.2"/>',
    "warning": '<path d="M10 2.8L18 17H2z"/><path d="M10 8v4M10 14.4v.2"/>',
    "urgent": '<path d="M10 1.5l8.5 8.5-8.5 8.5L1.5 10z"/><path d="M10 6v4.6M10 13.3v.2"/>',
    "expired": '<path d="M6.5 2h7L18 6.5v7L13.5 18h-7L2 13.5v-7z"/><path d="M7 7l6 6M13 7l-6 6"/>',
    "staged": '<rect x="3" y="3" width="14" height="14" rx="3"/><path d="M10 6.5V10l2.5 2"/>',
    "superseded": '<path d="M4 10a6 6 0 1 1 2 4.5"/><path d="M3.5 17v-3.5H7"/>',
    "discarded": '<circle cx="10" cy="10" r="7.5"/><path d="M5 15L15 5"/>',
}
ICONS["error"], ICONS["info"] = ICONS["expired"], ICONS["notice"]
STATES = {
    "": ("valid", "Valid"),
    "valid": ("valid", "Valid"),
    "notice": ("notice", "Expires soon"),
    "warning": ("warning", "Warning"),
    "urgent": ("urgent", "Urgent"),
    "expired": ("expired", "Expired"),
    "staged": ("staged", "Staged"),
    "active": ("valid", "Active"),
    "superseded": ("superseded", "Superseded"),
    "discarded": ("discarded", "Discarded"),
    "error": ("error", "Error"),
    "info": ("info", "Note"),
    "running": ("valid", "Running"),
}
UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60))
INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@register.simple_tag
def icon(name: str, size: int = 16) -> SafeString:
    """One of our line drawings; decoration, hidden from screen readers."""
    return format_html(
        '<svg width="{0}" height="{0}" viewBox="0 0 20 20" fill="none" stroke="currentColor" stroke-width="2" '
        'stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">{1}</svg>',
        size,
        mark_safe(ICONS[name]),  # noqa: S308  # our own constants
    )


@register.simple_tag
def state(name: str, words: str = "") -> SafeString:
    """A state as icon, word and colour."""
    css, label = STATES[name]
    return format_html('<span class="state {}">{} {}</span>', css, icon(css, 14), words or label)


@register.filter
def in_words(instant: dt.datetime | None, now: dt.datetime | None = None) -> str:
    """The distance from now: "in 23 days", "5 minutes ago", "now"."""
    if instant is None:
        return "never"
    seconds = (instant - (now or timezone.now())).total_seconds()
    if instant.year == 9999:
        return "never"
    for unit, length in UNITS:
        count = int(abs(seconds) // length)
        if count:
            text = f"{count:,} {unit}{'' if count == 1 else 's'}"
            return f"in {text}" if seconds > 0 else f"{text} ago"
    return "now"


@register.filter
def took(seconds: float | None) -> str:
    """A duration: "9 ms", "2.3 s"."""
    seconds = seconds or 0.0
    return f"{seconds:,.1f} s" if seconds >= 1 else f"{round(1000 * seconds)} ms"


def local(instant: dt.datetime, request: HttpRequest | None) -> str:
    """The instant in the zone of the user, else UTC."""
    name = getattr(getattr(request, "user", None), "time_zone", "") or "UTC"
    try:
        there = instant.astimezone(zoneinfo.ZoneInfo(name))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OverflowError):
        there, name = instant, "UTC"
    return f"{there.day} {there:%b} {there.year:04}, {there:%H:%M} {there.tzname() or name}"


@register.simple_tag(takes_context=True)
def date(context: Context, instant: dt.datetime | None) -> SafeString:
    """The absolute instant, machine-readable too."""
    if instant is None:
        return format_html("{}", "never")
    return format_html(
        '<time datetime="{}">{}</time>', instant.isoformat(), local(instant, context.get("request"))
    )


@register.simple_tag(takes_context=True)
def date_text(context: Context, instant: dt.datetime) -> str:
    """The absolute instant where there is no HTML, as in a mail."""
    return local(instant, context.get("request"))


@register.simple_tag(takes_context=True)
def when(context: Context, instant: dt.datetime | None) -> SafeString:
    """Time said twice: the distance, and below it the instant."""
    if instant is None:
        return format_html("{}", "never")
    return format_html("{} <small>{}</small>", in_words(instant), date(context, instant))


@register.filter
def visible(text: object) -> str:
    """Text from outside with control, direction and other invisible characters written as escapes."""
    return "".join(_visible(character) for character in str(text))


@register.filter
def visible_lines(text: object) -> str:
    """The same of a text of several lines, which stay lines."""
    return "\n".join(visible(line) for line in str(text).splitlines())


def _visible(character: str) -> str:
    if unicodedata.category(character) not in INVISIBLE:
        return character
    return f"\\u{ord(character):04x}" if ord(character) < 0x10000 else f"\\U{ord(character):08x}"


@register.filter
def fingerprint(digest: str) -> str:
    """Hex with colons in capitals, as other tools show it."""
    text = digest.upper().zfill(len(digest) + len(digest) % 2)
    return ":".join(text[at : at + 2] for at in range(0, len(text), 2))


@register.inclusion_tag("components/copy.html")
def copy(text: str, what: str = "") -> dict[str, str]:
    """A button that copies `text`; `what` says what it is."""
    return {"text": text, "what": what}


@register.simple_tag(takes_context=True)
def allowed(context: Context, action: str, team: Any) -> bool:
    """Whether the signed-in user may do `action` (a name of portal.permissions.Action) in the team."""
    return role_allows(context["request"].user, Action[action], team)


@register.simple_tag(takes_context=True)
def with_query(context: Context, **changes: object) -> str:
    """The present address' query with some parameters changed; None and "" remove one."""
    query = context["request"].GET.copy()
    for name, value in changes.items():
        query.pop(name, None)
        if value not in (None, ""):
            query[name] = str(value)
    return f"?{query.urlencode()}"
