"""Alerts: a provider that passed before an activation and fails since."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from providers.models import ConnectionReport

if TYPE_CHECKING:
    from providers.connection import Report


def after(report: ConnectionReport, parsed: Report | None, now: dt.datetime) -> None:
    """After an activation: opens an alert where the provider fails now, and closes one where it passes again. `parsed` is None for a test that never ran to its end."""
