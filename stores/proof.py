"""Where it can be seen that a version is in use: what closes a case (DESIGN section 10).

`providers` announces itself here, since imports point the other way.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from stores.models import Version


@dataclass(frozen=True)
class Standing:
    """A user of a certificate that can be reached from here, and when the version was first seen there."""

    title: str
    url: str
    test_url: str
    """Where a test of it is asked for, by POST."""
    seen_at: dt.datetime | None
    """None: not yet."""


Prover = Callable[[Sequence[Version]], Mapping[str, list[Standing]]]
"""Id of each version to all users of its certificate that can be reached from here; a constant number of queries."""
_provers: list[Prover] = []


def announce(prover: Prover) -> None:
    """Called once by each app that sees versions in use."""
    if prover not in _provers:
        _provers.append(prover)


def standings_of(versions: Sequence[Version]) -> dict[str, list[Standing]]:
    """Id of each version to everybody who uses its certificate and can be reached from here, those not seen yet in front.

    The versions carry their certificates and stores.
    """
    found: defaultdict[str, list[Standing]] = defaultdict(list)
    for prover in _provers if versions else ():
        for version, standings in prover(versions).items():
            found[version] += standings
    return {
        version.pk: sorted(found[version.pk], key=lambda one: (one.seen_at is not None, one.title))
        for version in versions
    }


def standings(version: Version) -> list[Standing]:
    """The same of one version."""
    return standings_of([version])[version.pk]
