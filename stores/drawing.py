"""How the certificates of a version are drawn: their place in the chain, and how near its end each one is."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from stores import expiry
from stores.expiry import Policy

NO_END = 9999
"""The year of an end that never comes (RFC 5280, section 4.1.2.5)."""
MOST_CARDS = 8
"""More certificates than this are drawn as a table."""
SEEN_ROWS = 20
"""Rows of that table that are seen before it is unfolded."""
Kind = Literal["key", "trust"]


class Shown(expiry.Link, Protocol):
    """What is needed of a certificate to draw it, as parsed or as stored."""

    @property
    def is_ca(self) -> bool: ...


@dataclass(frozen=True)
class Link:
    """One certificate as it is drawn."""

    certificate: Shown
    role: str
    state: str
    """`valid`, the stage it is in, `staged` for one that is not valid yet, or "" where its end does not matter."""
    is_first: bool
    """It ends first, before another one whose end matters too."""
    has_begun: bool
    has_ended: bool

    @property
    def is_endless(self) -> bool:
        return self.certificate.not_after.year == NO_END


@dataclass(frozen=True)
class Drawing:
    """All certificates of a version: as cards, or as a table whose first rows are seen at once."""

    links: Sequence[Link]
    is_long: bool

    @property
    def seen(self) -> Sequence[Link]:
        return self.links[:SEEN_ROWS]

    @property
    def folded(self) -> Sequence[Link]:
        return self.links[SEEN_ROWS:]


def draw(chain: Sequence[Shown], kind: Kind, first_sha256: str, now: dt.datetime, policy: Policy) -> Drawing:
    """The drawing of `chain`, in its stored order; a long one is sorted by what ends first."""
    counted = {ending.position for ending in expiry.watched(chain, kind)}
    links = [
        Link(
            certificate=one,
            role=_role(one, position, kind),
            state=_state(one, now, policy) if position in counted else "",
            is_first=one.sha256 == first_sha256 and len(counted) > 1,
            has_begun=one.not_before <= now,
            has_ended=one.not_after <= now,
        )
        for position, one in enumerate(chain)
    ]
    if len(links) <= MOST_CARDS:
        return Drawing(links, is_long=False)
    return Drawing(sorted(links, key=lambda link: link.certificate.not_after), is_long=True)


def first_to_end(chain: Sequence[expiry.Link], kind: Kind, now: dt.datetime) -> str:
    """The sha256 of the certificate that ends first; "" for none."""
    ending = expiry.fails_at(expiry.watched(chain, kind), now)
    return ending.sha256 if ending else ""


def _role(one: Shown, position: int, kind: Kind) -> str:
    if kind == "trust":
        return ("root" if one.is_self_signed else "intermediate") if one.is_ca else "only this certificate"
    if position == 0:
        return "leaf, self-signed" if one.is_self_signed else "leaf"
    return "root" if one.is_self_signed else "intermediate"


def _state(one: Shown, now: dt.datetime, policy: Policy) -> str:
    if one.not_before > now:
        return "staged"
    return expiry.stage_at(one.not_before, one.not_after, now, policy) or "valid"
