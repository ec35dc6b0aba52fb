"""A real SMTP server for tests: keeps what it takes, and answers what it is told to answer."""

from __future__ import annotations

from asyncio import Server
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session


class Mailbox:
    """What arrived. `answers` gives the reply to RCPT TO for an address; `data_answer` the reply to every message; `port` is
    where the server listens once it runs."""

    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.answers: dict[str, str] = {}
        self.data_answer = "250 Taken"
        self.port = 0

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any
    ) -> str:
        answer = self.answers.get(address, "250 OK")
        if answer.startswith("2"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.data_answer.startswith("2"):
            content = envelope.content if isinstance(envelope.content, bytes) else b""
            self.messages.append(message_from_bytes(content, policy=policy.default))
            self.recipients += envelope.rcpt_tos
        return self.data_answer


class MailServer(Controller):
    """Listens on a free port of this machine."""

    def __init__(self, mailbox: Mailbox) -> None:
        super().__init__(mailbox, hostname="127.0.0.1", port=0)

    def _trigger_server(self) -> None:
        """Called once it listens: from here on `port` is the one that it got."""
        assert isinstance(self.server, Server)
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]
