"""What follows from a connection test, in the transaction that writes its result."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from providers import alerts, drift, endings_seen, overlaps, proving, rehearsals
from providers.again import once_more
from providers.models import ConnectionReport
from providers.wording import EDITED_MEANWHILE

if TYPE_CHECKING:
    from providers.connection import Report


def after(report: ConnectionReport, parsed: Report | None, now: dt.datetime) -> None:
    """Tells all who wait for the report, unless it is asked for once more; `parsed` is None for a test that never ran to its end.

    Drift comes last: it makes a report that passed the provider's last good one, against which the others compare.
    """
    if parsed is None and once_more(report, now):
        return
    rehearsals.after(report, now)
    if report.code == EDITED_MEANWHILE:
        return
    alerts.after(report, now)
    overlaps.after(report, parsed, now)
    proving.after(report, now)
    endings_seen.after(report, parsed, now)
    drift.after(report, parsed, now)
