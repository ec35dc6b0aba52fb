"""A process that is killed at any instant of an upload leaves nothing or a whole version, never a row without its bytes."""

from __future__ import annotations

import datetime as dt
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.files.storage import storages

from portal.models import AuditEvent
from stores import drafts, housekeeping, originals, services
from stores.formats.parsed import Upload
from stores.inspection import examine
from stores.models import Certificate, Draft, Store, Version
from stores.saving import confirm
from tests.cast import Cast, kept
from tests.material import NOW, mint
from tests.stores.crashing import at_every_instant, survives
from tests.stores.steps import ROOT, assert_whole

pytestmark = [pytest.mark.django_db(transaction=True)]
LEAF, NEXT = mint("orders", ROOT), mint("orders", ROOT, end=500)
UPLOAD = Upload("orders.pem", LEAF.pem, "key", key_name="orders.key", key_content=LEAF.key_pem)
INSPECTION = examine(UPLOAD, NOW)


@pytest.fixture(params=["local files", "S3"])
def storage(request: pytest.FixtureRequest) -> Iterator[None]:
    """Where sealed originals go, empty."""
    if request.param == "S3":
        request.getfixturevalue("s3")
    for name in files():
        storages["sealed"].delete(name)
    yield
    for name in files():
        storages["sealed"].delete(name)


def files() -> set[str]:
    return {name for names in originals.by_folder() for name in names}


def named() -> set[str]:
    """The files that rows name."""
    rows = [
        *Version.objects.values_list("original", "key_original"),
        *Draft.objects.values_list("original", "key_original"),
    ]
    return {name for row in rows for name in row if name}


def propose(cast: Cast, name: str) -> Draft:
    target = drafts.Target(kind="key", store_name=f"store {name}", name=name)
    return drafts.propose(
        team=cast.team, user=cast.owner, upload=UPLOAD, inspection=INSPECTION, target=target, now=NOW
    )


def assert_opens(row: Draft | Version) -> None:
    """The sealed files of a row open, and are those that were sent."""
    assert originals.get(row.original, row.binding(originals.ORIGINAL)) == UPLOAD.content
    assert originals.get(row.key_original, row.binding(originals.KEY_ORIGINAL)) == UPLOAD.key_content


def assert_no_row_without_bytes(**of: str) -> None:
    """Of no draft, and of no version that is looked for."""
    assert named() <= files()
    for row in [*Draft.objects.filter(version=None), *Version.objects.filter(**of)]:
        assert_opens(row)


def test_killed_at_any_instant_of_an_upload(cast: Cast, storage: None) -> None:
    """From the file's first octet to the active version, in a store and certificate of their own."""

    def work(instant: int) -> None:
        confirm(draft=propose(cast, f"n{instant}"), actor=cast.actor, now=NOW)

    def check(instant: int) -> None:
        assert_no_row_without_bytes(certificate__name=f"n{instant}")
        certificate = Certificate.objects.filter(name=f"n{instant}").first()
        assert Store.objects.filter(name=f"store n{instant}").exists() == (certificate is not None)
        draft = next(
            (one for one in Draft.objects.filter(version=None) if one.target["name"] == f"n{instant}"), None
        )
        if draft:
            assert certificate is None
            assert confirm(draft=draft, actor=cast.actor, now=NOW).number == 1, "it can be saved after all"

    instants = at_every_instant(work, check)
    assert instants > 25
    uploaded = AuditEvent.objects.filter(action="version.uploaded").count()
    assert uploaded == Version.objects.count() == Certificate.objects.count() > 5
    assert_whole()
    tidy_up()


def tidy_up() -> None:
    """Bytes without a row stay for a day, and are gone after it; the others stay."""
    orphans, kept_files = files() - named(), named()
    assert len(orphans) > 3
    begun = dt.datetime.now(dt.UTC)
    assert housekeeping.remove_orphaned_files(begun + dt.timedelta(hours=23)) == 0
    assert files() == orphans | kept_files
    assert housekeeping.remove_orphaned_files(begun + dt.timedelta(hours=25)) == len(orphans)
    assert files() == kept_files
    assert_no_row_without_bytes()


def test_killed_at_any_instant_of_a_replacement(cast: Cast, storage: None) -> None:
    def work(instant: int) -> None:
        upload = Upload("orders.pem", NEXT.pem + NEXT.key_pem, "key")
        services_keep(cast, upload, f"n{instant}")

    def check(instant: int) -> None:
        kept(cast, LEAF, name=f"n{instant + 1}", now=NOW)
        states = set(Version.objects.filter(certificate__name=f"n{instant}").values_list("number", "state"))
        assert states in ({(1, "active")}, {(1, "superseded"), (2, "active")})
        assert named() <= files()

    kept(cast, LEAF, name="n1", now=NOW)
    assert at_every_instant(work, check) > 25
    assert_whole()


def services_keep(cast: Cast, upload: Upload, name: str) -> Version:
    target = drafts.Target(kind="key", store_name="outbound", name=name)
    draft = drafts.propose(
        team=cast.team,
        user=cast.owner,
        upload=upload,
        inspection=examine(upload, NOW),
        target=target,
        now=NOW,
    )
    seen = Certificate.objects.get(name=name).active
    assert seen
    return confirm(draft=draft, actor=cast.actor, now=NOW, seen=seen.pk)


def test_killed_at_any_instant_of_a_restoration(cast: Cast) -> None:
    first = kept(cast, LEAF)
    kept(cast, NEXT)

    def check(_: int) -> None:
        states = dict(Version.objects.values_list("number", "state"))
        assert states in ({1: "superseded", 2: "active"}, {1: "active", 2: "superseded"})
        assert AuditEvent.objects.filter(action="version.restored").count() == (states[1] == "active")
        if states[1] == "active":
            assert Version.objects.get(number=1).next_stage_at
            assert not Version.objects.get(number=2).next_stage_at

    instants = at_every_instant(lambda _: services.activate(version=first, actor=cast.actor, now=NOW), check)
    assert instants > 10


def test_killed_while_purging_keeps_the_bytes_of_what_is_not_purged(cast: Cast, storage: None) -> None:
    old = kept(cast, LEAF)
    kept(cast, NEXT)

    def check(_: int) -> None:
        assert named() <= files()

    at_every_instant(
        lambda _: services.purge_version(version=Version.objects.get(pk=old.pk), actor=cast.actor, now=NOW),
        check,
    )
    assert Version.objects.get(pk=old.pk).purged_at


def test_the_way_of_testing_sees_a_row_that_comes_before_its_bytes(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were the row written first, a kill between the two would be seen."""

    def row_first(content: bytes, binding: Any) -> str:
        facts = {"id": binding.object_id, "original": "aa/not-there", "sealed_with": "tests"}
        Draft.objects.create(team=cast.team, user=cast.owner, created_at=NOW, **facts)
        os.kill(os.getpid(), signal.SIGKILL)
        return ""

    monkeypatch.setattr(originals, "put", row_first)
    assert not survives(lambda: propose(cast, "n"), instant=10_000)
    assert not named() <= files()
    Draft.objects.all().delete()
