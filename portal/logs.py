"""What the log says of failures that no change of the code would mend: one line, without a trace."""

from __future__ import annotations

import logging
import re
import sqlite3

from django.conf import settings
from django.core.exceptions import BadRequest, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import UnreadablePostError
from django.http.multipartparser import MultiPartParserError

REFUSED = (BadRequest, SuspiciousOperation, UnreadablePostError, MultiPartParserError)
"""What was sent is at fault, or whoever sent it has gone."""

SECRET_PATHS = re.compile(r"((?:(?<!/notices)/(?:share|feeds|accounts/once)|/notices/unsubscribe)/)[^/\s?]+")
"""Addresses whose next part opens something by itself."""


def database_is_away(error: BaseException | None) -> bool:
    """Whether an error comes from a database, or from Redis, that cannot be reached, is full or is busy.

    A wrong statement, which SQLite calls operational too, is a fault of ours.
    """
    away = _away()
    while error is not None and not isinstance(error, away):
        error = error.__cause__ or error.__context__
    return error is not None and getattr(error.__cause__, "sqlite_errorcode", None) != sqlite3.SQLITE_ERROR


def _away() -> tuple[type[Exception], ...]:
    if not settings.REDIS_URL:
        return (OperationalError, InterfaceError)
    from redis import exceptions

    return (OperationalError, InterfaceError, exceptions.ConnectionError, exceptions.TimeoutError)


class Brief(logging.Filter):
    """Takes the trace from such records, and leaves the kind of the failure."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, REFUSED) or database_is_away(error):
            record.msg, record.args = f"{record.getMessage()} ({type(error).__name__})", ()
            record.exc_info = record.exc_text = None
        return True


class Discreet(logging.Filter):
    """Takes secrets out of addresses: whoever reads the log must not be able to open what they open."""

    def filter(self, record: logging.LogRecord) -> bool:
        said = record.getMessage()
        if (discreet := SECRET_PATHS.sub(r"\1…", said)) != said:
            record.msg, record.args = discreet, ()
        return True
