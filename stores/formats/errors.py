"""Why a file could not be read."""

from __future__ import annotations

import re

_OPENING = re.compile(r"^(?:an?|the|certificate|private) ")
"""Words of ours that a sentence may begin with; a file's name stays as it is."""


class ReadingError(Exception):
    """A file that cannot be read; nothing of it can be stored.

    `code` is one of the reading errors of `CODES`, `sentence` says what is wrong, in which file, and what to do.
    `field` is the form field it belongs to: `file`, `key_file`, `password` or `alias`. `command` makes the file right
    from a shell, where there is such a command; FILE in it stands for the file.
    The sentence never holds a password, a key or the content of the file.
    """

    def __init__(self, code: str, sentence: str, field: str = "file", command: str = "") -> None:
        if code not in CODES:
            raise ValueError(f"unknown reading code {code}")
        super().__init__(sentence)
        self.code = code
        self.sentence = _OPENING.sub(lambda word: word[0].capitalize(), sentence)
        self.field = field
        self.command = command


CODES = (
    "empty_file",
    "too_large",
    "unsupported_format",
    "malformed",
    "restricted_password",
    "password_required",
    "wrong_password",
    "too_costly",
    "descriptor_missing",
    "descriptor_invalid",
    "descriptor_file_missing",
    "jar_signature_invalid",
    "jar_unsafe",
    "format_not_for_store",
)
"""Codes of reading errors. Stable: texts may improve, codes may not change."""
