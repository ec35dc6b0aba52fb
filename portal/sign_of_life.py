"""The dead man's signal: a request to somebody else after each good run of the watch, who raises the alarm when none comes.

Most such addresses are secrets, so no more of it than the host is ever said.
"""

from __future__ import annotations

import datetime as dt
import logging
import time

from django.conf import settings

from portal.models import TaskRun
from portal.outbound import OutboundError, Policy
from portal.posting import Url, post
from portal.runs import SIGNAL

log = logging.getLogger("storekeeper")


def give(now: dt.datetime) -> None:
    """Sends the signal where one is set, and remembers how that went. It fails for nobody; the log has each change once."""
    if not settings.STOREKEEPER_PING_URL:
        return
    before = failure_of(TaskRun.objects.filter(task=SIGNAL).first())
    begun = time.monotonic()
    failure = _send(settings.STOREKEEPER_PING_URL)
    seconds = time.monotonic() - begun
    what = {"started_at": now, "seconds": seconds, "facts": {"failure": failure}}
    if not failure:
        what["finished_at"] = now + dt.timedelta(seconds=seconds)
    TaskRun.objects.update_or_create(task=SIGNAL, defaults=what)
    if failure and failure != before:
        log.warning("the signal could not be sent: %s", failure)
    elif before and not failure:
        log.info("the signal is sent again")


def failure_of(run: TaskRun | None) -> str:
    """Why the last signal could not be sent, as a sentence; empty when it was, and before the first."""
    return str(run.facts.get("failure", "")) if run else ""


def _send(url: str) -> str:
    """Why it did not arrive; empty when it did."""
    try:
        answer = post(url, None, {}, Policy.from_settings(), method="GET")
    except OutboundError as error:
        return error.sentence
    return "" if answer.arrived else f"{Url.read(url).origin} answered with status {answer.status}."
