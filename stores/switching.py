"""What other apps have to say when a version becomes active: whether it is held, and what follows from it.

`providers` announces itself here, since imports point the other way.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from portal.audit import Actor
from portal.errors import Conflict
from stores.models import Version

Gate = Callable[[Version], str]
"""Why the version should not become active now, as a sentence; empty when nothing speaks against it."""
Follower = Callable[[Version, Version | None, Actor, dt.datetime], None]
"""Called in the transaction of the activation with the version that became active and the one that was; slow work is queued on commit."""

_gates: list[Gate] = []
_followers: list[Follower] = []


def announce(*, gate: Gate | None = None, follower: Follower | None = None) -> None:
    """Called once by each app that has a say."""
    if gate is not None and gate not in _gates:
        _gates.append(gate)
    if follower is not None and follower not in _followers:
        _followers.append(follower)


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
