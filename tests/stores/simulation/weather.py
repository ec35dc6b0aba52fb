"""What goes wrong in a simulated year: nobody works, runs break in the middle, the mail server is away, refuses or lets go."""

from __future__ import annotations

import datetime as dt
import random
import re
import smtplib
from collections.abc import Sequence
from typing import Any

from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.db import OperationalError

from tests.stores.simulation.history import History, Mail

NAME = re.compile(r"\bc\d{4}\b")
MORE = re.compile(r"And ([\d,]+) more")


class Killed(BaseException):
    """The process is gone at this instant."""


class Spans:
    """Random times during which something is so."""

    def __init__(
        self, chance: random.Random, begin: dt.datetime, days: int, number: int, hours: tuple[float, float]
    ) -> None:
        starts = [begin + dt.timedelta(days=chance.uniform(2, days)) for _ in range(number)]
        self.spans = [(start, start + dt.timedelta(hours=chance.uniform(*hours))) for start in starts]

    def covers(self, at: dt.datetime) -> bool:
        return any(start <= at < end for start, end in self.spans)


class MailServer(BaseEmailBackend):
    """Stands in the place of SMTP: takes messages, or does what the weather says."""

    weather: Weather

    def open(self) -> bool | None:
        if self.weather.mail_down:
            raise ConnectionRefusedError(111, "Connection refused")
        return True

    def send_messages(self, messages: Sequence[EmailMessage]) -> int:
        for message in messages:
            [recipient] = message.to
            sent = message.message()
            part: Any = next(one for one in sent.walk() if one.get_content_type() == "text/plain")
            text = part.get_payload(decode=True).decode()
            more = MORE.search(text)
            number = int(more[1].replace(",", "")) if more else 0
            self.weather.take(recipient, str(sent["Message-ID"]), frozenset(NAME.findall(text)), number)
        return len(messages)


class Weather:
    """What is wrong now, and a record of every message that was taken all the same."""

    def __init__(self, chance: random.Random, history: History, begin: dt.datetime, days: int) -> None:
        self.chance, self.history = chance, history
        self.away = Spans(chance, begin, days, 10, (1, 100))
        """The worker, the broker or the database: nothing runs."""
        self.mail_away = Spans(chance, begin, days, 12, (0.5, 80))
        self.refusing = Spans(chance, begin, days, 15, (1, 30))
        self.last_bad_day = begin + dt.timedelta(days=days)
        self.now = begin
        self.mail_down = False
        self.refused: dict[str, int] = {}
        self.break_after: int | None = None
        """How many messages from now something breaks; None: nothing does."""
        self.broke = False

    def begin_delivery(self, now: dt.datetime, people: Sequence[str]) -> None:
        self.now, self.broke = now, False
        self.mail_down = self.mail_away.covers(now)
        if self.refusing.covers(now):
            if not self.refused:
                self.refused = {self.chance.choice(people): self.chance.choice((450, 450, 450, 550))}
        else:
            self.refused = {}
        is_bad = now < self.last_bad_day and self.chance.random() < 0.04
        self.break_after = self.chance.randint(0, 3) if is_bad else None

    def take(self, recipient: str, message_id: str, names: frozenset[str], more: int) -> None:
        """The mail server is handed a message; raises what the portal then sees."""
        breaks = self.break_after == 0
        if self.break_after is not None:
            self.break_after -= 1
        if breaks and self.chance.random() < 0.4:
            self._break(before=True)
        if code := self.refused.get(recipient):
            raise smtplib.SMTPRecipientsRefused({recipient: (code, b"not now")})
        self.history.mails.append(Mail(self.now, recipient, message_id, names, more, not breaks))
        if breaks:
            self._break(before=False)

    def _break(self, *, before: bool) -> None:
        self.broke = True
        self.history.counts["broken before sending" if before else "broken after sending"] += 1
        raise self.chance.choice(
            (
                Killed(),
                OperationalError("gone"),
                smtplib.SMTPServerDisconnected("Connection unexpectedly closed"),
            )
        )
