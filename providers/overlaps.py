"""Overlapping trust: old and new are trusted until every provider was seen with a chain that the new one verifies."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from providers.models import ConnectionReport

if TYPE_CHECKING:
    from providers.connection import Report


def after(report: ConnectionReport, parsed: Report | None, now: dt.datetime) -> None:
    """Notes the provider as proven when the new version alone verifies the chain that was seen. `parsed` is None for a test that never ran to its end."""
