"""What the portal depends on fails: one sentence, nothing half saved, and it goes on when the part is back."""

from __future__ import annotations

import datetime as dt
import errno
import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import OperationalError, close_old_connections, connection
from django.test import Client

from stores import housekeeping, originals, services
from stores.models import Certificate, Draft, Store, Version
from tests.cast import Cast, client_of, kept
from tests.material import NOW, mint
from tests.running import free_port
from tests.s3 import storage
from tests.stores.steps import NEW, ROOT, assert_whole, propose, save, saving

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("now")]
LATE = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
DOWN = "The portal cannot reach its file storage. Nothing was half saved"


@pytest.fixture
def browser(cast: Cast) -> Client:
    return client_of(cast.editor)


def form() -> dict[str, Any]:
    leaf = mint("orders", ROOT)
    files = {
        "file": SimpleUploadedFile("orders.pem", leaf.pem),
        "key_file": SimpleUploadedFile("orders.key", leaf.key_pem),
    }
    return {"kind": "key", "store_name": "outbound", "name": "orders-client", "description": "typed", **files}


# The storage


@pytest.fixture
def use(settings: Any) -> Callable[[dict[str, Any]], None]:
    """Makes this the storage of sealed originals."""

    def choose(sealed: dict[str, Any]) -> None:
        settings.STORAGES = settings.STORAGES | {"sealed": sealed}

    return choose


def folder(location: Path) -> dict[str, Any]:
    return {"BACKEND": "portal.folder.Folder", "OPTIONS": {"location": location, "base_url": None}}


