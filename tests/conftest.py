"""What all tests share: folders to write to, an empty cache, a bucket where one is used; and no skip counts as success in CI."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.core.cache import cache
from django.core.management.commands import flush
from django.db import connection
from django.db.backends.base.operations import BaseDatabaseOperations

from portal.apps import GUARDS
from portal.triggers import statements
from tests.cast import cast, now
from tests.running import portal_environment

__all__ = ["cast", "now", "portal_environment"]


KEEPS_STATE = {"db", "transactional_db", "portal_environment", "s3"}
"""Fixtures by which a test comes to a database, a Redis or a bucket."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks as `stateless` what has no such fixture; the database is shut to it, so that it can break no such promise."""
    for item in items:
        names = getattr(item, "fixturenames", ())
        if not item.get_closest_marker("django_db") and KEEPS_STATE.isdisjoint(names):
            item.add_marker(pytest.mark.stateless)


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
def flush_by_rows() -> Iterator[None]:
    """After a test that commits, rows are deleted and nothing else is touched.

    Django's way makes every table and index of PostgreSQL anew on the disk, and repeats what follows a migration: seconds for each test.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(connection.ops), "sql_flush", _delete_rows)
        patch.setattr(flush, "emit_post_migrate_signal", lambda *args: None)
        yield


def _delete_rows(
    self: BaseDatabaseOperations, style: object, tables: list[str], **options: object
) -> list[str]:
    """The audit's triggers refuse it, so they are made again after it. Content types and permissions come from migrations alone."""
    kept = {ContentType._meta.db_table, Permission._meta.db_table}
    deletes = [f"DELETE FROM {self.quote_name(table)}" for table in tables if table not in kept]
    guards = [statement for guard in GUARDS for statement in statements(guard, connection)]
    drops = [statement for statement in guards if statement.startswith("DROP ")]
    return [*drops, *deletes, *guards]
