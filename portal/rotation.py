"""Re-wrapping what is sealed with the ring's first key (DESIGN section 9); contents are not decrypted.

Each row is one conditional update, so the work can be interrupted anywhere and repeated, while people go on working.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from allauth.mfa.models import Authenticator
from django.db.models import F, Model, QuerySet

from portal import vault
from portal.accounts import SECOND_FACTOR
from portal.errors import PortalError
from portal.paging import chunks

log = logging.getLogger("storekeeper")
Row = TypeVar("Row", bound=Model)
SECRETS = ("secret", "seed")
"""What a second factor keeps sealed: the secret of an app, the seed of recovery codes."""


@dataclass(frozen=True)
class Rotated:
    """What became of one kind of sealed rows: how many were re-wrapped, and how many are left."""

    kind: str
    done: int
    left: int


def rotate(rows: QuerySet[Row], one: Callable[[Row], bool], size: int) -> int:
    """Re-wraps rows, `size` at a time; how many. One that does not open is logged and left."""
    done = 0
    for chunk in chunks(rows, F("pk"), size=size):
        for row in chunk:
            try:
                done += one(row)
            except (vault.VaultError, PortalError, FileNotFoundError) as error:
                log.error("%s %s is not re-wrapped: %s", row._meta.verbose_name, row.pk, error)
    return done


def second_factors(size: int) -> Rotated:
    """The secrets of authenticator apps and recovery codes."""
    rows = Authenticator.objects.exclude(type=Authenticator.Type.WEBAUTHN)
    done = rotate(rows, _second_factor, size)
    return Rotated("second factors", done, sum(_is_old(row.data) for row in rows.iterator()))


def _second_factor(row: Authenticator) -> bool:
    if not _is_old(row.data):
        return False
    fresh = row.data | {name: _rewrapped(text) for name, text in _sealed(row.data)}
    return bool(Authenticator.objects.filter(pk=row.pk, data=row.data).update(data=fresh))


def _rewrapped(text: str) -> str:
    return base64.b64encode(vault.rewrap(base64.b64decode(text), SECOND_FACTOR)).decode()


def _is_old(data: dict[str, Any]) -> bool:
    current = vault.ring().current
    return any(vault.key_id_of(base64.b64decode(text)) != current for _, text in _sealed(data))


def _sealed(data: dict[str, Any]) -> Iterable[tuple[str, str]]:
    return [(name, data[name]) for name in SECRETS if name in data]
