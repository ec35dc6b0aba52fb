"""The Celery application: `celery --app portal.celery worker` and `beat`."""

from __future__ import annotations

import os
import warnings
from typing import Any

from celery import Celery
from celery.platforms import SecurityWarning
from celery.signals import beat_init

from portal.env import settings_or_exit

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
settings_or_exit()
# In a container whoever runs this may well be root; our units and our image run as a user of their own.
warnings.filterwarnings("ignore", category=SecurityWarning)

app = Celery("storekeeper")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


AT_ONCE = ("find expiring", "deliver notices")


def watch_at_once(**kwargs: Any) -> None:
    """What must not be silent does not wait for its first interval to pass: a portal that was just started looks round at once."""
    for entry in (app.conf.beat_schedule[name] for name in AT_ONCE):
        app.send_task(entry["task"], expires=entry["options"]["expires"])


beat_init.connect(watch_at_once)
