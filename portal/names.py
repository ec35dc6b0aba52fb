"""When two names are the same: letter case ignored, for the letters of every script, whatever the database makes of them."""

from __future__ import annotations

import unicodedata


def fold(text: str) -> str:
    """What is compared, searched and sorted in place of a name: Unicode's canonical caseless form (Unicode Standard, D145).

    `Ärzte` and `ärzte` give the same, so do `straße` and `STRASSE`, and é as one character or two; the three letters i of Turkish
    stay three. It is at most three times as long as the name.
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())
