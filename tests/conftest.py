"""What all tests share: folders to write to, an empty cache, a bucket where one is used; and no skip counts as success in CI."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import connection

from tests.cast import cast, now
from tests.running import portal_environment

__all__ = ["cast", "now", "portal_environment"]


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """In CI a skipped test is a failed one: there, everything that tests need is at hand."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = (
            f"skipped in CI: {report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr}"
        )


@pytest.fixture(scope="session", autouse=True)
def folders() -> None:
    """The folders that the first run makes."""
    for folder in (settings.VAR, settings.BROKER / "queue", settings.BROKER / "control", settings.MAIL):
        folder.mkdir(parents=True, exist_ok=True)


@pytest.fixture(scope="session", autouse=True)
def bucket() -> None:
    """The bucket of the S3 server that the environment names."""
    if settings.S3_BUCKET:
        from django.core.files.storage import storages

        client = storages["sealed"].connection.meta.client  # type: ignore[attr-defined]
        place = {"LocationConstraint": client.meta.region_name}
        with contextlib.suppress(client.exceptions.BucketAlreadyOwnedByYou):
            client.create_bucket(Bucket=settings.S3_BUCKET, CreateBucketConfiguration=place)


@pytest.fixture(autouse=True)
def empty_cache(request: pytest.FixtureRequest) -> Iterator[None]:
    """Nothing that one test has cached is seen by the next; the database's cache goes with its transaction."""
    yield
    if settings.REDIS_URL:
        cache.clear()


@pytest.fixture(scope="session", autouse=True)
def flush_despite_triggers() -> Iterator[None]:
    """SQLite empties tables with DELETE, which the triggers refuse: it drops them first, post_migrate makes them again."""
    with pytest.MonkeyPatch.context() as patch:
        if connection.vendor == "sqlite":
            plain = type(connection.ops).sql_flush

            def sql_flush(self: object, style: object, tables: object, **options: object) -> list[str]:
                drops = [
                    f'DROP TRIGGER IF EXISTS "{name}"' for name in ("audit_no_update", "audit_no_delete")
                ]
                return drops + plain(self, style, tables, **options)  # type: ignore[arg-type]

            patch.setattr(type(connection.ops), "sql_flush", sql_flush)
        yield
