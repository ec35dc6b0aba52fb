"""The channel e-mail: one message per recipient and run, in text and HTML."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from types import SimpleNamespace
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string

from stores.models import Notice
from stores.notices.items import Item, most_urgent_first
from stores.prompts import Prompt

MOST_SHOWN = 50


def compose(rows: Sequence[tuple[Notice, Item]]) -> EmailMultiAlternatives:
    """The message that tells one recipient these notices; not empty."""
    first = rows[0][0]
    items = most_urgent_first(item for _, item in rows)
    subject = _subject(items)
    context = {
        "subject": subject,
        "items": items[:MOST_SHOWN],
        "more": len(items) - MOST_SHOWN,
        "has_ends": any(isinstance(item, Prompt) for item in items),
        "portal": settings.STOREKEEPER_URL,
        # The tags that say dates look for the reader's zone where a page has it.
        "request": SimpleNamespace(user=first.user),
    }
    message = EmailMultiAlternatives(
        subject=subject,
        body=render_to_string("emails/notices.txt", context),
        to=[first.recipient],
        headers={"Message-ID": message_id([row.pk for row, _ in rows]), "Auto-Submitted": "auto-generated"},
    )
    message.attach_alternative(render_to_string("emails/notices.html", context), "text/html")
    return message


def message_id(ids: Sequence[str]) -> str:
    """The same for the same notices, so that a message sent twice after a crash is recognised as one (RFC 5322, 3.6.4)."""
    digest = hashlib.sha256(" ".join(sorted(ids)).encode()).hexdigest()[:32]
    return f"<notices-{digest}@{urlsplit(settings.STOREKEEPER_URL).hostname}>"


def _subject(items: Sequence[Item]) -> str:
    more = f", and {len(items) - 1:,} more" if len(items) > 1 else ""
    return " ".join(f"{items[0].headline}{more}".split())
