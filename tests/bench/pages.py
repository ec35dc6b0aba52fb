"""Time, queries and octets of the pages that grow with the number of certificates, and of the expiry scan."""

from __future__ import annotations

import time
from typing import Any

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from portal.models import Team, User
from stores import watch
from stores.models import Certificate, Flag
from tests.bench.populate import make_due
from tests.bench.uploads import median

RUNS = 10


def measure_pages(team: Team, user: User) -> dict[str, Any]:
    """The list, its search and one certificate's page."""
    client = Client()
    client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    middle = Certificate.objects.filter(team=team).order_by("fails_at")[0]
    addresses = {
        "dashboard": "/",
        "list": "/certificates/",
        "list, search": "/certificates/?q=client+000777",
        "certificate": f"/certificates/{middle.pk}/",
    }
    return {name: _page(client, address) for name, address in addresses.items()}


def _page(client: Client, address: str) -> dict[str, Any]:
    client.get(address, headers={"host": "localhost"})
    with CaptureQueriesContext(connection) as queries:
        answer = client.get(address, headers={"host": "localhost"})
    asked = len(queries)  # the next request empties the log
    assert answer.status_code == 200, (address, answer.status_code)
    seconds = median(lambda: client.get(address, headers={"host": "localhost"}), RUNS)
    return {"seconds": round(seconds, 5), "queries": asked, "bytes": len(answer.content)}


def measure_scan(due: int) -> dict[str, Any]:
    """The scan with nothing due (median of many), then once with `due` versions due."""
    idle = median(lambda: watch.find_due(timezone.now()), 50)
    make_due(due, timezone.now())
    before, start = Flag.objects.count(), time.perf_counter()
    watch.find_due(timezone.now())
    seconds = time.perf_counter() - start
    return {
        "none_due_s": round(idle, 6),
        "due": due,
        "due_s": round(seconds, 4),
        "flags": Flag.objects.count() - before,
        "idle_again_s": round(median(lambda: watch.find_due(timezone.now()), 50), 6),
    }
