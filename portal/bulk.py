"""Writing different values to many rows in one statement, which Django's ORM has no words for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from django.db import connections, router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Field, Model


@dataclass(frozen=True)
class Change:
    """What becomes of one row, provided that it still stands as it was read."""

    pk: Any
    values: Mapping[str, Any]
    """Field name to new value; all changes of one call name the same fields."""
    expected: Mapping[str, Any] = field(default_factory=dict)
    """Field name to the value that has been read; not None."""


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
    parameters = [
        one.get_db_prep_save(value, connection)
        for change in changes
        for one, value in zip(
            fields, (change.pk, *change.expected.values(), *change.values.values()), strict=True
        )
    ]
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return {found[0] for found in cursor.fetchall()}


def _cell(place: int, one: Field[Any, Any], connection: BaseDatabaseWrapper) -> str:
    """A column of VALUES; PostgreSQL guesses its type from the first row, in which anything may be NULL."""
    if connection.vendor == "postgresql":
        return f"CAST(v.column{place} AS {one.db_type(connection)})"
    return f"v.column{place}"
