"""The channel e-mail: one message per recipient and run, in text and HTML."""

from __future__ import annotations

import smtplib
from types import SimpleNamespace
from typing import NamedTuple
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.template.loader import render_to_string

from portal.templatetags.portal_tags import visible
from stores.notices import unsubscribe
from stores.notices.digest import Digest
from stores.notices.items import Item, Summary
from stores.notices.outcome import Failure
from stores.notices.subject import subject_of
from stores.prompts import Prompt


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
    subject, way_out = subject_of(digest), unsubscribe.address_of(digest)
    context = {
        "subject": subject,
        "shown": _shown(digest),
        "more": f"{digest.more:,}" if digest.more > 0 else "",
        "has_ends": any(isinstance(item, Prompt | Summary) for item in digest.items),
        "has_account": digest.user is not None,
        "only_summaries": all(isinstance(item, Summary) for item in digest.items),
        "way_out": way_out,
        "portal": settings.STOREKEEPER_URL,
        # The tags that say dates look for the reader's zone where a page has it.
        "request": SimpleNamespace(user=digest.user),
    }
    headers = {
        "Message-ID": _message_id(digest),
        "Auto-Submitted": "auto-generated",
        "List-Unsubscribe": f"<{way_out}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }
    body = render_to_string("emails/notices.txt", context)
    message = EmailMultiAlternatives(subject=subject, body=body, to=[digest.recipient], headers=headers)
    message.attach_alternative(render_to_string("emails/notices.html", context), "text/html")
    return message


class Shown(NamedTuple):
    """One item as a mail shows it; what a team notes on an issuer is said at the first item that it belongs to."""

    item: Item
    renewal: str = ""
    as_above: str = ""
    """The name of the certificate above at which the same note stands."""


def _shown(digest: Digest) -> list[Shown]:
    said: dict[tuple[str, str], str] = {}
    found = []
    for item in digest.items:
        if not isinstance(item, Prompt) or not item.renewal:
            found.append(Shown(item))
            continue
        note = (item.certificate.team_id, item.issuer)
        first = said.get(note, "")
        found.append(Shown(item, "" if first else item.renewal, first))
        said.setdefault(note, visible(item.certificate.name))
    return found


def _message_id(digest: Digest) -> str:
    """RFC 5322, section 3.6.4."""
    return f"<{digest.message_id}@{urlsplit(settings.STOREKEEPER_URL).hostname}>"


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
