"""The fixed cast of all tests: one team, people in every role, and those who are not in it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import time_machine
from django.test import Client

from portal.audit import Actor
from portal.models import Membership, Role, Team, User
from stores.formats.parsed import StoreKind, Upload
from stores.models import Version
from stores.saving import keep
from tests.material import NOW, Minted, mint


@dataclass(frozen=True)
class Cast:
    """Payments is the team of owner, editor and viewer; Strangers that of the outsider; nobody is in no team."""

    team: Team
    other_team: Team
    owner: User
    editor: User
    viewer: User
    outsider: User
    nobody: User

    @property
    def actor(self) -> Actor:
        return Actor(self.owner, "192.0.2.1")


def person(name: str) -> User:
    return User.objects.create_user(
        email=f"{name}@example.org", password="correct horse battery", first_name=name.title()
    )


@pytest.fixture
def cast(db: None) -> Cast:
    team, other = Team.objects.create(name="Payments"), Team.objects.create(name="Strangers")
    people = {name: person(name) for name in ("owner", "editor", "viewer", "outsider", "nobody")}
    for role in Role:
        Membership.objects.create(team=team, user=people[role.value], role=role)
    Membership.objects.create(team=other, user=people["outsider"], role=Role.OWNER)
    return Cast(team, other, **people)


@pytest.fixture
def now() -> Iterator[dt.datetime]:
    """The instant at which tests stand; the clock stands there as well."""
    with time_machine.travel(NOW, tick=False):
        yield NOW


def client_of(user: User | None) -> Client:
    """A browser in which the user is signed in; None for nobody."""
    client = Client()
    if user:
        client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    return client


def pem_upload(*chain: Minted, store: StoreKind = "key", name: str = "orders.pem") -> Upload:
    """A PEM file with the chain, and the leaf's key where it goes to a key store."""
    content = b"".join(one.pem for one in chain) + (chain[0].key_pem if store == "key" else b"")
    return Upload(name=name, content=content, store=store)


def kept(
    cast: Cast,
    *chain: Minted,
    name: str = "orders-client",
    store: str = "outbound",
    kind: StoreKind = "key",
    now: dt.datetime = NOW,
    at_once: bool = True,
) -> Version:
    """A version of a certificate, uploaded by the owner; without a chain a fresh leaf below a fresh root."""
    chain = chain or (mint(name, mint("Example Root", ca=True)),)
    upload = pem_upload(*chain, store=kind)
    return keep(
        team=cast.team,
        upload=upload,
        store_name=store,
        certificate_name=name,
        actor=cast.actor,
        now=now,
        at_once=at_once,
    )
