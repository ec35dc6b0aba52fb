"""A real SMTP server for tests: keeps what it takes, answers what it is told to answer, and breaks as it is told to break."""

from __future__ import annotations

import asyncio
from asyncio import Server
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session


class Mailbox:
    """What arrived. `answers` gives the reply to RCPT TO for an address; `data_answer` the reply to every message; `port` is
    where the server listens once it runs.

    To the addresses in `hangs` nothing is answered at all; from those in `drops` the connection is cut in the middle of the message;
    a message to those in `forgets` is taken, and the connection is cut before that is said.
    """

    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []
        self.raw: list[bytes] = []
        self.recipients: list[str] = []
        self.answers: dict[str, str] = {}
        self.data_answer = "250 Taken"
        self.hangs: set[str] = set()
        self.drops: set[str] = set()
        self.forgets: set[str] = set()
        self.most: int | None = None
        """After so many messages the server goes away: it answers nobody any more. None: never."""
        self.port = 0

    @property
    def is_away(self) -> bool:
        return self.most is not None and len(self.messages) >= self.most

    async def handle_EHLO(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        if self.is_away:
            _cut(server)
        return responses

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any
    ) -> str:
        if address in self.hangs:
            await asyncio.sleep(3600)
        answer = self.answers.get(address, "250 OK")
        if answer.startswith("2"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.data_answer.startswith("2"):
            content = envelope.content if isinstance(envelope.content, bytes) else b""
            self.raw.append(content)
            self.messages.append(message_from_bytes(content, policy=policy.default))
            self.recipients += envelope.rcpt_tos
        if self.forgets & set(envelope.rcpt_tos):
            _cut(server)
        return self.data_answer


def _cut(server: SMTP) -> None:
    """Resets the connection, without a word."""
    transport = server.transport
    assert isinstance(transport, asyncio.Transport)
    transport.abort()


class Breaking(SMTP):
    """Cuts the connection once it has said that the message may come."""

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        box = self.event_handler
        if isinstance(box, Mailbox) and self.envelope and box.drops & set(self.envelope.rcpt_tos):
            await self.push("354 End data with <CR><LF>.<CR><LF>")
            _cut(self)
            return
        await super().smtp_DATA(arg)


class MailServer(Controller):
    """Listens on a free port of this machine."""

    def __init__(self, mailbox: Mailbox) -> None:
        super().__init__(mailbox, hostname="127.0.0.1", port=0)

    def factory(self) -> SMTP:
        return Breaking(self.handler, **self.SMTP_kwargs)

    def _trigger_server(self) -> None:
        """Called once it listens: from here on `port` is the one that it got."""
        assert isinstance(self.server, Server)
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]
