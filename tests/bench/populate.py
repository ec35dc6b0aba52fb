"""Fills a database with many certificates, as rows: what pages and scans are measured on."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterator
from itertools import islice

from django.db import connection

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


def populate(team: Team, count: int, now: dt.datetime) -> None:
    """`count` certificates with an active version each, ending between a year and five years from now, none due."""
    stores = Store.objects.bulk_create(
        [Store(team=team, kind="key", name=f"store {number:03}") for number in range(STORES)]
    )
    rows = _rows(team, stores, count, now)
    while batch := list(islice(rows, BATCH)):
        Certificate.objects.bulk_create([row[0] for row in batch])
        Version.objects.bulk_create([row[1] for row in batch])
        ChainCertificate.objects.bulk_create([row[2] for row in batch])
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")  # as autovacuum does, a minute after so many rows


def _rows(
    team: Team, stores: list[Store], count: int, now: dt.datetime
) -> Iterator[tuple[Certificate, Version, ChainCertificate]]:
    for number in range(count):
        ends = now + dt.timedelta(days=365 + number % 1461, seconds=number)
        digest, name = hashlib.sha256(b"%d" % number).hexdigest(), f"client {number:06}"
        certificate = Certificate(
            team=team,
            store=stores[number % STORES],
            name=name,
            fails_at=ends,
            search_text=f"{name}\ncn={name}\n{number:x}\n{digest}",
        )
        version = Version(
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
            not_before=now - dt.timedelta(days=30),
            not_after=ends,
            key_type="EC P-256",
            signature="SHA-256 with ECDSA",
            is_ca=False,
            is_self_signed=False,
            spki_sha256=digest,
            der=b"",
        )
        yield certificate, version, chain


def make_due(count: int, now: dt.datetime) -> None:
    """Lets `count` versions enter their notice stage: they end in 59 days."""
    chosen = list(Version.objects.filter(state="active").order_by("id").values_list("pk", flat=True)[:count])
    ends = now + dt.timedelta(days=59)
    for start in range(0, count, 500):
        some = chosen[start : start + 500]
        ChainCertificate.objects.filter(version__in=some).delete()
        versions = list(Version.objects.filter(pk__in=some))
        ChainCertificate.objects.bulk_create([_ending(version, ends, now) for version in versions])
        Version.objects.filter(pk__in=some).update(fails_at=ends, next_stage_at=now - dt.timedelta(days=1))


def _ending(version: Version, ends: dt.datetime, now: dt.datetime) -> ChainCertificate:
    return ChainCertificate(
        version=version,
        position=0,
        sha256=version.fails_sha256,
        subject=version.subject,
        issuer="CN=Bench CA",
        common_name=version.fails_name,
        serial="1",
        not_before=now - dt.timedelta(days=300),
        not_after=ends,
        key_type="EC P-256",
        signature="SHA-256 with ECDSA",
        is_ca=False,
        is_self_signed=False,
        spki_sha256=version.fails_sha256,
        der=b"",
    )


def bench_team() -> Team:
    return Team.objects.create(name=f"Bench {random_id()}")
