"""Short random identifiers for addresses: no counters, no look-alikes."""

from __future__ import annotations

import secrets

ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
LENGTH = 12
"""59 bits: a guess among a million rows hits once in 10^11 tries."""


def random_id() -> str:
    """A new identifier, safe in an address, a file name and a mail."""
    return "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
