"""Sealed bytes open with their own binding and ring only, and move to a new key without being opened."""

from __future__ import annotations

import base64

import pytest
from pytest_django.fixtures import Settings

from portal.vault import Binding, KeyRing, VaultError, key_id_of, open_sealed, rewrap, seal

BINDING = Binding("team", "version", "key")
OLD = "old:" + base64.b64encode(b"o" * 32).decode()
NEW = "new:" + base64.b64encode(b"n" * 32).decode()


@pytest.fixture(autouse=True)
def keys(settings: Settings) -> None:
    settings.STOREKEEPER_KEYS = OLD


def test_what_is_sealed_opens() -> None:
    sealed = seal(b"a private key", BINDING)
    assert open_sealed(sealed, BINDING) == b"a private key"
    assert b"a private key" not in sealed


@pytest.mark.parametrize(
    "other",
    [
        Binding("other", "version", "key"),
        Binding("team", "other", "key"),
        Binding("team", "version", "original"),
    ],
)
def test_swapped_rows_do_not_open(other: Binding) -> None:
    with pytest.raises(VaultError):
        open_sealed(seal(b"x", BINDING), other)


def test_two_seals_of_one_content_share_nothing_but_the_header() -> None:
    assert seal(b"x" * 64, BINDING)[8:] != seal(b"x" * 64, BINDING)[8:]


def test_every_changed_octet_is_noticed() -> None:
    sealed = seal(b"content", BINDING)
    for at in range(len(sealed)):
        broken = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
        with pytest.raises(VaultError):
            open_sealed(broken, BINDING)


@pytest.mark.parametrize("size", [0, 1, 4, 20, 80, 100])
def test_a_cut_object_is_refused(size: int) -> None:
    with pytest.raises(VaultError):
        open_sealed(seal(b"content", BINDING)[:size], BINDING)


def test_the_first_key_writes_and_all_read(settings: Settings) -> None:
    sealed = seal(b"content", BINDING)
    settings.STOREKEEPER_KEYS = f"{NEW},{OLD}"
    assert open_sealed(sealed, BINDING) == b"content"
    assert key_id_of(seal(b"content", BINDING)) == "new"


def test_rewrapping_moves_to_the_current_key(settings: Settings) -> None:
    sealed = seal(b"content", BINDING)
    settings.STOREKEEPER_KEYS = f"{NEW},{OLD}"
    moved = rewrap(sealed, BINDING)
    settings.STOREKEEPER_KEYS = NEW
    assert key_id_of(moved) == "new"
    assert open_sealed(moved, BINDING) == b"content"


def test_a_key_that_is_not_in_the_ring_is_named(settings: Settings) -> None:
    sealed = seal(b"content", BINDING)
    settings.STOREKEEPER_KEYS = NEW
    with pytest.raises(VaultError, match="key old is not in the key ring"):
        open_sealed(sealed, BINDING)


@pytest.mark.parametrize(
    "text", ["", "a", "a:b", "a:" + "A" * 20, f"{OLD},{OLD}", "bad id:" + NEW.split(":")[1]]
)
def test_a_ring_of_nonsense_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(ValueError, match="key ring") as caught:
        KeyRing.from_text(text)
    assert "bbbb" not in str(caught.value)


def test_the_ring_is_not_shown() -> None:
    assert base64.b64encode(b"o" * 32).decode() not in repr(KeyRing.from_text(OLD))
