"""What a webhook is sent, in its format: signed JSON for programs, or what the rooms of chats take (docs/webhooks.md).

Neither secrets nor addresses of providers are in it: a chat has readers who may not see them in the portal.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from portal.models import Team
from portal.templatetags.portal_tags import local, visible
from stores.models import Webhook
from stores.notices.items import Item, Message
from stores.prompts import Prompt

NOTICES, TEST = "portal.notices", "portal.test"
MOST_USES = 20
MOST_IN_CHAT = 10
LONGEST_CHAT = 3800
"""Characters; the shortest limit among the chats is about 4,000."""
LONGEST_PART = 300
_LOOKALIKES = str.maketrans(
    "<>", "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}"
)
_AT = "\N{FULLWIDTH COMMERCIAL AT}"
_CALLS = re.compile(r"(?<!\w)@")


@dataclass(frozen=True)
class Payload:
    """What is told, before it has a format."""

    type: str
    team: Team
    items: Sequence[Item]
    more: int
    at: dt.datetime

    def body(self, shape: str) -> bytes:
        """As it goes over the wire; `shape` is a `Webhook.Format`."""
        return json.dumps(_FORMATS[shape](self), ensure_ascii=False, separators=(",", ":")).encode()


def test_payload(webhook: Webhook, at: dt.datetime) -> Payload:
    """A message that says that it is a test."""
    text = "A test message. What this team is told about its certificates will arrive here."
    item = Message(f"Storekeeper reaches {webhook.name}", text, webhook.get_absolute_url(), webhook.team)
    return Payload(TEST, webhook.team, [item], 0, at)


def _standard(payload: Payload) -> dict[str, Any]:
    items = [_certificate(item) if isinstance(item, Prompt) else _message(item) for item in payload.items]
    data = {
        "team": {"id": payload.team.pk, "name": payload.team.name},
        "items": items,
        "more": payload.more,
        "url": _absolute("/replace/"),
    }
    return {"type": payload.type, "timestamp": payload.at.isoformat(), "data": data}


def _certificate(prompt: Prompt) -> dict[str, Any]:
    certificate = prompt.certificate
    return {
        "kind": "certificate",
        "headline": prompt.headline,
        "stage": prompt.stage,
        "certificate": {"id": certificate.pk, "name": certificate.name, "url": _absolute(prompt.url)},
        "store": {"id": certificate.store_id, "name": certificate.store.name, "kind": certificate.store.kind},
        "fails_at": prompt.ends_at.isoformat(),
        "because": {"text": prompt.reason, "certificate": prompt.ends_name},
        "also": [{"fails_at": one.ends_at.isoformat(), "certificate": one.ends_name} for one in prompt.also],
        "used_by": [
            {"kind": use.kind, "name": use.title, "url": _absolute(use.url)}
            for use in prompt.uses[:MOST_USES]
        ],
        "used_by_count": len(prompt.uses),
        "issuer": prompt.issuer,
        "renewal": prompt.renewal,
        "action": "replace" if prompt.uses else "delete",
        "action_url": _action_url(prompt),
    }


def _message(message: Message) -> dict[str, Any]:
    return {
        "kind": "message",
        "headline": message.headline,
        "stage": message.stage,
        "text": message.text,
        "url": _absolute(message.url),
    }


def _text(payload: Payload) -> dict[str, Any]:
    """Slack, Mattermost, Google Chat and Rocket.Chat agree on this, and that a bare address becomes a link."""
    told, left = _told(payload)
    parts = ["\n".join((_bold(lines[0]), *lines[1:])) for lines in told]
    return {"text": "\n\n".join([*parts, *_rest(left)])}


def _bold(line: str) -> str:
    """Where it holds no asterisk itself, as names with a wildcard do."""
    return line if "*" in line else f"*{line}*"


def _card(payload: Payload) -> dict[str, Any]:
    """An adaptive card, as the workflows of Microsoft Teams take it."""
    told, left = _told(payload)
    blocks = [block for lines in told for block in _blocks(lines)]
    blocks += [_block(line) for line in _rest(left)]
    actions = [{"type": "Action.OpenUrl", "title": "Open Storekeeper", "url": _absolute("/replace/")}]
    content = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": blocks,
        "actions": actions,
    }
    card = "application/vnd.microsoft.card.adaptive"
    return {"type": "message", "attachments": [{"contentType": card, "contentUrl": None, "content": content}]}


def _blocks(lines: Sequence[str]) -> Iterator[dict[str, Any]]:
    yield _block(lines[0]) | {"weight": "Bolder", "separator": True}
    yield from (_block(line) | {"spacing": "None"} for line in lines[1:])


def _block(text: str) -> dict[str, Any]:
    return {"type": "TextBlock", "text": text, "wrap": True}


def _told(payload: Payload) -> tuple[list[list[str]], int]:
    """The lines of as many items as a chat takes, and how many are left out; one is always told."""
    told: list[list[str]] = []
    room = LONGEST_CHAT
    for item in payload.items[:MOST_IN_CHAT]:
        lines = [_short(line) for line in _lines(item)]
        room -= sum(map(len, lines)) + len(lines)
        if told and room < 0:
            break
        told.append(lines)
    return told, len(payload.items) - len(told) + payload.more


def _lines(item: Item) -> Iterator[str]:
    """The first one is the headline. Addresses stand alone, so that nothing is drawn into them."""
    yield _harmless(item.headline)
    if isinstance(item, Message):
        yield _harmless(item.text)
        yield _harmless(f"Team {item.team.name}.")
        yield _absolute(item.url)
        return
    certificate = item.certificate
    where = f"In {certificate.store.name}, team {certificate.team.name}."
    yield _harmless(f"{local(item.ends_at, None)}, {item.reason}. {where}")
    yield _harmless(
        f"Used by {_names(item)}." if item.uses else "Nothing uses it. Delete it, and nobody is told again."
    )
    yield from (_harmless(f"{one.aside}.") for one in item.also[:3])
    if item.renewal:
        yield _harmless(f"How to renew here: {item.renewal}")
    yield _action_url(item)


def _action_url(prompt: Prompt) -> str:
    """Straight to what is to be done: what nothing uses is deleted rather than replaced."""
    return _absolute(prompt.replace_url if prompt.uses else prompt.url)


def _names(prompt: Prompt) -> str:
    names = [use.title for use in prompt.uses[:3]]
    others = len(prompt.uses) - len(names)
    return ", ".join(names) + (f" and {others:,} more" if others else "")


def _rest(left: int) -> list[str]:
    return [f"{left:,} more: {_absolute('/replace/')}"] if left else []


def _short(line: str) -> str:
    return line if len(line) <= LONGEST_PART else f"{line[: LONGEST_PART - 1]}…"


def _harmless(text: str) -> str:
    """Names from outside call nobody, and draw no link: as "@channel", "<!here>" or "[here](https://...)" would."""
    plain = visible(" ".join(text.split())).translate(_LOOKALIKES)
    return _CALLS.sub(_AT, plain.replace("](", "] ("))


def _absolute(path: str) -> str:
    return f"{settings.STOREKEEPER_URL}{path}"


_FORMATS: Mapping[str, Callable[[Payload], dict[str, Any]]] = {
    Webhook.Format.STANDARD: _standard,
    Webhook.Format.TEXT: _text,
    Webhook.Format.CARD: _card,
}
