"""Which version of a certificate runs where. `providers` announces its gateways here, since imports point the other way."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

from stores.models import Certificate


@dataclass(frozen=True)
class Running:
    """One gateway that has fetched a certificate."""

    title: str
    url: str
    number: int | None
    """Of the version that it said to run; None: it has not said so yet."""
    since: dt.datetime | None


Finder = Callable[[Certificate], list[Running]]
"""In one query."""
_finders: list[Finder] = []


def announce(finder: Finder) -> None:
    """Called once by each app that knows what runs."""
    if finder not in _finders:
        _finders.append(finder)


def running(certificate: Certificate) -> list[Running]:
    """Where the certificate runs, and in which version."""
    return [one for finder in _finders for one in finder(certificate)]
