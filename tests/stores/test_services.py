"""What keeps, replaces, restores and deletes certificates, and what the database itself refuses."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import pkcs12
from django.db import IntegrityError, transaction

from portal import env, vault
from portal.errors import Conflict, PortalError, Unavailable
from portal.models import AuditEvent
from stores import drafts, originals, saving, services, watch
from stores.inspection import inspect
from stores.models import Case, Certificate, ChainCertificate, Draft, Store, Version
from tests.cast import Cast, kept, pem_upload
from tests.material import NOW, Minted, mint

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]
LATER = NOW + dt.timedelta(days=1)


@pytest.fixture
def root() -> Minted:
    return mint("Example Root", ca=True)


def draft_of(cast: Cast, *chain: Minted, name: str = "orders-client") -> Draft:
    upload = pem_upload(*chain)
    aim = drafts.Target(kind="key", store_name="outbound", name=name)
    return drafts.propose(
        team=cast.team, user=cast.owner, upload=upload, inspection=inspect(upload, NOW), target=aim, now=NOW
    )


def test_a_first_upload_makes_store_certificate_and_active_version(cast: Cast, root: Minted) -> None:
    leaf = mint("orders", root)
    version = kept(cast, leaf, root)
    assert (version.certificate.store.name, version.certificate.name) == ("outbound", "orders-client")
    assert (version.number, version.state, version.certificate.owner) == (1, "active", cast.owner)
    assert [one.sha256 for one in version.chain.all()] == [leaf.sha256, root.sha256]
    assert version.certificate.fails_at == leaf.certificate.not_valid_after_utc


def test_key_and_original_are_sealed_and_open(cast: Cast, root: Minted) -> None:
    leaf = mint("orders", root)
    version = kept(cast, leaf)
    assert version.sealed_key is not None
    assert vault.open_sealed(bytes(version.sealed_key), version.binding("key")) == leaf.key_der
    assert originals.get(version.original, version.binding("original")) == leaf.pem + leaf.key_pem
    assert b"PRIVATE KEY" not in originals.get_sealed(version.original)


def test_a_replacement_supersedes_and_keeps_the_old_version(cast: Cast, root: Minted) -> None:
    first = kept(cast, mint("orders", root))
    second = kept(cast, mint("orders", root, end=700))
    first.refresh_from_db()
    assert (first.state, second.number, second.state) == ("superseded", 2, "active")
    assert first.sealed_key and originals.get(first.original, first.binding("original"))


def test_an_old_version_can_be_restored(cast: Cast, root: Minted) -> None:
    first, second = kept(cast, mint("orders", root)), kept(cast, mint("orders", root, end=700))
    services.activate(version=first, actor=cast.actor, now=LATER)
    second.refresh_from_db()
    assert second.state == "superseded"
    assert Certificate.objects.get().active == first
    assert AuditEvent.objects.filter(action="version.restored").count() == 1


def test_a_double_click_saves_once(cast: Cast, root: Minted) -> None:
    draft = draft_of(cast, mint("orders", root))
    first = saving.confirm(draft=draft, actor=cast.actor, now=NOW)
    again = saving.confirm(draft=draft, actor=cast.actor, now=NOW)
    assert first == again
    assert Version.objects.count() == 1


def test_the_second_of_two_who_replace_at_once_is_told_and_loses_nothing(cast: Cast, root: Minted) -> None:
    seen = kept(cast, mint("orders", root)).pk
    mine, theirs = (draft_of(cast, mint("orders", root, end=end)) for end in (500, 600))
    newer = saving.confirm(draft=theirs, actor=cast.actor, now=NOW, seen=seen)
    with pytest.raises(Conflict) as caught:
        saving.confirm(draft=mine, actor=cast.actor, now=NOW, seen=seen)
    assert "Nothing of yours is lost" in caught.value.sentence
    assert saving.confirm(draft=mine, actor=cast.actor, now=NOW, seen=newer.pk).number == 3


def test_a_version_that_begins_later_is_staged_until_then(cast: Cast, root: Minted) -> None:
    version = kept(cast, mint("orders", root, begin=5))
    assert (version.state, version.activate_at) == ("staged", NOW + dt.timedelta(days=5))
    with pytest.raises(PortalError) as caught:
        services.activate(version=version, actor=cast.actor, now=LATER)
    assert caught.value.code == "not_yet_valid"


@pytest.mark.parametrize("day", [4, 90])
def test_a_version_is_not_scheduled_for_an_instant_at_which_it_is_not_valid(cast: Cast, day: int) -> None:
    upload = pem_upload(mint("orders", begin=5, end=90))
    aim = drafts.Target(kind="key", store_name="outbound", name="orders-client")
    draft = drafts.propose(
        team=cast.team, user=cast.owner, upload=upload, inspection=inspect(upload, NOW), target=aim, now=NOW
    )
    then = NOW + dt.timedelta(days=day)
    with pytest.raises(PortalError) as caught:
        saving.confirm(draft=draft, actor=cast.actor, now=NOW, activate_at=then)
    assert (caught.value.code, caught.value.field) == ("not_valid_then", "activate_at")
    assert not Version.objects.exists()


@pytest.mark.parametrize("change", [services.activate, services.discard, services.purge_version])
def test_a_version_that_is_gone_is_not_changed(cast: Cast, root: Minted, change: Callable[..., Any]) -> None:
    kept(cast, mint("orders", root))
    version = Version.objects.get()
    Certificate.objects.all().delete()
    with pytest.raises(Conflict):
        change(version=version, actor=cast.actor, now=NOW)


def test_an_ended_version_is_not_restored(cast: Cast, root: Minted) -> None:
    first = kept(cast, mint("orders", root, end=2))
    kept(cast, mint("orders", root, end=700))
    with pytest.raises(PortalError) as caught:
        services.activate(version=first, actor=cast.actor, now=NOW + dt.timedelta(days=3))
    assert caught.value.code == "expired"


def test_purging_removes_the_bytes_and_keeps_the_facts(
    cast: Cast, root: Minted, django_capture_on_commit_callbacks: Any
) -> None:
    first = kept(cast, mint("orders", root))
    kept(cast, mint("orders", root, end=700))
    first.refresh_from_db()
    name = first.original
    with django_capture_on_commit_callbacks(execute=True):
        services.purge_version(version=first, actor=cast.actor, now=NOW)
    first.refresh_from_db()
    assert (first.sealed_key, first.original, first.chain.count()) == (None, "", 1)
    with pytest.raises(FileNotFoundError):
        originals.get_sealed(name)
    with pytest.raises(PortalError):
        services.activate(version=first, actor=cast.actor, now=NOW)


def test_an_active_version_is_not_purged(cast: Cast, root: Minted) -> None:
    with pytest.raises(Conflict):
        services.purge_version(version=kept(cast, mint("orders", root)), actor=cast.actor, now=NOW)


def test_an_exported_key_opens_with_the_password(cast: Cast, root: Minted) -> None:
    leaf = mint("orders", root)
    exported = services.export_key(version=kept(cast, leaf, root), password="a long one", actor=cast.actor)
    key, certificate, rest = pkcs12.load_key_and_certificates(exported, b"a long one")
    assert certificate == leaf.certificate and rest == [root.certificate]
    assert key is not None and key.public_key() == leaf.key.public_key()
    assert AuditEvent.objects.filter(action="key.exported").exists()


def test_a_key_that_the_ring_does_not_open_is_told(cast: Cast, root: Minted, settings: Any) -> None:
    version = kept(cast, mint("orders", root))
    settings.STOREKEEPER_KEYS = env.new_key_ring()
    with pytest.raises(Unavailable):
        services.export_key(version=version, password="seven horses run", actor=cast.actor)
    assert not AuditEvent.objects.filter(action="key.exported").exists()


def test_renaming_keeps_what_refers_to_it(cast: Cast, root: Minted) -> None:
    version = kept(cast, mint("orders", root))
    services.edit_certificate(
        certificate=version.certificate,
        name="billing-client",
        description="",
        owner=None,
        actor=cast.actor,
        now=NOW,
    )
    assert Certificate.objects.search("billing-client").get() == version.certificate
    assert Certificate.objects.get().active == version


@pytest.mark.parametrize("name", ["ORDERS-CLIENT", "orders-client"])
def test_names_are_unique_ignoring_case(cast: Cast, root: Minted, name: str) -> None:
    store = kept(cast, mint("orders", root)).certificate.store
    with pytest.raises(IntegrityError), transaction.atomic():
        Certificate.objects.create(team=cast.team, store=store, name=name)
    with pytest.raises(IntegrityError), transaction.atomic():
        Store.objects.create(team=cast.team, kind="trust", name="OUTBOUND")


def test_the_database_refuses_a_second_active_version(cast: Cast, root: Minted) -> None:
    first = kept(cast, mint("orders", root))
    kept(cast, mint("orders", root, end=700))
    with pytest.raises(IntegrityError), transaction.atomic():
        Version.objects.filter(pk=first.pk).update(state="active")


@pytest.mark.parametrize(
    "change", [{"number": 7}, {"subject": "CN=other"}, {"file_name": "x"}, {"findings": [1]}]
)
def test_the_database_refuses_to_change_what_was_uploaded(
    cast: Cast, root: Minted, change: dict[str, object]
) -> None:
    version = kept(cast, mint("orders", root))
    with pytest.raises(IntegrityError), transaction.atomic():
        Version.objects.filter(pk=version.pk).update(**change)


def test_the_database_refuses_to_change_a_chain(cast: Cast, root: Minted) -> None:
    kept(cast, mint("orders", root))
    with pytest.raises(IntegrityError), transaction.atomic():
        ChainCertificate.objects.update(subject="CN=other")


def test_the_database_keeps_the_audit(cast: Cast, root: Minted) -> None:
    kept(cast, mint("orders", root))
    with pytest.raises(IntegrityError), transaction.atomic():
        AuditEvent.objects.update(action="nothing")
    with pytest.raises(IntegrityError), transaction.atomic():
        AuditEvent.objects.all().delete()


@pytest.mark.parametrize("text", ["orders", "CN=Orders", "EXAMPLE"])
def test_search_finds_by_any_part(cast: Cast, root: Minted, text: str) -> None:
    kept(cast, mint("orders example", root))
    kept(cast, mint("billing", root), name="other")
    assert [one.name for one in Certificate.objects.search(text)] == ["orders-client"]


def test_search_finds_by_serial_and_fingerprint_with_or_without_colons(cast: Cast, root: Minted) -> None:
    leaf = mint("orders", root)
    kept(cast, leaf)
    colons = ":".join(leaf.sha256[at : at + 2] for at in range(0, 64, 2)).upper()
    for text in (leaf.sha256, colons, leaf.sha256[:12].upper(), f"{leaf.certificate.serial_number:x}"):
        assert Certificate.objects.search(text).count() == 1, text


def test_what_looks_like_a_successor_is_offered(cast: Cast, root: Minted) -> None:
    old = kept(cast, mint("orders", root)).certificate
    same_subject = draft_of(cast, mint("orders", root, key_name="fresh"), name="something else")
    same_key = draft_of(cast, mint("renamed", root, key_name="orders"), name="something else")
    unrelated = draft_of(cast, mint("billing", root), name="something else")
    assert [drafts.candidates(draft) for draft in (same_subject, same_key, unrelated)] == [[old], [old], []]


def test_a_crash_between_file_and_row_leaves_no_row(
    cast: Cast, root: Minted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Draft, "save", lambda *_, **__: (_ for _ in ()).throw(RuntimeError("killed")))
    with pytest.raises(RuntimeError):
        draft_of(cast, mint("orders", root))
    assert not Draft.objects.exists() and not Version.objects.exists()


def test_a_crash_while_saving_leaves_nothing_and_the_draft(
    cast: Cast, root: Minted, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = draft_of(cast, mint("orders", root))
    with monkeypatch.context() as patch:
        patch.setattr(services, "make_active", lambda *_: (_ for _ in ()).throw(RuntimeError("killed")))
        with pytest.raises(RuntimeError):
            saving.confirm(draft=draft, actor=cast.actor, now=NOW)
    assert not Version.objects.exists() and not Store.objects.exists()
    assert saving.confirm(draft=draft, actor=cast.actor, now=NOW).state == "active"


def test_an_open_case_is_handed_over_with_the_certificate(cast: Cast, root: Minted) -> None:
    certificate = kept(cast, mint("orders", root, end=5)).certificate
    watch.find_due(NOW)
    services.edit_certificate(
        certificate=certificate,
        name=certificate.name,
        description="",
        owner=cast.editor,
        actor=cast.actor,
        now=NOW,
    )
    assert Case.objects.open().get().owner == cast.editor


def test_a_bundle_is_restored_and_scheduled_only_while_none_of_its_certificates_has_ended(
    cast: Cast, root: Minted
) -> None:
    bundle = (root, mint("Short Root", ca=True, end=20))
    first = kept(cast, *bundle, name="partners", store="trusted", kind="trust")
    kept(cast, root, name="partners", store="trusted", kind="trust")
    with pytest.raises(PortalError) as caught:
        services.activate(version=first, actor=cast.actor, now=NOW + dt.timedelta(days=30))
    assert caught.value.code == "expired" and "Short Root" in caught.value.sentence
    Version.objects.filter(pk=first.pk).update(state="staged")
    with pytest.raises(PortalError) as caught:
        services.schedule(version=first, activate_at=NOW + dt.timedelta(days=30), actor=cast.actor)
    assert caught.value.code == "not_valid_then" and "Short Root" in caught.value.sentence
    assert (
        services.activate(version=first, actor=cast.actor, now=NOW + dt.timedelta(days=10)).state == "active"
    )
