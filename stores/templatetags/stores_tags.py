"""How certificates, their chains and their state are drawn."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from django import template
from django.template.context import Context
from django.utils import timezone
from django.utils.html import format_html, format_html_join, urlize
from django.utils.safestring import SafeString

from portal.templatetags.portal_tags import in_words, local, state, visible
from stores.drawing import Drawing, Kind, Link, Shown, draw
from stores.prompts import Prompt
from stores.watch import policy_of

register = template.Library()


@register.simple_tag(takes_context=True)
def drawing(context: Context, chain: Sequence[Shown], kind: Kind, first_sha256: str = "") -> Drawing:
    """The chain as it is drawn now, by the stages of the team shown."""
    return draw(list(chain), kind, first_sha256, timezone.now(), policy_of(context["team"]))


@register.simple_tag
def its_end(link: Link) -> SafeString:
    """How near its end a link is, as icon, word and colour; in plain words where its end does not matter."""
    words = _end_in_words(link)
    return state(link.state, words) if link.state else format_html('<span class="soft">{}</span>', words)


def _end_in_words(link: Link) -> str:
    if not link.has_begun:
        return f"begins {in_words(link.certificate.not_before)}"
    if link.is_endless:
        return "never ends"
    verb = "ended" if link.has_ended else "ends"
    return f"{verb} {'first, ' if link.is_first else ''}{in_words(link.certificate.not_after)}"


@register.simple_tag
def standing(prompt: Prompt | None, staged: Sequence[object]) -> SafeString:
    """The state of a certificate beside its name: how near its end it is, staged, or nothing active."""
    if prompt is None:
        return state("staged", "Staged") if staged else state("superseded", "Nothing active")
    words = in_words(prompt.ends_at)
    if words == "never":
        return state(prompt.stage, "Never ends")
    if prompt.part == "bundle":
        return state(prompt.stage, f"1 of {prompt.links:,} {'ended' if prompt.ended else 'ends'} {words}")
    return state(prompt.stage, f"{'Failed' if prompt.ended else 'Fails'} {words}")


@register.filter
def breakable(text: str, after: str = ":") -> SafeString:
    """A fingerprint that may be broken after a colon, and nowhere else; or another text after another mark."""
    return format_html_join(format_html("{}<wbr>", after), "{}", ((part,) for part in text.split(after)))


@register.simple_tag(takes_context=True)
def day(context: Context, instant: dt.datetime | None) -> SafeString:
    """The day of an instant in the zone of the user; the exact instant when pointed at."""
    if instant is None:
        return format_html("{}", "never")
    exact = local(instant, context.get("request"))
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', instant.isoformat(), exact, exact.partition(",")[0]
    )


@register.filter
def with_links(text: str) -> SafeString:
    """Plain text that somebody typed, line by line, the addresses in it as links; nothing else in it means anything to a browser."""
    lines = (SafeString(urlize(visible(line), nofollow=True, autoescape=True)) for line in text.splitlines())
    return format_html_join(SafeString("<br>"), "{}", ((line,) for line in lines))
