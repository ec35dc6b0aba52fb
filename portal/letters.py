"""Mails to one person: plain text, and the same in the look of the portal."""

from __future__ import annotations

import logging

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from django.template.loader import render_to_string

log = logging.getLogger("storekeeper")


def send_on_commit(subject: str, text: str, recipient: str) -> None:
    """Mails once the present transaction is committed; what the mail server refuses is logged, for nothing hangs on it.

    Empty lines divide paragraphs; an address that is a paragraph of its own becomes a button.
    """
    message = EmailMultiAlternatives(subject, text, to=[recipient])
    dress(message)
    transaction.on_commit(lambda: _send(message))


def _send(message: EmailMultiAlternatives) -> None:
    try:
        message.send()
    except OSError as error:
        log.warning("mail “%s” was not sent: %s", message.subject, type(error).__name__)


def dress(message: EmailMultiAlternatives) -> None:
    """Adds the text of a mail once more as HTML."""
    paragraphs = [part.strip() for part in str(message.body).split("\n\n") if part.strip()]
    context = {"subject": message.subject, "paragraphs": paragraphs, "portal": settings.STOREKEEPER_URL}
    message.attach_alternative(render_to_string("emails/letter.html", context), "text/html")
