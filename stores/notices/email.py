"""The channel e-mail: one message per recipient and run, in text and HTML."""

from __future__ import annotations

import smtplib
from types import SimpleNamespace
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.template.loader import render_to_string

from portal.templatetags.portal_tags import visible
from stores.notices.digest import Digest
from stores.notices.outcome import Failure


def send(digest: Digest) -> Failure | None:
    """Hands the message to the mail server; None when it was taken."""
    message = compose(digest)
    connection = get_connection()
    try:
        connection.open()
    except OSError as error:
        return judge(error)
    try:
        connection.send_messages([message])
    except OSError as error:
        failure = judge(error)
        return failure._replace(unsure=failure.server_lost)
    finally:
        connection.close()
    return None


def compose(digest: Digest) -> EmailMultiAlternatives:
    """The message that tells one recipient what a digest says."""
    subject = _subject(digest)
    context = {
        "subject": subject,
        "items": digest.items,
        "more": digest.more,
        "has_ends": bool(digest.ends),
        "portal": settings.STOREKEEPER_URL,
        # The tags that say dates look for the reader's zone where a page has it.
        "request": SimpleNamespace(user=digest.user),
    }
    message = EmailMultiAlternatives(
        subject=subject,
        body=render_to_string("emails/notices.txt", context),
        to=[digest.recipient],
        headers={"Message-ID": _message_id(digest), "Auto-Submitted": "auto-generated"},
    )
    message.attach_alternative(render_to_string("emails/notices.html", context), "text/html")
    return message


def _message_id(digest: Digest) -> str:
    """RFC 5322, section 3.6.4."""
    return f"<{digest.message_id}@{urlsplit(settings.STOREKEEPER_URL).hostname}>"


def _subject(digest: Digest) -> str:
    others = len(digest.items) + digest.more - 1
    more = f", and {others:,} more" if others else ""
    return " ".join(f"{digest.items[0].headline}{more}".split())


def judge(error: OSError) -> Failure:
    """Whether trying again makes sense: 4xx means later, 5xx never (RFC 5321, section 4.2.1); a lost server comes back."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, text = next(iter(error.recipients.values()))
        return _answered(code, text)
    if isinstance(error, smtplib.SMTPSenderRefused | smtplib.SMTPDataError):
        return _answered(error.smtp_code, error.smtp_error)
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return Failure(f"The mail server cannot take this message: {error}", again=False)
    if isinstance(error, smtplib.SMTPResponseException):
        # It refuses us, not the message: a password or a setting to be put right.
        sentence = _answered(error.smtp_code, error.smtp_error).sentence
        return Failure(sentence, again=True, server_lost=True)
    return Failure(f"The mail server cannot be reached: {visible(error)[:300]}", again=True, server_lost=True)


def _answered(code: int, text: bytes | str) -> Failure:
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return Failure(f"The mail server answered {code} {visible(words)[:300]}", again=code < 500)
