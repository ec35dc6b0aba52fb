"""Rows that may not change, enforced by the database itself: triggers for SQLite and PostgreSQL.

They are installed after every migration, because SQLite drops a table's triggers when a migration rebuilds the table.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper


@dataclass(frozen=True)
class Guard:
    """Refuses an event on a table with one sentence; with `columns` only a change of one of these."""

    name: str
    table: str
    event: Literal["UPDATE", "DELETE"]
    sentence: str
    columns: tuple[str, ...] = ()


def install(guards: Iterable[Guard], using: str) -> None:
    """Makes the triggers anew; safe to repeat."""
    with connections[using].cursor() as cursor:
        for guard in guards:
            for statement in statements(guard, connections[using]):
                cursor.execute(statement)


def statements(guard: Guard, connection: BaseDatabaseWrapper) -> list[str]:
    """What makes the trigger anew."""
    return (_sqlite if connection.vendor == "sqlite" else _postgresql)(guard, connection)


def _sqlite(guard: Guard, connection: BaseDatabaseWrapper) -> list[str]:
    quote = connection.ops.quote_name
    changed = " OR ".join(f"OLD.{quote(column)} IS NOT NEW.{quote(column)}" for column in guard.columns)
    when = f"WHEN {changed} " if changed else ""
    return [
        f"DROP TRIGGER IF EXISTS {quote(guard.name)}",
        f"CREATE TRIGGER {quote(guard.name)} BEFORE {guard.event} ON {quote(guard.table)} {when}"
        f"BEGIN SELECT RAISE(ABORT, '{guard.sentence}'); END",
    ]


def _postgresql(guard: Guard, connection: BaseDatabaseWrapper) -> list[str]:
    quote = connection.ops.quote_name
    changed = " OR ".join(
        f"OLD.{quote(column)} IS DISTINCT FROM NEW.{quote(column)}" for column in guard.columns
    )
    when = f"WHEN ({changed}) " if changed else ""
    function = quote(guard.name + "_refuse")
    return [
        f"CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{guard.sentence}' USING ERRCODE = 'integrity_constraint_violation'; END $$",
        f"DROP TRIGGER IF EXISTS {quote(guard.name)} ON {quote(guard.table)}",
        f"CREATE TRIGGER {quote(guard.name)} BEFORE {guard.event} ON {quote(guard.table)} FOR EACH ROW {when}EXECUTE FUNCTION {function}()",
    ]


def installer(*guards: Guard) -> Any:
    """A receiver of post_migrate that installs the guards of one app."""

    def receive(using: str, **_: object) -> None:
        tables = connections[using].introspection.table_names()
        install((guard for guard in guards if guard.table in tables), using)

    return receive
