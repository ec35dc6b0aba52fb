"""How an attempt to send a message ended."""

from __future__ import annotations

from typing import NamedTuple


class Failure(NamedTuple):
    """Why a message was not sent, and whether trying again makes sense."""

    sentence: str
    again: bool
    server_lost: bool = False
    """No other message of this channel would be sent now either."""
    unsure: bool = False
    """It may have arrived all the same: what was sent together is sent again as it was, so that a repeat is known by its id."""
