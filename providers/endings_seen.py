"""The true end of a provider: what of its server's own chain ends, as last seen."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from providers.models import ConnectionReport

if TYPE_CHECKING:
    from providers.connection import Report


def after(report: ConnectionReport, parsed: Report | None, now: dt.datetime) -> None:
    """Remembers which certificate of the server's chain ends first, and the trust entry in which it ended. `parsed` is None for a test that never ran to its end."""
