"""Rehearsals: a version is tried against every provider that uses it before it becomes active."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from providers.models import ConnectionReport

if TYPE_CHECKING:
    from providers.connection import Report


def after(report: ConnectionReport, parsed: Report | None, now: dt.datetime) -> None:
    """When the report belongs to a rehearsal and was its last: finishes it. `parsed` is None for a test that never ran to its end."""
