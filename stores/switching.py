"""What other apps have to say when a version becomes active: whether it is held, what follows from it, how it is tried before.

`providers` announces itself here, since imports point the other way.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Protocol

from portal.audit import Actor
from portal.errors import Conflict
from stores.models import Certificate, Version

Gate = Callable[[Version], str]
"""Why the version should not become active now, as a sentence; empty when nothing speaks against it."""
Follower = Callable[[Version, Version | None, Actor, dt.datetime], None]
"""Called in the transaction of the activation with the version that became active and the one that was; slow work is queued on commit."""


class Rehearser(Protocol):
    """Who tries versions before they become active."""

    def can_rehearse(self, certificate: Certificate) -> bool:
        """Whether anything that uses the certificate can be tried from here."""

    def rehearse(self, version: Version, actor: Actor, now: dt.datetime) -> str:
        """Begins to try the version; the address of the page that shows how it goes."""

    def last_rehearsal(self, version: Version, now: dt.datetime) -> bool:
        """Begins the rehearsal that activates the version when all pass; False when nothing can be tried from here."""


_gates: list[Gate] = []
_followers: list[Follower] = []
_rehearsers: list[Rehearser] = []


def announce(
    *, gate: Gate | None = None, follower: Follower | None = None, rehearser: Rehearser | None = None
) -> None:
    """Called once by each app that has a say."""
    for known, new in ((_gates, gate), (_followers, follower), (_rehearsers, rehearser)):
        if new is not None and new not in known:
            known.append(new)  # type: ignore[arg-type]


def held(version: Version) -> str:
    """Why the version should not become active now; empty when nothing speaks against it."""
    return " ".join(filter(None, (gate(version) for gate in _gates)))


def refuse_held(version: Version) -> None:
    """Conflict with the reasons when the activation is held."""
    if sentence := held(version):
        raise Conflict("held", sentence)


def follow(version: Version, previous: Version | None, actor: Actor, now: dt.datetime) -> None:
    """Tells all that `version` is active in the place of `previous`."""
    for follower in _followers:
        follower(version, previous, actor, now)


def can_rehearse(certificate: Certificate) -> bool:
    """Whether a version of the certificate can be tried before it becomes active."""
    return any(rehearser.can_rehearse(certificate) for rehearser in _rehearsers)


def rehearse(version: Version, actor: Actor, now: dt.datetime) -> str:
    """Begins to try the version; the address of the page that shows how it goes. PortalError when it cannot be tried."""
    return next(rehearser.rehearse(version, actor, now) for rehearser in _rehearsers)


def last_rehearsal(version: Version, now: dt.datetime) -> bool:
    """Whether a rehearsal decides now on the activation of the version. Call it with the certificate locked."""
    return any(rehearser.last_rehearsal(version, now) for rehearser in _rehearsers)
