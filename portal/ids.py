"""Short random identifiers for addresses: no counters, no look-alikes; and the digests by which texts are found again."""

from __future__ import annotations

import hashlib
import secrets

ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
LENGTH = 12
"""59 bits: a guess among a million rows hits once in 10^11 tries."""
_PAIRS = [first + second for first in ALPHABET for second in ALPHABET]
"""Two letters at a time: identifiers are made by the hundred thousand."""


def random_id() -> str:
    """A new identifier, safe in an address, a file name and a mail."""
    number, pairs = secrets.randbits(128), []
    for _ in range(LENGTH // 2):
        number, place = divmod(number, len(_PAIRS))
        pairs.append(_PAIRS[place])
    return "".join(pairs)


def digest(text: str) -> str:
    """SHA-256 in hex: what is kept of a secret that is shown once, and of a name that has no bound. Any text has one."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
