"""Keys rotate: everything opens with the new key alone, whatever happens on the way."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from allauth.mfa.utils import decrypt
from django.core.management import CommandError, call_command

from portal import vault
from portal.models import AuditEvent
from providers import rotation
from providers.models import Provider
from providers.services import create_provider
from stores import drafts, originals, saving, services
from stores import rotation as stores_rotation
from stores.inspection import inspect
from stores.models import Draft, Version
from tests.cast import Cast, kept, pem_upload
from tests.material import NOW, mint

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]
NEW = "new:" + base64.b64encode(b"n" * 32).decode()


def ring(settings: Any, *keys: str) -> None:
    settings.STOREKEEPER_KEYS = ",".join(keys)


@pytest.fixture
def old(settings: Any) -> str:
    return str(settings.STOREKEEPER_KEYS)


@pytest.fixture
def provider(cast: Cast) -> Provider:
    row = Provider(
        team=cast.team, name="orders", host="orders.example.org", authentication="basic", user_name="robot"
    )
    return create_provider(provider=row, password="Password-4711", actor=cast.actor)


def draft_of(cast: Cast) -> Draft:
    upload = pem_upload(mint("draft"))
    target = drafts.Target(kind="key", store_name="outbound", name="draft")
    return drafts.propose(
        team=cast.team,
        user=cast.owner,
        upload=upload,
        inspection=inspect(upload, NOW),
        target=target,
        now=NOW,
    )


def rotate() -> None:
    call_command("rotate_keys", batch=2)


def opens(row: Version | Draft) -> bool:
    row.refresh_from_db()
    vault.open_sealed(bytes(row.sealed_key or b""), row.binding("key"))
    return b"CERTIFICATE" in originals.get(row.original, row.binding("original"))


def files() -> set[str]:
    return {name for names in originals.by_folder() for name in names}


def test_everything_opens_with_the_new_key_alone(
    cast: Cast, provider: Provider, settings: Any, old: str, capsys: Any
) -> None:
    others = files()
    versions = [kept(cast, mint(f"leaf {number}"), name=f"name {number}") for number in range(5)]
    draft = draft_of(cast)
    app, codes = TOTP.activate(cast.owner, "JBSWY3DPEHPK3PXP"), RecoveryCodes.activate(cast.owner)
    shown = codes.generate_codes()
    before = files() - others
    ring(settings, NEW, old)
    rotate()
    assert "Everything is wrapped by key new" in capsys.readouterr().out
    ring(settings, NEW)
    assert all(opens(row) for row in versions)
    assert opens(draft)
    provider.refresh_from_db()
    assert vault.open_sealed(bytes(provider.sealed_password or b""), provider.binding()) == b"Password-4711"
    app.instance.refresh_from_db()
    assert decrypt(app.instance.data["secret"]) == "JBSWY3DPEHPK3PXP"
    assert RecoveryCodes(Authenticator.objects.get(type="recovery_codes")).generate_codes() == shown
    assert len(files() - others) == len(before), "old files are gone"
    assert not files() & before
    event = AuditEvent.objects.get(action="keys.rotated")
    assert event.facts == {"key_id": "new", "count": 9, "rows": 0}


def test_nothing_is_done_twice(cast: Cast, settings: Any, old: str) -> None:
    kept(cast)
    ring(settings, NEW, old)
    rotate()
    before = files()
    rotate()
    assert files() == before
    assert AuditEvent.objects.filter(action="keys.rotated").count() == 1


@pytest.mark.parametrize("step", ["put_sealed", "remove"])
@pytest.mark.parametrize("call", [1, 2, 4])
def test_killed_anywhere_it_goes_on_and_loses_nothing(
    cast: Cast, settings: Any, old: str, monkeypatch: pytest.MonkeyPatch, step: str, call: int
) -> None:
    rows = [kept(cast, mint(f"leaf {number}"), name=f"name {number}") for number in range(4)]
    ring(settings, NEW, old)
    real, calls = getattr(originals, step), iter(range(1, 100))

    def killed(*args: Any) -> Any:
        if next(calls) == call:
            raise KeyboardInterrupt
        return real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(originals, step, killed)
        with pytest.raises(KeyboardInterrupt):
            rotate()
    assert all(opens(row) for row in rows)
    rotate()
    ring(settings, NEW)
    assert all(opens(row) for row in rows)


def test_what_does_not_open_is_left_and_said(cast: Cast, settings: Any, old: str, caplog: Any) -> None:
    good, lost = kept(cast, name="good"), kept(cast, mint("lost"), name="lost")
    originals.remove(lost.original)
    ring(settings, NEW, old)
    with pytest.raises(CommandError, match="1 objects are not wrapped by key new"):
        rotate()
    assert lost.pk in caplog.text
    assert opens(good)
    assert AuditEvent.objects.get(action="keys.rotated").facts["rows"] == 1
    lost.refresh_from_db()
    assert lost.sealed_with == "tests"


def test_a_key_that_is_gone_from_the_ring_is_named(cast: Cast, settings: Any, caplog: Any) -> None:
    kept(cast)
    ring(settings, NEW)
    with pytest.raises(CommandError):
        rotate()
    assert "key tests is not in the key ring" in caplog.text


def test_a_review_confirmed_meanwhile_keeps_its_files(
    cast: Cast, settings: Any, old: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The draft becomes a version between reading its row and writing it."""
    before = files()
    draft = draft_of(cast)
    ring(settings, NEW, old)
    real = originals.put_sealed

    def meanwhile(sealed: bytes, object_id: str) -> str:
        name = real(sealed, object_id)
        monkeypatch.undo()
        saving.confirm(draft=draft, actor=cast.actor, now=NOW)
        return name

    monkeypatch.setattr(originals, "put_sealed", meanwhile)
    stores_rotation.sealed_rows(Draft, 10)
    version = Version.objects.get()
    assert opens(version)
    assert files() - before == {version.original}
    rotate()
    ring(settings, NEW)
    assert opens(version)


def test_a_purged_version_keeps_no_key_in_the_ring(cast: Cast, settings: Any) -> None:
    first = kept(cast, mint("one"))
    kept(cast, mint("two"))
    services.purge_version(version=first, actor=cast.actor, now=NOW)
    Version.objects.exclude(pk=first.pk).delete()
    ring(settings, NEW)
    rotate()


def test_a_password_changed_meanwhile_stays_changed(
    cast: Cast, provider: Provider, settings: Any, old: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring(settings, NEW, old)
    real = vault.rewrap

    def meanwhile(sealed: bytes, binding: vault.Binding) -> bytes:
        Provider.objects.update(
            sealed_password=vault.seal(b"Changed-1", provider.binding()), sealed_with="new"
        )
        return real(sealed, binding)

    monkeypatch.setattr(vault, "rewrap", meanwhile)
    assert rotation.passwords(10).left == 0
    provider.refresh_from_db()
    assert vault.open_sealed(bytes(provider.sealed_password or b""), provider.binding()) == b"Changed-1"
