"""Encryption at rest (DESIGN section 9): AES-256-GCM, one data key per object, wrapped by a key of the ring.

A sealed object is: magic and format version, length and text of the key id, nonce of the wrapping, wrapped data key, nonce of the
content, content. Associated data binds both layers to team, object and kind, so that swapped rows do not open.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

MAGIC = b"SK\x01"
NONCE = 12
DATA_KEY = 32
WRAPPED = DATA_KEY + 16
KEY_ID = re.compile(r"[A-Za-z0-9_.-]{1,32}")


class VaultError(Exception):
    """Sealed bytes that do not open: damaged, swapped, or sealed with a key that is not in the ring."""


@dataclass(frozen=True)
class Binding:
    """What a sealed object belongs to."""

    team: str
    object_id: str
    kind: str
    """`key` for a private key, `original` for an uploaded file, `key_original` for an uploaded key file."""

    def encode(self) -> bytes:
        return "\0".join(("storekeeper", self.team, self.object_id, self.kind)).encode()


@dataclass(frozen=True)
class KeyRing:
    """Key-encryption keys by id. The first one writes, all read."""

    keys: Mapping[str, bytes] = field(repr=False)

    @classmethod
    def from_text(cls, text: str) -> KeyRing:
        """Reads `id:base64,id:base64`; ValueError names the entry that is wrong, never its key."""
        keys: dict[str, bytes] = {}
        for number, entry in enumerate(filter(None, (part.strip() for part in re.split(r"[,\n]", text))), 1):
            key_id, _, encoded = entry.partition(":")
            try:
                key = base64.b64decode(encoded, validate=True)
            except (binascii.Error, ValueError):
                key = b""
            if not KEY_ID.fullmatch(key_id) or len(key) != DATA_KEY or key_id in keys:
                raise ValueError(
                    f"entry {number} of the key ring is not id:base64 of 32 octets with an id of its own"
                )
            keys[key_id] = key
        if not keys:
            raise ValueError("the key ring is empty")
        return cls(keys)

    @property
    def current(self) -> str:
        return next(iter(self.keys))


def ring() -> KeyRing:
    """The ring of the settings."""
    return KeyRing.from_text(settings.STOREKEEPER_KEYS)


def seal(content: bytes, binding: Binding) -> bytes:
    """Encrypts under a fresh data key, wrapped by the ring's current key."""
    data_key = AESGCM.generate_key(DATA_KEY * 8)
    nonce = os.urandom(NONCE)
    return _wrap(data_key, binding) + nonce + AESGCM(data_key).encrypt(nonce, content, binding.encode())


def open_sealed(sealed: bytes, binding: Binding) -> bytes:
    """The content; VaultError when it does not open."""
    key_id, wrapped_at = _header(sealed)
    content_at = wrapped_at + NONCE + WRAPPED
    nonce, content = sealed[content_at : content_at + NONCE], sealed[content_at + NONCE :]
    try:
        return AESGCM(_unwrap(sealed, binding)).decrypt(nonce, content, binding.encode())
    except (InvalidTag, ValueError):
        raise VaultError(f"an object sealed with key {key_id} does not open") from None


def rewrap(sealed: bytes, binding: Binding) -> bytes:
    """The same object with its data key wrapped by the ring's current key; the content is not decrypted."""
    _, wrapped_at = _header(sealed)
    return _wrap(_unwrap(sealed, binding), binding) + sealed[wrapped_at + NONCE + WRAPPED :]


def key_id_of(sealed: bytes) -> str:
    """Which key of the ring wraps it."""
    return _header(sealed)[0]


def _wrap(data_key: bytes, binding: Binding) -> bytes:
    keys = ring()
    head = MAGIC + bytes([len(keys.current)]) + keys.current.encode()
    nonce = os.urandom(NONCE)
    return head + nonce + AESGCM(keys.keys[keys.current]).encrypt(nonce, data_key, head + binding.encode())


def _header(sealed: bytes) -> tuple[str, int]:
    """Key id, and where the wrapped data key begins."""
    start = len(MAGIC) + 1
    end = start + sealed[start - 1] if len(sealed) > start else 0
    if not sealed.startswith(MAGIC) or len(sealed) < end + 2 * NONCE + WRAPPED + 16:
        raise VaultError("not a sealed object")
    return sealed[start:end].decode("ascii", "replace"), end


def _unwrap(sealed: bytes, binding: Binding) -> bytes:
    key_id, at = _header(sealed)
    key = ring().keys.get(key_id)
    if key is None:
        raise VaultError(f"key {key_id} is not in the key ring: add it to STOREKEEPER_KEYS")
    nonce, wrapped = sealed[at : at + NONCE], sealed[at + NONCE : at + NONCE + WRAPPED]
    try:
        return AESGCM(key).decrypt(nonce, wrapped, sealed[:at] + binding.encode())
    except InvalidTag:
        raise VaultError(f"an object sealed with key {key_id} does not open") from None
