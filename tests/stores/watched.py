"""Active versions for tests of the watch: rows only, since it reads dates and never bytes."""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass

from django.contrib.auth.models import AbstractBaseUser

from portal.models import Team, User
from stores import watch
from stores.models import Certificate, ChainCertificate, Store, Version
from tests.material import NOW


def day(number: float) -> dt.datetime:
    """So many days from the instant at which tests stand."""
    return NOW + dt.timedelta(days=number)


@dataclass(frozen=True)
class Link:
    """One certificate of a chain; `end` and `life` in days, `end` counted from the instant at which tests stand."""

    name: str
    end: float
    life: float = 360
    self_signed: bool = False

    @property
    def sha256(self) -> str:
        return hashlib.sha256(f"{self.name} {self.end} {self.life}".encode()).hexdigest()


def watched(
    team: Team,
    *links: Link,
    name: str = "orders-client",
    kind: str = "key",
    owner: AbstractBaseUser | None = None,
    now: dt.datetime = NOW,
) -> Version:
    """An active version of a certificate of this name, with the watch started at `now`."""
    store, _ = Store.objects.get_or_create(team=team, kind=kind, name=f"{kind} store")
    assert owner is None or isinstance(owner, User)
    slot, _ = Certificate.objects.get_or_create(team=team, store=store, name=name, defaults={"owner": owner})
    number = slot.versions.count() + 1
    version = Version.objects.create(
        team=team, certificate=slot, number=number, state=Version.State.ACTIVE, format="pem", file_name="orders.pem",
        file_size=1000, created_at=now, activated_at=now, original="tests", sealed_with="tests", subject=links[0].name,
    )  # fmt: skip
    ChainCertificate.objects.bulk_create(row(version, place, link) for place, link in enumerate(links))
    watch.start(version, now)
    return version


def row(version: Version, place: int, link: Link) -> ChainCertificate:
    """The row of one link at its place."""
    return ChainCertificate(
        version=version, position=place, sha256=link.sha256, subject=f"CN={link.name}", issuer="CN=Somebody",
        common_name=link.name, serial="1", not_before=day(link.end - link.life), not_after=day(link.end), key_type="EC P-256",
        signature="ECDSA with SHA-256", is_ca=place > 0, is_self_signed=link.self_signed, spki_sha256="", der=b"",
    )  # fmt: skip
