"""The subject of a digest: it names the most urgent group, and counts all of it, shown or not."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from portal.templatetags.portal_tags import visible
from stores.expiry import Stage
from stores.notices.digest import Digest, Row
from stores.notices.items import farthest
from stores.prompts import Prompt

MOST_NAMES = 3
MOST_OF_A_NAME = 40
OVER = "over"
DAY = dt.timedelta(days=1)


@dataclass
class _End:
    """When a certificate of the digest ends first, and the farthest of its stages."""

    at: dt.datetime
    stage: Stage

    def group(self, now: dt.datetime) -> str:
        return OVER if self.at <= now else self.stage


def subject_of(digest: Digest) -> str:
    """As "3 certificates fail within 7 days: orders-client, billing-client, ledger-client, and 2 more"."""
    first, ends = digest.items[0], _ends(digest.rows)
    count = len(digest.items) + digest.more
    if not isinstance(first, Prompt):
        return _folded(f"{first.headline}{_more(count - 1)}")
    group = _group_of(first, digest.now)
    mine = [end for end in ends.values() if end.group(digest.now) == group]
    only_ends = len(ends) == count
    more = _more(count - len(mine), " end soon" if group == OVER and only_ends else "")
    if len(mine) == 1:
        return _folded(f"{first.headline}{more}")
    shown = [one for one in digest.ends if _group_of(one, digest.now) == group]
    what = f"{len(mine):,} certificates {_verb(shown, mine, digest.now)}"
    return _folded(f"{what}: {_names(shown, len(mine))}{more}")


def _ends(rows: Iterable[Row]) -> dict[str, _End]:
    """Of each certificate, by its id."""
    found: dict[str, _End] = {}
    for row in rows:
        if row.certificate and row.stage and row.ends_at:
            end = found.setdefault(row.certificate, _End(row.ends_at, Stage(row.stage)))
            end.at, end.stage = min(end.at, row.ends_at), max(end.stage, Stage(row.stage))
    return found


def _group_of(prompt: Prompt, now: dt.datetime) -> str:
    return OVER if prompt.ends_at <= now else farthest(prompt)


def _verb(shown: Iterable[Prompt], mine: Collection[_End], now: dt.datetime) -> str:
    """A chain fails with its first end; a bundle goes on with one certificate less."""
    ends = any(prompt.part == "bundle" for prompt in shown)
    farthest_end = max(end.at for end in mine)
    if farthest_end <= now:
        return "have ended" if ends else "have failed"
    days = math.ceil((farthest_end - now) / DAY)
    return f"{'end' if ends else 'fail'} within {f'{days:,} days' if days > 1 else 'a day'}"


def _names(shown: Sequence[Prompt], count: int) -> str:
    names = [_cut(visible(prompt.certificate.name)) for prompt in shown[:MOST_NAMES]]
    return ", ".join([*names, "..."] if count > len(names) else names)


def _cut(name: str) -> str:
    return name if len(name) <= MOST_OF_A_NAME else f"{name[: MOST_OF_A_NAME - 3]}..."


def _more(count: int, what: str = "") -> str:
    if what and count == 1:
        what = " ends soon"
    return f", and {count:,} more{what}" if count > 0 else ""


def _folded(text: str) -> str:
    """On one line."""
    return " ".join(text.split())
