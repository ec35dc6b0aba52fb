"""Writing notices down as an Atom feed (RFC 4287): what was told, in the words of the instant at which it was told."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from django.conf import settings
from django.urls import reverse
from django.utils.feedgenerator import Atom1Feed
from django.utils.html import escape

from portal.templatetags.portal_tags import local, visible
from stores.models import Feed, Notice
from stores.notices.items import Item, items_of
from stores.prompts import Prompt, explained_notices

CONTENT_TYPE = "application/atom+xml; charset=utf-8"
MOST = 50
MOST_READ = 1000
"""A notice stands in the inbox of everybody who is told; of so many rows the different ones are taken."""


class _Atom(Atom1Feed):
    """Changed when its last entry was; one without entries, when the feed was made."""

    made_at: dt.datetime

    def latest_post_date(self) -> dt.datetime:
        return max((item["updateddate"] for item in self.items), default=self.made_at)


def atom(feed: Feed) -> bytes:
    """The last notices of the team, or the person's own. It does not name its own address, so that a copy of it opens nothing."""
    whose = "of yours" if feed.scope == Feed.Scope.MINE else "of everybody"
    made = _Atom(
        title=f"Notices in {visible(feed.team.name)}",
        link=settings.STOREKEEPER_URL + reverse("stores:notices"),
        description="",
        subtitle=f"What Storekeeper has told, {whose} in the team.",
        language="en-GB",
        author_name="Storekeeper",
        feed_guid=_urn("feed", feed.pk),
    )
    made.made_at = feed.created_at
    for notice, item in _told(feed):
        made.add_item(
            title=item.headline,
            link=settings.STOREKEEPER_URL + item.url,
            description=escape(_text(item)),
            pubdate=notice.created_at,
            updateddate=notice.created_at,
            unique_id=_urn("notice", _about(notice.pk, notice.flag_id, notice.key)),
            categories=[item.stage],
        )
    return made.writeString("utf-8").encode()


def _told(feed: Feed) -> Iterator[tuple[Notice, Item]]:
    """The last notices, each once, the newest first."""
    rows = Notice.objects.filter(team=feed.team, channel=Notice.Channel.PORTAL).exclude(recipient="")
    if feed.scope == Feed.Scope.MINE:
        rows = rows.inbox(feed.user)
    seen: dict[str, str] = {}
    newest = rows.order_by("-created_at", "-pk").values_list("pk", "flag_id", "key")[:MOST_READ]
    for pk, flag, key in newest:
        seen.setdefault(_about(pk, flag, key), pk)
    chosen = list(islice(seen.values(), MOST))
    notices = list(explained_notices(Notice.objects.filter(pk__in=chosen)).order_by("-created_at", "-pk"))
    for notice, item in zip(notices, items_of(notices, feed.created_at), strict=True):
        yield notice, replace(item, now=notice.created_at) if isinstance(item, Prompt) else item


def _about(pk: str, flag: int | None, key: str) -> str:
    """The same for everybody who is told of the same."""
    return f"flag {flag}" if flag else f"key {key or pk}"


def _text(item: Item) -> str:
    """One paragraph. Instants are in UTC: a feed is read by programs, which know no zone of its reader."""
    if not isinstance(item, Prompt):
        return visible(item.text)
    users = ", ".join(visible(use.title) for use in item.uses[:10]) or "nothing"
    return f"{local(item.ends_at, None)}, {item.reason}. Kept in {visible(item.certificate.store.name)}, used by {users}."


def _urn(kind: str, name: str) -> str:
    """The same for ever, and in no other portal."""
    return uuid.uuid5(uuid.NAMESPACE_URL, f"{settings.STOREKEEPER_URL}/{kind}/{name}").urn
