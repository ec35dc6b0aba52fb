"""What notices say, in one shape for the inbox and the mails: of the end of a certificate, or of anything else."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from portal.models import Team
from portal.templatetags.portal_tags import STATES, visible
from stores.expiry import Stage
from stores.models import Notice
from stores.notices import summary
from stores.notices.summary import Section
from stores.prompts import Prompt, one_each, prompts_of


@dataclass(frozen=True)
class Message:
    """What is no stage of a version, in the words that `tell` was given; read by templates as a `Prompt` is."""

    title: str
    text: str
    url: str
    team: Team
    stage: str = "info"

    @property
    def headline(self) -> str:
        return visible(self.title)

    @property
    def stage_words(self) -> str:
        """How grave it is, as the portal's pages say it."""
        return STATES[self.stage][1]


@dataclass(frozen=True)
class Summary(Message):
    """The weekly summary of a team, as it stands when it is sent."""

    sections: Sequence[Section] = ()

    @property
    def stage_words(self) -> str:
        return "Weekly summary"


Item = Prompt | Message


def items_of(notices: Sequence[Notice], now: dt.datetime, *, with_notes: bool = False) -> list[Item]:
    """What each explained notice says, in their order; `with_notes` what the teams have noted on issuers too."""
    prompts = iter(prompts_of([notice for notice in notices if notice.flag], now, with_notes=with_notes))
    return [next(prompts) if notice.flag else _message(notice, now) for notice in notices]


def _message(notice: Notice, now: dt.datetime) -> Message:
    if notice.key.startswith(summary.KEY):
        sections = summary.sections_of(notice.team, now)
        return Summary(summary.title_of(notice.team, sections), notice.text, notice.url, notice.team, sections=sections)  # fmt: skip
    return Message(notice.title, notice.text, notice.url, notice.team, notice.severity)


def most_urgent_first(items: Iterable[Item]) -> list[Item]:
    """For one message: what has ended or soon will, what else there is to tell, what ends later. One prompt per certificate."""
    items = list(items)
    prompts = one_each(item for item in items if isinstance(item, Prompt))
    messages = [item for item in items if isinstance(item, Message)]
    return sorted([*prompts, *messages], key=lambda item: group_of(farthest(item)))


def farthest(item: Item) -> str:
    """Of all that is said of one thing the gravest stage: a bundle can name a root that ends sooner and is less near to its end."""
    ends = (item, *item.also) if isinstance(item, Prompt) else ()
    return max((Stage(end.stage) for end in ends), default=item.stage)


def group_of(stage: str) -> int:
    """Where something of this stage stands in a message: 0 what has ended or soon will, 1 what else there is to tell, 2 what ends later."""
    if stage == "info":
        return 1
    return 0 if Stage(stage) >= Stage.URGENT else 2
