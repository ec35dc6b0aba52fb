"""What notices say, in one shape for the inbox and the mails: of the end of a certificate, or of anything else."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from portal.models import Team
from portal.templatetags.portal_tags import visible
from stores.expiry import Stage
from stores.models import Notice
from stores.prompts import Prompt, one_each, prompts_of


@dataclass(frozen=True)
class Message:
    """What is no stage of a version, in the words that `tell` was given; read by templates as a `Prompt` is."""

    title: str
    text: str
    url: str
    team: Team
    stage = "info"

    @property
    def headline(self) -> str:
        return visible(self.title)


Item = Prompt | Message


def items_of(notices: Sequence[Notice], now: dt.datetime) -> list[Item]:
    """What each explained notice says, in their order."""
    prompts = iter(prompts_of([notice for notice in notices if notice.flag], now))
    return [next(prompts) if notice.flag else _message(notice) for notice in notices]


def _message(notice: Notice) -> Message:
    return Message(notice.title, notice.text, notice.url, notice.team)


def most_urgent_first(items: Iterable[Item]) -> list[Item]:
    """For one mail: what has ended or soon will, what else there is to tell, what ends later. One prompt per certificate."""
    items = list(items)
    prompts = one_each(item for item in items if isinstance(item, Prompt))
    soon = [prompt for prompt in prompts if Stage(prompt.stage) >= Stage.URGENT]
    later = [prompt for prompt in prompts if Stage(prompt.stage) < Stage.URGENT]
    return [*soon, *(item for item in items if isinstance(item, Message)), *later]
