"""Pages of long lists by cursor: as fast at row 100,000 as at row 1, and without a COUNT.

No row is lost or shown twice while others come and go.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.core.signing import BadSignature, Signer
from django.db.models import F, Model, Q, QuerySet
from django.db.models.expressions import Combinable

SIZE = 50
CHUNK = 1000
Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True)
class Page(Generic[Row]):
    """Some rows, and the cursors of the pages before and after; an empty cursor means that there is none."""

    rows: list[Row]
    previous: str = ""
    next: str = ""


@dataclass(frozen=True)
class _Order:
    """Rows of one value follow by primary key; where `nullable`, rows without a value come last."""

    by: Combinable
    descending: bool
    nullable: bool
    name: str = ""

    def signer(self, rows: QuerySet[Any]) -> Signer:
        """Signs for this list in this order alone: another list's cursor would compare what cannot be compared."""
        order = f"{self.name or repr(self.by)} {self.descending} {self.nullable}"
        return Signer(salt=f"{__name__}:{rows.model._meta.label}:{order}")


@dataclass(frozen=True)
class _Place:
    """The row next to which a page begins."""

    value: Any
    pk: Any
    backwards: bool = False


def page(
    rows: QuerySet[Row],
    by: Combinable,
    *,
    descending: bool = False,
    nullable: bool = False,
    name: str = "",
    cursor: str = "",
    size: int = SIZE,
) -> Page[Row]:
    """One page of `rows` sorted by `by` and by primary key, which one index should serve together.

    Say `nullable` where `by` can be null; such rows come last. `name` stands for `by` in cursors where `by` holds a
    subquery, whose text differs from process to process. `cursor` comes from another page; one that is not of this list, or beside
    which nothing is left, gives the first page.
    """
    order = _Order(by, descending, nullable, name)
    place = _read(cursor, order.signer(rows))
    backwards = place is not None and place.backwards
    found = _take(rows, order, place, size + 1)
    if place and not found:
        return page(rows, by, descending=descending, nullable=nullable, name=name, size=size)
    more, found = len(found) > size, found[:size]
    if backwards:
        found.reverse()
    write = order.signer(rows)
    return Page(
        found,
        previous=_write(found[0], write, backwards=True) if place and (more or not backwards) else "",
        next=_write(found[-1], write, backwards=False) if more or backwards else "",
    )


def chunks(
    rows: QuerySet[Row],
    by: Combinable,
    *,
    descending: bool = False,
    nullable: bool = False,
    size: int = CHUNK,
) -> Iterator[list[Row]]:
    """All rows in order, `size` at a time, each time by a query of its own: nothing is held open, little in memory."""
    order, place = _Order(by, descending, nullable), None
    while found := _take(rows, order, place, size):
        yield found
        if len(found) < size:
            return
        place = _Place(_value(found[-1]), found[-1].pk)


def _take(rows: QuerySet[Row], order: _Order, place: _Place | None, count: int) -> list[Row]:
    found: list[Row] = []
    for part in _parts(rows, order, place):
        found += part[: count - len(found)]
        if len(found) == count:
            break
    return found


def _parts(rows: QuerySet[Row], order: _Order, place: _Place | None) -> Iterator[QuerySet[Row]]:
    """What follows in reading direction. Rows with a value and rows without are queries of their own, so that the index serves each."""
    backwards = place is not None and place.backwards
    ascending = order.descending == backwards
    ordered: Any = rows.annotate(sort_value=order.by).order_by(*_sorting(ascending))
    if not order.nullable:
        yield ordered.filter(_beyond(place, ascending)) if place else ordered
        return
    valued, empty = ordered.filter(sort_value__isnull=False), ordered.filter(sort_value__isnull=True)
    if place is None:
        yield from (valued, empty)
    elif place.value is None:
        rest = empty.filter(**{f"pk__{'gt' if ascending else 'lt'}": place.pk})
        yield from (rest, valued) if backwards else (rest,)
    else:
        rest = valued.filter(_beyond(place, ascending))
        yield from (rest,) if backwards else (rest, empty)


def _sorting(ascending: bool) -> tuple[Any, Any]:
    if ascending:
        return F("sort_value").asc(), F("pk").asc()
    return F("sort_value").desc(), F("pk").desc()


def _beyond(place: _Place, ascending: bool) -> Q:
    """The first condition alone lets the database begin in the middle of its index."""
    way = "gt" if ascending else "lt"
    further = Q(**{f"sort_value__{way}": place.value}) | Q(**{f"pk__{way}": place.pk})
    return Q(**{f"sort_value__{way}e": place.value}) & further


def _value(row: Model) -> Any:
    value = row.sort_value  # type: ignore[attr-defined]
    return value.isoformat() if isinstance(value, dt.datetime) else value


def _write(row: Model, signer: Signer, *, backwards: bool) -> str:
    return signer.sign_object([_value(row), row.pk, backwards])


def _read(cursor: str, signer: Signer) -> _Place | None:
    try:
        return _Place(*signer.unsign_object(cursor)) if cursor else None
    except (BadSignature, ValueError):
        return None
