"""Certificates of others that end and that only they can replace: of the servers of providers, as last seen.

`providers` announces itself here, since imports point the other way. They stand beside the team's own wherever ends are told.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Protocol

from portal.models import Team, User
from portal.templatetags.portal_tags import in_words, visible


@dataclass(frozen=True)
class TheirEnd:
    """A certificate in the chain of a provider's server and when it ends, as seen at `now`; told as a `Prompt` is."""

    label: str
    """Of the provider."""
    url: str
    share_url: str
    """Where its people are told what to do."""
    stage: str
    ends_at: dt.datetime
    ends_name: str
    """Empty for those who may not see addresses: it is the server's name more often than not."""
    owner: User | None
    """Who asks its people; None: the team's owners."""
    now: dt.datetime

    @property
    def ended(self) -> bool:
        return self.ends_at <= self.now

    @property
    def headline(self) -> str:
        """As "Orders API fails in 6 days"."""
        words = in_words(self.ends_at, self.now)
        if words == "never":
            return f"{visible(self.label)} does not fail"
        return f"{visible(self.label)} {'failed' if self.ended else 'fails'} {words}"

    @property
    def reason(self) -> str:
        """Goes on after the instant."""
        return f"because its {self.because} {'ended' if self.ended else 'ends'}"

    @property
    def because(self) -> str:
        """The same in a table's cell."""
        return f"server's own certificate {visible(self.ends_name)}".rstrip()


class Finder(Protocol):
    """Finds the first `most` of the team, by their ends."""

    def __call__(
        self, team: Team, now: dt.datetime, most: int, *, near: bool, owner: User | None, addresses: bool
    ) -> list[TheirEnd]: ...


_finders: list[Finder] = []


def announce(finder: Finder) -> None:
    """Called once by each app that sees certificates of others."""
    if finder not in _finders:
        _finders.append(finder)


def their_ends(
    team: Team,
    now: dt.datetime,
    most: int,
    *,
    near: bool = False,
    owner: User | None = None,
    addresses: bool,
) -> list[TheirEnd]:
    """The first `most` ends of the team's partners; with `near` only those that have come into a stage, with `owner` only his.

    `addresses`: whether whoever reads it may see host names.
    """
    found = [
        end
        for finder in _finders
        for end in finder(team, now, most, near=near, owner=owner, addresses=addresses)
    ]
    return sorted(found, key=lambda end: (end.ends_at, end.label))[:most]
