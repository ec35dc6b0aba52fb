"""Who uses a certificate. Providers and hosts announce themselves here, so that stores need not know them."""

from __future__ import annotations

import functools
import operator
from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass

from django.db.models import Q

from portal.models import Team
from portal.names import fold
from stores.models import Certificate, Store


@dataclass(frozen=True)
class Use:
    """One provider or host that uses one certificate."""

    certificate_id: str
    """Empty where the use of a whole store is told."""
    kind: str
    """`provider` or `host`."""
    id: str
    title: str
    url: str
    how: str
    """`shows` (key store) or `trusts` (trust store)."""
    detail: str = ""
    """Where it listens; only for those who may see addresses."""
    owner_id: int | None = None
    """Who looks after it; None: the owners of its team."""


@dataclass(frozen=True)
class Hit:
    """Something found by name, and where it is."""

    kind: str
    title: str
    url: str


Finder = Callable[[Collection[Certificate]], list[Use]]
"""All uses of these certificates, in a constant number of queries."""

StoreFinder = Callable[[Store], list[Use]]
"""All users of a store or of anything in it, each once; of an empty store too."""
Condition = Callable[[], Q]
"""What is true of a row of Certificate that is used; for filters over many rows."""
Search = Callable[[Team, str], list[Hit]]
"""The first few users in the team whose name contains the text, in one query."""

_finders: list[Finder] = []
_store_finders: list[StoreFinder] = []
_conditions: list[Condition] = []
_searches: list[Search] = []


def announce(
    finder: Finder,
    *,
    of_store: StoreFinder | None = None,
    used: Condition | None = None,
    search: Search | None = None,
) -> None:
    """Called once by each app whose models use certificates."""
    pairs = ((_finders, finder), (_store_finders, of_store), (_conditions, used), (_searches, search))
    for known, new in pairs:
        if new is not None and new not in known:
            known.append(new)  # type: ignore[arg-type]


def uses_of(certificates: Collection[Certificate]) -> dict[str, list[Use]]:
    """Certificate id to its users, providers first, by title; certificates without users are missing."""
    found: defaultdict[str, list[Use]] = defaultdict(list)
    if certificates:
        for finder in _finders:
            for use in finder(certificates):
                found[use.certificate_id].append(use)
    return {one: _sorted(uses) for one, uses in found.items()}


def _sorted(uses: list[Use]) -> list[Use]:
    return sorted(uses, key=lambda use: (use.kind != "provider", fold(use.title)))


def is_used() -> Q:
    """The condition that anything uses a certificate."""
    return functools.reduce(operator.or_, (condition() for condition in _conditions), Q(pk__in=()))


def search_users(team: Team, text: str) -> list[Hit]:
    """Providers and hosts whose name contains the text; one query for each app that announces them."""
    return [hit for search in _searches for hit in search(team, text)]


def uses_of_one(certificate: Certificate) -> list[Use]:
    return uses_of([certificate]).get(certificate.pk, [])


def uses_of_store(store: Store) -> list[Use]:
    """Users of the store or of any certificate in it, each once, sorted as `uses_of`."""
    return _sorted([use for finder in _store_finders for use in finder(store)])
