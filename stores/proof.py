"""Where it can be seen that a version is in use: what closes a case (DESIGN section 10).

`providers` announces itself here, since imports point the other way.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

from stores.models import Version


@dataclass(frozen=True)
class Standing:
    """A user of a certificate that can be reached from here, and when the version was first seen there."""

    title: str
    url: str
    seen_at: dt.datetime | None
    """None: not yet."""


Prover = Callable[[Version], list[Standing]]
"""All users of the version's certificate that can be reached from here."""
_provers: list[Prover] = []


def announce(prover: Prover) -> None:
    """Called once by each app that sees versions in use."""
    if prover not in _provers:
        _provers.append(prover)


def standings(version: Version) -> list[Standing]:
    """Everybody who uses the version's certificate and can be reached from here, those who were not seen yet in front."""
    found = [standing for prover in _provers for standing in prover(version)]
    return sorted(found, key=lambda one: (one.seen_at is not None, one.title))
