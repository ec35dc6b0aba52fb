"""Time, queries and octets of the pages that grow with the number of certificates."""

from __future__ import annotations

from typing import Any

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from portal.models import Team, User
from stores.models import Certificate
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
