"""Mail that the embedded default writes to a folder, shown to administrators: there is no mail server to send it."""

from __future__ import annotations

import datetime as dt
import email
import email.policy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

MOST = 50
BETWEEN = b"-" * 79
"""What the mail backend writes between two messages of one file."""


@dataclass(frozen=True)
class KeptMail:
    """One message as text."""

    at: dt.datetime
    to: str
    subject: str
    text: str


def mail(request: HttpRequest) -> HttpResponse:
    """The latest mails; 404 where a server sends them."""
    if not settings.EMAIL_BACKEND.endswith("filebased.EmailBackend"):
        raise Http404
    context = admin.site.each_context(request) | {
        "title": "Mail",
        "mails": latest(Path(settings.EMAIL_FILE_PATH)),
    }
    return render(request, "admin/mail.html", context)


def latest(folder: Path) -> list[KeptMail]:
    """The latest messages in the folder, the last one first."""
    files = sorted(folder.glob("*.log"), reverse=True)[:MOST]
    return [kept for file in files for kept in reversed(list(_messages(file)))][:MOST]


def _messages(file: Path) -> Iterator[KeptMail]:
    at = dt.datetime.fromtimestamp(file.stat().st_mtime, dt.UTC)
    for part in file.read_bytes().split(BETWEEN):
        if part.strip():
            message = email.message_from_bytes(part.lstrip(), policy=email.policy.default)
            body = message.get_body(("plain",))
            yield KeptMail(
                at, str(message["To"]), str(message["Subject"]), body.get_content() if body else ""
            )
