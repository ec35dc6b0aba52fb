"""Sealed originals in an S3 bucket, over HTTP: kept, restored, purged, tidied, and never spoken of."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from stores import housekeeping, originals, services
from stores.models import Version
from tests.cast import Cast, client_of, kept
from tests.crawl import crawl
from tests.material import NOW, mint
from tests.s3 import BUCKET
from tests.stores.steps import ROOT, assert_whole, propose, save, saving

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("now")]
LATE = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
"""A day after whatever the server's own clock says."""


def names(bucket: Any) -> set[str]:
    return {entry.key.removeprefix("sealed/") for entry in bucket.objects.all()}


@pytest.fixture
def browser(cast: Cast) -> Client:
    return client_of(cast.editor)


def test_from_the_upload_to_the_purge(cast: Cast, browser: Client, s3: Any) -> None:
    leaf = mint("orders", ROOT)
    review = propose(browser, leaf=leaf)
    assert len(names(s3)) == 1
    save(browser, review, saving(browser, review))
    first = Version.objects.get()
    assert names(s3) == {first.original}
    assert b"PRIVATE KEY" not in s3.Object(f"sealed/{first.original}").get()["Body"].read()
    assert originals.get(first.original, first.binding("original")) == leaf.pem + leaf.key_pem

    second = kept(cast, mint("orders", ROOT, end=500))
    services.activate(version=first, actor=cast.actor, now=NOW)
    assert_whole()
    services.purge_version(version=second, actor=cast.actor, now=NOW)
    assert names(s3) == {first.original}
    services.delete_certificate(certificate=first.certificate, actor=cast.actor)
    assert names(s3) == set()


def test_what_no_row_names_is_tidied_away(cast: Cast, browser: Client, s3: Any) -> None:
    version, review = kept(cast, mint("orders", ROOT)), propose(browser, leaf=mint("next", ROOT), name="next")
    orphan = originals.put_sealed(b"left by a crash", "abcdefghjkmn")
    assert housekeeping.remove_orphaned_files(NOW - dt.timedelta(days=9000)) == 0
    assert orphan in names(s3)
    assert housekeeping.remove_orphaned_files(LATE) == 1
    assert orphan not in names(s3) and version.original in names(s3)
    housekeeping.discard_unconfirmed(NOW + dt.timedelta(days=2))
    assert names(s3) == {version.original}
    assert browser.get(review).status_code == 404


def test_no_page_speaks_of_the_storage(cast: Cast, browser: Client, s3: Any, s3_endpoint: str) -> None:
    old = kept(cast, mint("orders", ROOT))
    kept(cast, mint("orders", ROOT, end=500))
    review = propose(
        browser, reverse("stores:replace", args=[old.certificate_id]), mint("orders", ROOT, end=600)
    )
    secret = {BUCKET, s3_endpoint, s3_endpoint.partition("//")[2], "tests-secret", "S3Storage", *names(s3)}
    assert len(secret) == 8
    pages = list(crawl(client_of(cast.owner), "/", review, "/team/audit/csv/"))
    assert len(pages) > 20
    for page in pages:
        assert [word for word in secret if word in page.text + page.headers] == [], page.address
