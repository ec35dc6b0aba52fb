"""How findings name things: certificates, instants, files. Texts are plain sentences for people who know no X.509."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence

from stores.formats.parsed import Certificate, Upload
from stores.formats.text import file_name, listed, visible

NAME_CHARACTERS = 80
LISTED = 8
"""Names that one sentence writes out; the rest is counted."""
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def quoted(name: str) -> str:
    """A name in quotation marks, short and visible."""
    return f"“{visible(name, NAME_CHARACTERS)}”"


def named(certificate: Certificate) -> str:
    """A certificate by the name that a person gives it."""
    return quoted(certificate.common_name)


def instant(moment: dt.datetime) -> str:
    """An instant in UTC, as "16 Dec 2026, 14:05 UTC"; the same in every locale."""
    moment = moment.astimezone(dt.UTC)
    return f"{moment.day} {_MONTHS[moment.month - 1]} {moment.year}, {moment:%H:%M} UTC"


def all_quoted(names: Iterable[str]) -> str:
    """Names in quotation marks as a list for a sentence; of many only the first, with the number of the rest."""
    return listed([quoted(name) for name in names], LISTED)


def counted(things: Sequence[object], one: str) -> str:
    """ "1 certificate", "3 certificates"."""
    return f"{len(things):,} {one}" if len(things) == 1 else f"{len(things):,} {one}s"


def files(upload: Upload) -> str:
    """The uploaded file, or both files, by name."""
    names = [upload.name] if upload.key_name is None else [upload.name, upload.key_name]
    return listed([file_name(name) for name in names])
