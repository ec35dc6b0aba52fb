"""The example team: certificates in every state, two providers and a host, made on the spot and removed as quickly."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.db import transaction

from portal import audit
from portal.audit import Actor
from portal.errors import Conflict
from portal.models import Membership, Role, Team
from portal.names import fold
from providers import example_tests, services
from providers.example_material import Minted, authority, leaf
from providers.models import Host, Provider
from stores import originals, watch
from stores.formats.parsed import Upload
from stores.models import Certificate, Draft, Store, Version
from stores.saving import keep
from stores.services import create_store

NAME = "Example"
PASSWORD = "example"  # noqa: S105
CLIENTS, GATEWAY, PARTNERS, CALLERS = (
    "Outbound clients",
    "Gateway addresses",
    "Partner roots",
    "Known callers",
)
DESCRIPTIONS = {
    CLIENTS: ("key", "What we show when we call others."),
    GATEWAY: ("key", "What the gateway shows to those who call us."),
    PARTNERS: ("trust", "Whom we believe when we call them."),
    CALLERS: ("trust", "Whose client certificates the gateway recognises."),
}


def load(*, actor: Actor, now: dt.datetime) -> Team:
    """The example team of the actor, made unless it is there. The watch runs at once, so that the stages are seen."""
    if actor.user is None:
        raise ValueError("an example team needs an owner")
    known = Team.objects.filter(
        is_example=True, memberships__user=actor.user, memberships__role=Role.OWNER
    ).first()
    if known:
        return known
    with transaction.atomic():
        team = Team.objects.create(name=_free_name(), is_example=True)
        Membership.objects.create(team=team, user=actor.user, role=Role.OWNER)
        audit.record(actor, "team.created", team, team=team)
        _Builder(team, actor, now).build()
    watch.find_due(now)
    return team


def _free_name() -> str:
    taken = set(Team.objects.filter(folded_name__startswith=fold(NAME)).values_list("folded_name", flat=True))
    names = (NAME, *(f"{NAME} {number}" for number in range(2, len(taken) + 3)))
    return next(name for name in names if fold(name) not in taken)


@transaction.atomic
def remove(*, team: Team, actor: Actor) -> None:
    """Removes an example team with all that it keeps, sealed files included; Conflict for any other team."""
    team = Team.objects.select_for_update().get(pk=team.pk)
    if not team.is_example:
        raise Conflict("no_example", f"{team.name} is no example team. Delete what it keeps piece by piece.")
    audit.record(actor, "team.deleted", team, team=team)
    names = [
        name
        for model in (Version, Draft)
        for pair in model.objects.filter(team=team).values_list("original", "key_original")
        for name in pair
    ]
    for model in (Provider, Host, Certificate, Store):
        model.objects.filter(team=team).delete()
    team.delete()
    transaction.on_commit(lambda: originals.remove(*names))


@dataclass(frozen=True)
class _Builder:
    """Fills one team. Days are counted from now; what lies in the past is uploaded at an instant of the past."""

    team: Team
    actor: Actor
    now: dt.datetime

    def build(self) -> None:
        for name, (kind, description) in DESCRIPTIONS.items():
            create_store(team=self.team, kind=kind, name=name, description=description, actor=self.actor)
        root = authority("Example Root", self._at(-1500), self._at(2100))
        issuing = authority("Example Issuing CA 2", self._at(-1400), self._at(900), root)
        self._keep_clients(issuing)
        self._keep_failing_chain(root)
        self._keep_gateway(issuing)
        partner = self._keep_trusted(root)
        self._register(partner)

    def _keep_clients(self, issuing: Minted) -> None:
        name = "orders-client.example.org"
        for begin, end in ((-1085, -720), (-724, -359), (-361, 4.2)):
            self._key(
                "orders-client",
                leaf(name, self._at(begin), self._at(end), issuing),
                begin + 1,
                "Calls the order system.",
            )
        self._key(
            "reports-client",
            leaf("reports-client.example.org", self._at(-320), self._at(45.2), issuing),
            -319,
        )
        self._key(
            "catalogue-client",
            leaf("catalogue-client.example.org", self._at(-368), self._at(-3), issuing),
            -367,
        )
        self._key(
            "archive-client",
            leaf("archive-client.example.org", self._at(-30), self._at(335), issuing),
            -29,
            "Nothing uses it any more.",
        )

    def _keep_failing_chain(self, root: Minted) -> None:
        """The leaf would live for long, the intermediate above it does not."""
        issuing = authority("Example Issuing CA 1", self._at(-1400), self._at(20.2), root)
        payments = leaf("payments-client.example.org", self._at(-140), self._at(225), issuing)
        self._key("payments-client", payments, -139, "Fails with the intermediate above it.")

    def _keep_gateway(self, issuing: Minted) -> None:
        """A valid certificate with its successor staged; both have the same key."""
        present = leaf("api.example.org", self._at(-250), self._at(115), issuing)
        self._key("api-gateway", present, -249)
        following = leaf("api.example.org", self._at(-1), self._at(364), issuing, present.key)
        upload = Upload("api-gateway.p12", following.pkcs12(PASSWORD), "key", password=PASSWORD)
        keep(
            team=self.team, upload=upload, store_name=GATEWAY, certificate_name="api-gateway", actor=self.actor, now=self.now,
            at_once=False, activate_at=self._at(14),
        )  # fmt: skip

    def _keep_trusted(self, root: Minted) -> Minted:
        """The partner's root that lasts longest."""
        roots = [
            authority(f"Partner Root {number}", self._at(-900), self._at(end))
            for number, end in ((1, 52.2), (2, 1400), (3, 2600))
        ]
        bank = authority("Example Bank Root", self._at(-400), self._at(3200))
        self._trust(PARTNERS, "partner-bundle", b"".join(one.pem for one in roots), -400)
        self._trust(PARTNERS, "bank-root", bank.pem, -390)
        self._trust(CALLERS, "example-root", root.pem, -390)
        return roots[-1]

    def _register(self, partner: Minted) -> None:
        partners, callers = (Store.objects.get(team=self.team, name=name) for name in (PARTNERS, CALLERS))
        orders = Provider(
            team=self.team, name="orders", title="Order system", description="Takes and confirms orders.", host="orders.example.org",
            key_certificate=self._certificate("orders-client"), trust_store=partners, path_prefix="/orders", collection_path="/v1",
            is_watched=False,
        )  # fmt: skip
        payments = Provider(
            team=self.team, name="payments", title="Payments of the bank", host="payments.example.org", port=8443,
            key_certificate=self._certificate("payments-client"), trust_store=partners, trust_certificate=self._certificate("bank-root"),
            is_watched=False,
        )  # fmt: skip
        for provider in (orders, payments):
            services.create_provider(provider=provider, actor=self.actor)
        server = leaf(orders.host, self._at(-60), self._at(140), partner)
        example_tests.tell(orders, server, self._at(-0.2))
        gateway = Host(
            team=self.team, name="api", host_name="api.example.org", key_certificate=self._certificate("api-gateway"), trust_store=callers,
            description="Where partners reach our APIs.",
        )  # fmt: skip
        services.create_host(host=gateway, actor=self.actor)

    def _key(self, name: str, minted: Minted, day: float, description: str = "") -> None:
        store = GATEWAY if name == "api-gateway" else CLIENTS
        self._upload(store, name, Upload(f"{name}.pem", minted.pem_pair, "key"), day, description)

    def _trust(self, store: str, name: str, content: bytes, day: float) -> None:
        self._upload(store, name, Upload(f"{name}.pem", content, "trust"), day, "")

    def _upload(self, store: str, name: str, upload: Upload, day: float, description: str) -> None:
        keep(
            team=self.team, upload=upload, store_name=store, certificate_name=name, description=description, actor=self.actor,
            now=self._at(day),
        )  # fmt: skip

    def _certificate(self, name: str) -> Certificate:
        return Certificate.objects.get(team=self.team, name=name)

    def _at(self, day: float) -> dt.datetime:
        return self.now.replace(microsecond=0) + dt.timedelta(days=day)
