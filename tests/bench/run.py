"""`make bench`: measures uploads, connection tests, pages and the expiry scan, and writes JSON.

Runs on a database of its own: a temporary folder, or an empty one named by DATABASE_URL.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("bench.json"))
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 100_000])
    parser.add_argument("--stored", type=int, nargs="+", default=[1_000, 100_000, 1_000_000])
    parser.add_argument("--due", type=int, default=100_000)
    parser.add_argument("--readers", type=int, default=10_000)
    parser.add_argument(
        "--scan-only", action="store_true", help="leave out uploads, connection tests and pages"
    )
    options = parser.parse_args()
    # Ended from outside, it ends the server and removes the folder all the same.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Ended before it was done."))
    folder = tempfile.mkdtemp(prefix="storekeeper-bench-")
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "STOREKEEPER_VAR": folder,
        "STOREKEEPER_KEYS": "bench:" + "A" * 43 + "=",
        "STOREKEEPER_LOG_LEVEL": "WARNING",
    }
    os.environ.setdefault("SECRET_KEY", "only for this measurement, on this machine, for this hour")
    try:
        results = measure(options)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    options.out.write_text(json.dumps(results, indent=2) + "\n")
    print(json.dumps(results, indent=2))


def measure(options: argparse.Namespace) -> dict[str, object]:
    """All figures; the order matters, since sizes grow."""
    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connection
    from django.utils import timezone

    from tests.bench import connections, pages, populate, scan, uploads

    call_command("migrate", verbosity=0)
    call_command("createcachetable", verbosity=0)
    (settings.BROKER / "queue").mkdir(parents=True)  # nobody reads it: what is measured is run here
    team = populate.bench_team()
    user = populate.owner_of(team)
    results: dict[str, object] = {
        "machine": {
            "python": platform.python_version(),
            "processors": os.cpu_count(),
            "database": connection.vendor,
            "load": _load(),
        }
    }
    results["scan, none due"] = scan.measure_idle(options.stored)
    results["scan, many due"] = scan.measure_due(options.due)
    results["digests"] = scan.measure_digests(options.readers, 3)
    if options.scan_only:
        return results
    results["uploads"] = uploads.measure(team, user)
    results["connection tests"] = connections.measure(team, user)
    for size in options.sizes:
        grown = populate.bench_team()
        keeper = populate.owner_of(grown)
        populate.populate(grown, size, timezone.now())
        results[f"pages with {size}"] = pages.measure_pages(grown, keeper)
    return results


def _load() -> list[float]:
    """Processes that wanted to run in the last 1, 5 and 15 minutes: above the number of processors, times say little."""
    return [round(value, 2) for value in os.getloadavg()]


if __name__ == "__main__":
    main()
