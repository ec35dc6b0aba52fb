"""Sealed originals: the files as they were uploaded, encrypted, in the storage `sealed` (local files or an S3 API)."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, Storage, storages

from portal import vault
from portal.errors import Unavailable
from portal.ids import random_id

log = logging.getLogger("storekeeper")
DOWN = (
    "The portal cannot reach its file storage. Nothing was half saved: wait a minute and try again; "
    "if it goes on, tell who runs this portal."
)
ORIGINAL, KEY_ORIGINAL = "original", "key_original"


def _storage() -> Storage:
    return storages["sealed"]


def _failures() -> tuple[type[Exception], ...]:
    """What a storage raises that cannot be used. boto3 takes long to import, so only where it is used already."""
    if isinstance(_storage(), FileSystemStorage):
        return (OSError,)
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    return (OSError, Boto3Error, BotoCoreError, ClientError)


@contextmanager
def _storage_at_hand() -> Iterator[None]:
    """Unavailable when the storage fails; the log says how, the sentence does not say where. A file that is missing is no such failure."""
    try:
        yield
    except FileNotFoundError:
        raise
    except _failures() as error:
        log.error("the storage of sealed files cannot be used: %s", error)
        raise Unavailable("storage_down", DOWN) from None


def put(content: bytes, binding: vault.Binding) -> str:
    """Seals and writes; the name under which it lies. Written before any row refers to it. Unavailable when it cannot be written."""
    return put_sealed(vault.seal(content, binding), binding.object_id)


def put_sealed(sealed: bytes, object_id: str) -> str:
    """Writes sealed bytes under a new name that begins with the id of their version, in one of 32 folders."""
    with _storage_at_hand():
        return _storage().save(f"{object_id[:1]}/{object_id}-{random_id()}", ContentFile(sealed))


def owner(name: str) -> str:
    """The id of the version, or of the draft that becomes it, for which a file was written."""
    return name.rpartition("/")[2].partition("-")[0]


def get(name: str, binding: vault.Binding) -> bytes:
    """The uploaded bytes; VaultError when they do not open."""
    return vault.open_sealed(get_sealed(name), binding)


def get_sealed(name: str) -> bytes:
    with _storage_at_hand(), _storage().open(name) as file:
        return bytes(file.read())


def remove(*names: str) -> int:
    """Removes files and says how many; an empty name or one that is gone is no error.

    Call it when no row names them any more. What cannot be removed now is an orphan and goes with the others.
    """
    removed = 0
    for name in filter(None, names):
        try:
            with _storage_at_hand():
                _storage().delete(name)
            removed += 1
        except Unavailable:
            continue
    return removed


def by_folder() -> Iterator[list[str]]:
    """The names of all files, folder by folder."""
    with _storage_at_hand():
        try:
            folders = _storage().listdir("")[0]
        except FileNotFoundError:  # nothing was ever kept
            return
        for folder in folders:
            yield [f"{folder}/{file}" for file in _storage().listdir(folder)[1]]


def is_older(name: str, instant: dt.datetime) -> bool:
    """Whether a file was written before `instant`; one that is gone was not."""
    with _storage_at_hand():
        try:
            return _storage().get_modified_time(name) < instant
        except FileNotFoundError:
            return False
