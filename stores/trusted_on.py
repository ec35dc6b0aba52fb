"""Old versions of trust store certificates that are trusted beside the active ones, until somebody says that they may go.

`providers` announces itself here, since it knows who still needs them and imports point the other way.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

from django.db.models import QuerySet

from portal.errors import Conflict
from stores.models import Certificate, Version


@dataclass(frozen=True)
class TrustedOn:
    """One old version that is trusted on, and how far those who use it are."""

    old: Version
    new: Version
    since: dt.datetime
    url: str
    """Where it can be removed."""
    users: int
    proven: int
    """How many of the users were seen with a chain that needs the old version no more."""

    @property
    def is_safe(self) -> bool:
        return self.proven == self.users


Finder = Callable[[QuerySet[Certificate]], list[TrustedOn]]
"""What is trusted on of these certificates, the oldest version first; in a constant number of queries."""
_finders: list[Finder] = []


def announce(finder: Finder) -> None:
    """Called once by each app that keeps old versions trusted."""
    if finder not in _finders:
        _finders.append(finder)


def trusted_on(certificates: QuerySet[Certificate]) -> list[TrustedOn]:
    """What is trusted on of these certificates, the oldest version first."""
    return [one for finder in _finders for one in finder(certificates)]


def refuse_trusted_on(version: Version) -> None:
    """Conflict when the version is still trusted beside the active one."""
    own = Certificate.objects.filter(pk=version.certificate_id)
    if any(one.old == version for one in trusted_on(own)):
        raise Conflict(
            "still_trusted",
            f"Version {version.number} is still trusted beside the active one. "
            "Remove it from trust first, on the page of its certificate.",
        )
