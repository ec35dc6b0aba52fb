"""How the watch stands, over all teams: what is due, what is not told yet. For monitoring and the dashboard; never slow, never secret."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Min

from stores.models import Notice, Version

UNSENT = (Notice.State.WAITING, Notice.State.SENDING, Notice.State.FAILED)


@dataclass(frozen=True)
class Standing:
    """As seen at `now`."""

    now: dt.datetime
    next_due: dt.datetime | None
    """When the watch has something to flag again; in the past while it has not come to it."""
    notices: dict[str, int]
    """State to how many are not sent."""
    oldest: dt.datetime | None
    """When the oldest notice was queued that waits still."""
    late_since: dt.datetime | None
    """Since when the notice that is longest due should have gone."""

    @property
    def waiting(self) -> int:
        return self.notices[Notice.State.WAITING] + self.notices[Notice.State.SENDING]

    @property
    def lag(self) -> float:
        """Seconds since the version that is longest overdue came into a stage; 0 while nothing is due."""
        return _since(self.next_due, self.now)

    @property
    def oldest_age(self) -> float:
        """Seconds that the oldest waiting notice has been queued. Quiet hours and retries are counted in."""
        return _since(self.oldest, self.now)

    @property
    def lateness(self) -> float:
        """Seconds that a notice is late; what waits for the end of quiet hours, or for its next attempt, is not."""
        return _since(self.late_since, self.now)


def standing(now: dt.datetime) -> Standing:
    """Two queries, both read from small partial indexes."""
    rows = Notice.objects.filter(state__in=UNSENT).order_by().values_list("state")
    counted = {
        state: (count, oldest, due)
        for state, count, oldest, due in rows.annotate(
            count=Count("pk"), oldest=Min("created_at"), due=Min("due_at")
        )
    }
    waits = [counted[state] for state in UNSENT[:2] if state in counted]
    return Standing(
        now,
        next_due(),
        {state.value: counted[state][0] if state in counted else 0 for state in UNSENT},
        min((oldest for _, oldest, _ in waits), default=None),
        min((due for _, _, due in waits), default=None),
    )


def next_due() -> dt.datetime | None:
    """When the watch has something to flag again, in any team."""
    due = Version.objects.current().filter(next_stage_at__isnull=False).order_by("next_stage_at", "pk")
    return due.values_list("next_stage_at", flat=True).first()


def figures(now: dt.datetime) -> dict[str, Any]:
    """What `/health/ready` says beside whether the tasks run."""
    stands = standing(now)
    return {
        "lag_seconds": stands.lag,
        "next_due": stands.next_due.isoformat() if stands.next_due else None,
        "notices_waiting": stands.waiting,
        "notices_failed": stands.notices[Notice.State.FAILED],
        "oldest_notice_seconds": stands.oldest_age,
    }


def _since(instant: dt.datetime | None, now: dt.datetime) -> float:
    return max((now - instant).total_seconds(), 0.0) if instant else 0.0
