"""Many rows by one statement, where Django's ORM has no words for it or takes longer than the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from django.db import connections, router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BinaryField, Field, JSONField, Model

MOST_PARAMETERS = 30_000
"""SQLite takes 32,766 by one statement."""


@dataclass(frozen=True)
class Change:
    """What becomes of one row, provided that it still stands as it was read."""

    pk: Any
    values: Mapping[str, Any]
    """Field name to new value; all changes of one call name the same fields."""
    expected: Mapping[str, Any] = field(default_factory=dict)
    """Field name to the value that has been read; not None."""


def create(model: type[Model], rows: Sequence[Mapping[str, Any]], *, ignore_conflicts: bool = False) -> None:
    """Inserts rows, each given as column attributes (as `vars` of an instance has them) to values; what is missing takes its default.

    What is the same in all rows is prepared and sent once. Nothing is read back; a key that the database gives out is left to it.
    """
    if not rows:
        return
    connection = connections[router.db_for_write(model)]
    same: list[tuple[Field[Any, Any], Any]] = []
    varying: list[tuple[Field[Any, Any], list[Any]]] = []
    for one in model._meta.local_concrete_fields:
        values = _values(one, rows)
        if one.primary_key and values[0] is None:
            continue
        if values.count(values[0]) == len(values):
            same.append((one, values[0]))
        else:
            varying.append((one, values))
    size = max(1, MOST_PARAMETERS // (len(varying) + 1))
    for start in range(0, len(rows), size):
        some = [(one, values[start : start + size]) for one, values in varying]
        _insert(model, connection, min(size, len(rows) - start), same, some, ignore_conflicts)


def _values(one: Field[Any, Any], rows: Sequence[Mapping[str, Any]]) -> list[Any]:
    name = one.attname
    if one.primary_key and name not in rows[0]:
        return [one.get_default() for _ in rows]
    default = one.get_default()
    return [row.get(name, default) for row in rows]


def _insert(
    model: type[Model],
    connection: BaseDatabaseWrapper,
    count: int,
    same: Sequence[tuple[Field[Any, Any], Any]],
    varying: Sequence[tuple[Field[Any, Any], Sequence[Any]]],
    ignore_conflicts: bool,
) -> None:
    quote = connection.ops.quote_name
    columns = ", ".join(quote(cast(str, one.column)) for one, _ in (*varying, *same))
    cells = [_cell(place, one, connection) for place, (one, _) in enumerate(varying, 1)]
    constants = [_typed("%s", one, connection) for one, _ in same]
    row = f"({', '.join(['%s'] * len(varying)) or 'NULL'})"
    nothing = " ON CONFLICT DO NOTHING" if ignore_conflicts else ""
    sql = (
        f"INSERT INTO {quote(model._meta.db_table)} ({columns}) SELECT {', '.join([*cells, *constants])} "  # noqa: S608 - names of columns only
        f"FROM (VALUES {', '.join([row] * count)}) AS v WHERE true{nothing}"
    )
    prepared = [_prepared(one, values, connection) for one, values in varying]
    parameters = [one.get_db_prep_save(value, connection) for one, value in same]
    parameters += [value for row_values in zip(*prepared, strict=True) for value in row_values]
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)


def _prepared(one: Field[Any, Any], values: Sequence[Any], connection: BaseDatabaseWrapper) -> Sequence[Any]:
    """The values as the database takes them; each different one is prepared once."""
    if isinstance(one, JSONField | BinaryField):
        return [one.get_db_prep_save(value, connection) for value in values]
    known = {value: one.get_db_prep_save(value, connection) for value in set(values)}
    return [known[value] for value in values]


def write(model: type[Model], changes: Sequence[Change]) -> set[Any]:
    """Writes all changes by one conditional UPDATE; the primary keys of the rows that still stood as expected.

    A row that somebody else has moved on meanwhile is left alone, and missing in the answer: so work is claimed. On PostgreSQL and SQLite.
    """
    if not changes:
        return set()
    connection = connections[router.db_for_write(model)]
    quote = connection.ops.quote_name
    names = [model._meta.pk.name, *changes[0].expected, *changes[0].values]
    fields = cast("list[Field[Any, Any]]", [model._meta.get_field(name) for name in names])
    table, own = quote(model._meta.db_table), [quote(cast(str, one.column)) for one in fields]
    cells = [_cell(place, one, connection) for place, one in enumerate(fields, 1)]
    after = 1 + len(changes[0].expected)
    assignments = ", ".join(map("{} = {}".format, own[after:], cells[after:]))
    conditions = " AND ".join(map((table + ".{} = {}").format, own[:after], cells[:after]))
    row = f"({', '.join(['%s'] * len(fields))})"
    sql = (
        f"UPDATE {table} SET {assignments} FROM (VALUES {', '.join([row] * len(changes))}) AS v "  # noqa: S608 - names of columns only
        f"WHERE {conditions} RETURNING {table}.{own[0]}"
    )
    rows = ((change.pk, *change.expected.values(), *change.values.values()) for change in changes)
    columns = [
        _prepared(one, values, connection)
        for one, values in zip(fields, zip(*rows, strict=True), strict=True)
    ]
    parameters = [value for values in zip(*columns, strict=True) for value in values]
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return {found[0] for found in cursor.fetchall()}


def _cell(place: int, one: Field[Any, Any], connection: BaseDatabaseWrapper) -> str:
    return _typed(f"v.column{place}", one, connection)


def _typed(cell: str, one: Field[Any, Any], connection: BaseDatabaseWrapper) -> str:
    """A value of its column's type; PostgreSQL guesses it from the first row of VALUES, in which anything may be NULL."""
    return f"CAST({cell} AS {one.db_type(connection)})" if connection.vendor == "postgresql" else cell