@pytest.fixture(
    params=["no folder", "disk full", "disk full at the second file", "endpoint refuses", "no bucket"]
)
def storage_down(
    request: pytest.FixtureRequest, use: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """The storage of sealed originals fails; a word that must not be told."""
    if request.param == "no folder":
        (tmp_path / "file").write_text("")
        use(folder(tmp_path / "file" / "folder"))
        return str(tmp_path)
    if request.param.startswith("disk full"):
        use(folder(tmp_path))
        fill_disk(monkeypatch, whole_files=1 if "second" in request.param else 0)
        return str(tmp_path)
    refused = f"http://127.0.0.1:{free_port()}"
    endpoint = refused if request.param == "endpoint refuses" else request.getfixturevalue("s3_endpoint")
    use(storage(endpoint, "bucket-that-is-not-there"))
    return "bucket-that-is-not-there"


def fill_disk(monkeypatch: pytest.MonkeyPatch, whole_files: int) -> None:
    """Half of a file after `whole_files` still finds room."""
    plain, seen = ContentFile.chunks, []

    def chunks(self: ContentFile[bytes], *args: Any) -> Iterator[bytes]:
        seen.append(self)
        if len(seen) <= whole_files:
            yield from plain(self, *args)
            return
        yield b"half"
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(ContentFile, "chunks", chunks)


def test_an_upload_is_told_beside_what_was_typed(
    browser: Client, storage_down: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = browser.post(NEW, form())
    page = answer.content.decode()
    assert answer.status_code == 503
    assert DOWN in page and 'value="typed"' in page and 'value="orders-client"' in page
    assert storage_down not in page and "127.0.0.1" not in page
    assert not Draft.objects.exists()
    assert not [record for record in caplog.records if record.exc_info]


def test_what_was_begun_on_a_full_disk_is_tidied_away(browser: Client, use: Any, tmp_path: Path) -> None:
    use(folder(tmp_path))
    with pytest.MonkeyPatch.context() as patch:
        fill_disk(patch, whole_files=1)
        assert browser.post(NEW, form()).status_code == 503
    begun = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(begun) == 2
    assert browser.post(NEW, form()).status_code == 302, "there is room again"
    assert housekeeping.remove_orphaned_files(LATE) == 2
    assert not any(path.exists() for path in begun)
    assert_whole()


def test_what_cannot_be_removed_now_is_removed_later(
    cast: Cast, use: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(folder(tmp_path))
    old = kept(cast, mint("orders", ROOT))
    kept(cast, mint("orders", ROOT, end=500))
    old.refresh_from_db()
    with monkeypatch.context() as patch:
        patch.setattr("portal.folder.Folder.delete", fail)
        answer = client_of(cast.owner).post(f"/certificates/versions/{old.pk}/purge/")
    assert answer.status_code == 302
    assert originals.get_sealed(old.original), "still there"
    assert housekeeping.remove_orphaned_files(LATE) == 1
    with pytest.raises(FileNotFoundError):
        originals.get_sealed(old.original)
    services.activate(version=Version.objects.get(state="active"), actor=cast.actor, now=NOW)


def fail(*_: object) -> None:
    raise OSError(errno.EIO, "Input/output error")


# The database


@contextmanager
def database_gone_before(number: int) -> Iterator[list[str]]:
    """The connection breaks before the `number`-th statement, counted from one; the statements that were made."""
    made: list[str] = []

    def count(execute: Callable[..., Any], statement: str, *rest: Any) -> Any:
        made.append(statement)
        if len(made) == number:
            break_connection()
        return execute(statement, *rest)

    with connection.execute_wrapper(count):
        yield made


def break_connection() -> None:
    """PostgreSQL ends our session as it does when it is stopped; SQLite says what it says of a broken disk."""
    if connection.vendor != "postgresql":
        cause = sqlite3.OperationalError("disk I/O error")
        cause.sqlite_errorcode = sqlite3.SQLITE_IOERR
        raise OperationalError("disk I/O error") from cause
    address = connection.settings_dict
    facts = {
        "host": address["HOST"],
        "port": address["PORT"] or 5432,
        "user": address["USER"],
        "password": address["PASSWORD"],
    }
    with psycopg.connect(**facts, dbname="postgres", autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.connection.info.backend_pid])


def each_statement(work: Callable[[], Any], then: Callable[[], None]) -> Any:
    """Does the work again and again, the database gone one statement later each time; the answer of the first time that it was not."""
    for number in range(1, 200):
        with database_gone_before(number) as made:
            answer = work()
        connection.close()
        if len(made) < number:
            assert number > 5
            return answer
        assert answer.status_code == 503, (number, made[-1])
        assert "The portal cannot reach its database" in answer.content.decode()
        then()
    raise AssertionError("statements without end")


def test_no_page_without_the_database(browser: Client, caplog: pytest.LogCaptureFixture) -> None:
    browser.raise_request_exception = False
    for address in ("/", NEW, "/certificates/", "/not/there/", "/certificates/new/?store=x"):
        each_statement(lambda address=address: browser.get(address), lambda: None)  # type: ignore[misc]
    assert_brief(caplog)


def assert_brief(caplog: pytest.LogCaptureFixture) -> None:
    """The log as the console shows it has lines and no traces."""
    from portal.logs import Brief

    for record in caplog.records:
        Brief().filter(record)
        assert "Traceback" not in logging.Formatter().format(record)


def test_an_upload_without_the_database_leaves_nothing(
    browser: Client, caplog: pytest.LogCaptureFixture
) -> None:
    browser.raise_request_exception = False
    answer = each_statement(lambda: browser.post(NEW, form()), lambda: None)
    assert answer.status_code == 302
    assert_whole()
    for draft in Draft.objects.all():
        assert originals.get(draft.key_original, draft.binding(originals.KEY_ORIGINAL))
    assert_brief(caplog)


def test_a_save_without_the_database_leaves_nothing_or_all(cast: Cast, browser: Client) -> None:
    review = propose(browser)
    fields = saving(browser, review)
    browser.raise_request_exception = False

    def nothing_or_all() -> None:
        counts = {Store.objects.count(), Certificate.objects.count(), Version.objects.count()}
        assert counts in ({0}, {1})
        assert_whole()

    answer = each_statement(lambda: save(browser, review, fields), nothing_or_all)
    assert answer.status_code == 302
    assert Version.objects.get().number == 1
    close_old_connections()


def test_no_sign_in_without_redis(cast: Cast, settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    settings.REDIS_URL = f"redis://127.0.0.1:{free_port()}/0"
    cache = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": settings.REDIS_URL}
    settings.CACHES = {"default": cache}
    browser = Client(raise_request_exception=False)
    answer = browser.post("/accounts/login/", {"login": cast.editor.email, "password": "wrong"})
    assert answer.status_code == 503
    assert "The portal cannot reach its database" in answer.content.decode()
    assert_brief(caplog)
