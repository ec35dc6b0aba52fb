"""Fills a database with many certificates, as rows: what pages and scans are measured on."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterator
from itertools import islice

from django.db import connection
from django.db.models import BigAutoField, Model

from portal.ids import random_id
from portal.models import Membership, Role, Team, User
from stores.models import Certificate, ChainCertificate, Store, Version

BATCH = 2_000
STORES = 50


def owner_of(team: Team) -> User:
    """Somebody who may do everything in the team."""
    user = User.objects.create_user(email=f"{random_id()}@example.org")
    Membership.objects.create(team=team, user=user, role=Role.OWNER)
    return user


def populate(team: Team, count: int, now: dt.datetime, *, ends: dt.datetime | None = None) -> None:
    """`count` certificates with an active version each, ending between a year and five years from now, none due.

    With `ends`, less than 60 days away, they all end then and have just come into their notice stage.
    """
    stores = Store.objects.bulk_create(
        [Store(team=team, kind="key", name=f"store {number:03}") for number in range(STORES)]
    )
    rows = _rows(team, stores, count, now, ends)
    while batch := list(islice(rows, BATCH)):
        Certificate.objects.bulk_create([row[0] for row in batch])
        Version.objects.bulk_create([row[1] for row in batch])
        ChainCertificate.objects.bulk_create([row[2] for row in batch])
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")  # as autovacuum does, a minute after so many rows


def _rows(
    team: Team, stores: list[Store], count: int, now: dt.datetime, due: dt.datetime | None
) -> Iterator[tuple[Certificate, Version, ChainCertificate]]:
    for number in range(count):
        ends = due or now + dt.timedelta(days=365 + number % 1461, seconds=number)
        digest, name = hashlib.sha256(b"%d" % number).hexdigest(), f"client {number:06}"
        certificate = Certificate(
            id=_short_id(),
            team=team,
            store=stores[number % STORES],
            name=name,
            fails_at=ends,
            search_text=f"{name}\ncn={name}\n{number:x}\n{digest}",
        )
        version = Version(
            id=_short_id(),
            team=team,
            certificate=certificate,
            number=1,
            state="active",
            format="pem",
            file_name=f"{number}.pem",
            file_size=2000,
            created_at=now,
            key_type="EC P-256",
            subject=f"CN={name}",
            activated_at=now,
            original=f"bench-{number}",
            sealed_with="bench",
            fails_at=ends,
            fails_sha256=digest,
            fails_name=name,
            next_stage_at=ends - dt.timedelta(days=60),
        )
        chain = ChainCertificate(
            version=version,
            position=0,
            sha256=digest,
            subject=f"CN={name}",
            issuer="CN=Bench CA",
            common_name=name,
            serial=f"{number:x}",
            not_before=now - dt.timedelta(days=300),
            not_after=ends,
            key_type="EC P-256",
            signature="SHA-256 with ECDSA",
            is_ca=False,
            is_self_signed=False,
            spki_sha256=digest,
            der=b"",
        )
        yield certificate, version, chain


def due_team(count: int, now: dt.datetime) -> Team:
    """A team with an owner and `count` certificates that have just come into their notice stage; a thousand are made, the rest copied."""
    team = bench_team()
    owner_of(team)
    made = min(count, 1_000)
    ends = now + dt.timedelta(days=59)
    populate(team, made, now, ends=ends)
    multiply(team, count // made)
    return team


def multiply(team: Team, times: int) -> None:
    """Each certificate of the team, with its version and its chain, so many times in all; copied in the database, a million in a minute."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA cache_size = -1000000")
        for model in (Certificate, Version, ChainCertificate):
            cursor.execute(*_copying(model, team, times - 1))
        cursor.execute("ANALYZE")


def _copying(model: type[Model], team: Team, copies: int) -> tuple[str, list[str | int]]:
    number = "to_hex(n)" if connection.vendor == "postgresql" else "printf('%%x', n)"
    copied = {"id", "name", "folded_name", "certificate_id", "version_id"}
    columns = [
        field.column
        for field in model._meta.concrete_fields
        if field.column and not isinstance(field, BigAutoField)
    ]
    values = [f"t.{column} || '-' || {number}" if column in copied else f"t.{column}" for column in columns]
    table, quoted = model._meta.db_table, ", ".join(columns)
    originals = f"SELECT t.* FROM {table} t WHERE t.team_id = %s"
    if model is ChainCertificate:
        join = f"JOIN {Version._meta.db_table} v ON v.id = t.version_id"
        originals = f"SELECT t.* FROM {table} t {join} WHERE v.team_id = %s AND v.id NOT LIKE '%%-%%'"
    sql = (
        f"WITH RECURSIVE copies(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM copies WHERE n < %s) "
        f"INSERT INTO {table} ({quoted}) SELECT {', '.join(values)} FROM ({originals}) t CROSS JOIN copies"
    )
    return sql, [copies, team.pk]


def _short_id() -> str:
    """With room for the mark of a copy."""
    return random_id()[:8]


def bench_team() -> Team:
    return Team.objects.create(name=f"Bench {random_id()}")
