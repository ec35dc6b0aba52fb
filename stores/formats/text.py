"""Texts from files, made harmless before anybody sees them: what cannot be seen is written out, what is too long is cut."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

SHOWN = 200
"""Characters of one name in a sentence; RFC 5280 allows 64 in most places."""
_MARKS = 4
"""Combining characters in a row; more only pile up over other lines."""


def visible(text: str, most: int = SHOWN) -> str:
    """`text` with control, bidirectional, invisible and unassigned characters as escapes (\\u202e), at most `most` long.

    What is left may stand on a page, in a log and on a terminal; escaping for HTML is for the page to do.
    """
    shown = text if text.isascii() and text.isprintable() else _escaped(text[: most + 1])
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def _escaped(text: str) -> str:
    found, marks = [], 0
    for character in text:
        category = unicodedata.category(character)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if marks <= _MARKS:
            found.append(_escape(character) if category[0] == "C" or category in ("Zl", "Zp") else character)
    return "".join(found)


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def listed(items: Sequence[str], most: int = 10) -> str:
    """Some names for a sentence: "a, b and c", or the first ones "and 7 more"."""
    if len(items) > most:
        return f"{', '.join(items[:most])} and {len(items) - most} more"
    return " and ".join([", ".join(items[:-1]), items[-1]]) if len(items) > 1 else "".join(items)


def file_name(name: str) -> str:
    """A file by its name, without the folders before it, safe to show."""
    return visible(name.replace("\\", "/").rpartition("/")[2].strip()) or "the file"


def shortened(sentence: str, most: int) -> str:
    """A sentence of ours, at most `most` characters long."""
    return sentence if len(sentence) <= most else sentence[: most - 1] + "…"
