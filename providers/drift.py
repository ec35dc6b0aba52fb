"""Drift: what changed at a provider's server since its last good report."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from providers.models import ConnectionReport

if TYPE_CHECKING:
    from providers.connection import Report


def after(report: ConnectionReport, parsed: Report | None, now: dt.datetime) -> None:
    """Records what differs from the last good report, and makes a report that passed the last good one. `parsed` is None for a test that never ran to its end."""
