"""Lists as CSV (RFC 4180): streamed, and safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import datetime as dt
import re
from collections.abc import Iterable, Iterator, Sequence

from django.http import StreamingHttpResponse
from django.utils.http import content_disposition_header

from portal.templatetags.portal_tags import visible

FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""A cell that begins with one of these, the full-width forms included, is a formula to a spreadsheet."""
MARK = "\ufeff"
"""The byte-order mark tells spreadsheets that the text is UTF-8."""


class _Line:
    """A file for the writer, which hands each line on instead of keeping it."""

    def write(self, text: str) -> str:
        return text


def csv_response(name: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> StreamingHttpResponse:
    """A download called `name` (with its ending), written row by row while it is sent."""
    response = StreamingHttpResponse(lines(header, rows), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = attachment(name)
    return response


def attachment(name: str) -> str:
    """The header Content-Disposition of a download. Of `name` letters, digits, dots, dashes and underscores stay."""
    safe = re.sub(r"[^\w.-]+", "-", name).strip("-.") or "download"
    return content_disposition_header(as_attachment=True, filename=safe) or ""


def lines(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """The lines of the file, the header first."""
    writer = csv.writer(_Line())
    yield MARK + writer.writerow(header)
    for row in rows:
        yield writer.writerow([cell(value) for value in row])


def cell(value: object) -> str:
    """The text of one cell: instants in ISO 8601, nothing as nothing, control characters as escapes, formulas defused by an apostrophe."""
    if value is None:
        return ""
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    text = visible(value)
    return f"'{text}" if text.lstrip().startswith(FORMULA) else text
