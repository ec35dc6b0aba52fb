"""Several people at the same instant: threads with database connections of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import connections

Result = TypeVar("Result")


def together(*works: Callable[[], Result]) -> list[Result]:
    """Runs all at once and gives their results in order; the first exception of any is raised."""
    start = threading.Barrier(len(works))

    def run(work: Callable[[], Result]) -> Result:
        try:
            start.wait(10)
            return work()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, works))
