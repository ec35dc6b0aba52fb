"""What one message says: of any number of notices the most urgent ones in words, of the rest only how many."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from django.db.models import QuerySet

from portal.models import User
from stores.models import Notice, Webhook
from stores.notices.items import Item, group_of, items_of, most_urgent_first
from stores.prompts import Prompt, explained_notices

MOST_SHOWN = 50


class Row(NamedTuple):
    """What is read of every notice, be they ten thousand."""

    pk: str
    user_id: int | None
    team_id: str
    flag_id: int | None
    stage: str | None
    ends_at: dt.datetime | None
    certificate: str | None
    severity: str

    @property
    def rank(self) -> tuple[int, str, str]:
        """What is told first sorts first."""
        return (
            group_of(self.stage or self.severity),
            self.ends_at.isoformat() if self.ends_at else "",
            self.pk,
        )

    @property
    def thing(self) -> str:
        """What it is about: one certificate, however many of its ends are told, or something else."""
        return self.certificate or self.pk


def rows_of(notices: QuerySet[Notice]) -> list[Row]:
    """Of each notice what every message needs, in one lean query."""
    names = (
        "pk",
        "user_id",
        "team_id",
        "flag_id",
        "flag__stage",
        "flag__ends_at",
        "flag__version__certificate_id",
        "severity",
    )
    return [Row(*values) for values in notices.order_by("pk").values_list(*names)]


@dataclass(frozen=True)
class Digest:
    """One message for one recipient."""

    channel: str
    recipient: str
    rows: Sequence[Row]
    """All that it tells; not empty."""
    items: Sequence[Item]
    """The most urgent, at most `MOST_SHOWN`."""
    more: int
    """How many certificates and other things are left out."""
    user: User | None
    webhook: Webhook | None
    now: dt.datetime

    @property
    def message_id(self) -> str:
        """The same for the same notices, so that a message sent twice after a crash is recognised as one."""
        return message_id_of(row.pk for row in self.rows)

    @property
    def ends(self) -> list[Prompt]:
        """The ends of certificates among the items."""
        return [item for item in self.items if isinstance(item, Prompt)]


def message_id_of(ids: Iterable[str]) -> str:
    """The id of the message that tells these notices."""
    return f"notices-{hashlib.sha256(' '.join(sorted(ids)).encode()).hexdigest()[:32]}"


def digest_of(rows: Sequence[Row], now: dt.datetime) -> Digest:
    """The message of these notices, all of one recipient and channel. Its size and its queries do not grow with their number."""
    chosen = _most_urgent(rows)
    found = list(explained_notices(Notice.objects.filter(pk__in=[row.pk for row in chosen])))
    items = most_urgent_first(items_of(found, now, with_notes=True))[:MOST_SHOWN]
    first = found[0]
    return Digest(
        first.channel, first.recipient, rows, items, _things(rows) - len(items), first.user, first.webhook, now
    )  # fmt: skip


def _most_urgent(rows: Sequence[Row]) -> list[Row]:
    """The rows of as many certificates and other things as are shown."""
    things: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: row.rank):
        if row.thing in things or len(things) < MOST_SHOWN:
            things.setdefault(row.thing, []).append(row)
    return [row for some in things.values() for row in some]


def _things(rows: Iterable[Row]) -> int:
    return len({row.thing for row in rows})
