"""How an attempt to send a message ended."""

from __future__ import annotations

from typing import NamedTuple


class Failure(NamedTuple):
    """Why a message was not sent, and whether trying again makes sense."""

    sentence: str
    again: bool
    server_lost: bool = False
    """No other message of this channel would be sent now either."""
