"""A team in the middle of its life, for looking at pages: something urgent, something soon, old versions, users, notices."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.db.models import Model
from django.urls import reverse
from django.utils import timezone

from portal.audit import Actor
from providers import sharing
from providers.models import ConnectionReport, Host, Overlap, Provider
from stores import case_work, feeds, issuers, watch, webhooks
from stores.models import Case, Feed, Version, Webhook, WebhookAttempt
from tests.cast import Cast, kept
from tests.material import Minted, mint
from tests.providers.reported import HOST, UNTRUSTED, reported
from tests.providers.samples import gateway_of, samples_of


@dataclass(frozen=True)
class World:
    """What the pages show."""

    cast: Cast
    urgent: Version
    bundle: Version
    provider: Provider
    host: Host
    root: Minted
    tested: tuple[Model, ...]
    """What connection tests have left behind."""
    shared: str
    """Address of the share page of the provider."""
    reports: tuple[ConnectionReport, ConnectionReport]
    """A test that failed, and a later one that passed."""
    cases: tuple[Case, ...]
    """One that is taken, one that is snoozed, one that waits for proof, and one that is closed."""


def days(number: float) -> dt.datetime:
    return timezone.now() + dt.timedelta(days=number)


def make_world(cast: Cast) -> World:
    """As of the real clock, since a browser has no other."""
    now = timezone.now()
    root = mint("Example Root R1", ca=True, begin=days(-2000), end=days(3000))
    issuing = mint("Example Issuing CA 2", root, ca=True, begin=days(-1500), end=days(6))
    kept(cast, mint("orders-client", root, begin=days(-300), end=days(60), key_name="old"), root, now=now)
    urgent = kept(
        cast, mint("orders-client", issuing, begin=days(-10), end=days(108), kind="rsa2048"), issuing, now=now
    )
    for name, ends in (("billing-client", 24), ("ledger-client", 58), ("payments-client", 400)):
        kept(cast, mint(name, root, begin=days(-200), end=days(ends)), root, name=name, now=now)
    kept(
        cast,
        mint("payments-client", root, begin=days(2), end=days(500), key_name="next"),
        root,
        name="payments-client",
        now=now,
    )
    bundle = kept(
        cast,
        root,
        mint("Acme Root 2016", ca=True, begin=days(-3000), end=days(20)),
        name="partners",
        store="partner-cas",
        kind="trust",
        now=now,
    )
    provider = Provider.objects.create(
        team=cast.team,
        name="orders",
        title="Orders API",
        host="orders.example.org",
        key_certificate=urgent.certificate,
        trust_store=bundle.certificate.store,
    )
    host = Host.objects.create(
        team=cast.team,
        name="public api",
        host_name="api.example.org",
        key_certificate=urgent.certificate,
        trust_store=bundle.certificate.store,
    )
    watch.find_due(now)
    staged = kept(
        cast,
        mint("orders-client", root, begin=days(-1), end=days(400), key_name="after"),
        root,
        now=now,
        at_once=False,
    )
    tested = [
        *samples_of(staged, provider),
        gateway_of(host, provider),
        overlapping(cast, now),
        *told(cast, now),
    ]
    _, token = sharing.make(
        provider=provider, days=30, note="Please install it on both nodes.", actor=cast.actor, now=now
    )
    shared = reverse("providers:handover", args=[token])
    reports = make_reports(cast, provider, root)
    feeds.make(team=cast.team, scope=Feed.Scope.MINE, actor=cast.actor, now=now)
    worked = make_cases(cast, urgent, root, now)
    return World(cast, urgent, bundle, provider, host, root, tuple(tested), shared, reports, worked)


def make_cases(cast: Cast, urgent: Version, root: Minted, now: dt.datetime) -> tuple[Case, ...]:
    """What people have done about the cases that the watch has opened."""
    team, editor = cast.team, Actor(cast.editor)
    taken, snoozed, waiting = (
        Case.objects.open().get(certificate__name=name)
        for name in ("orders-client", "ledger-client", "billing-client")
    )
    how = "Ask at https://pki.example.org/request, or mail pki@example.org.\nIt takes two days; the owner of the cost centre signs."
    issuer = issuers.issuer_of(urgent.certificate)
    issuers.write_note(team=team, issuer=issuer, text=how, seen="", actor=editor, now=now)
    case_work.take(case=taken, seen=case_work.holding(taken), actor=editor, now=now)
    case_work.note(
        case=taken, text="Asked for under https://tickets.example.org/4711.", actor=editor, now=now
    )
    case_work.hand(case=taken, to=cast.owner, words="I am away from Monday on.", actor=editor, now=now)
    reason = "The supplier moves to another CA first; the certificate follows with that."
    case_work.snooze(case=snoozed, until=days(20), reason=reason, actor=editor, now=now)
    for name in ("Billing API", "Invoices"):
        Provider.objects.create(
            team=team, name=name, host="billing.example.org", key_certificate=waiting.certificate
        )
    leaf = mint("billing-client", root, begin=days(-1), end=days(390), key_name="after")
    kept(cast, leaf, root, name="billing-client", now=now)
    gone = kept(cast, mint("audit-client", root, begin=days(-300), end=days(4)), name="audit-client", now=now)
    watch.find_due(now)
    closed = Case.objects.open().get(certificate=gone.certificate)
    leaf = mint("audit-client", root, begin=days(-1), end=days(390), key_name="after")
    kept(cast, leaf, root, name="audit-client", now=now)
    return taken, snoozed, waiting, closed


def told(cast: Cast, now: dt.datetime) -> tuple[Webhook, WebhookAttempt]:
    """A webhook that was told something, and did not take it at first."""
    hook, _ = webhooks.make(
        team=cast.team,
        name="#certificates",
        url="http://127.0.0.1/services/T0/B0",
        shape="text",
        actor=cast.actor,
        now=now,
    )
    sent = {
        "team": cast.team,
        "webhook": hook,
        "message_id": "notices-0f3c1e5b7a9d4286",
        "body": '{"text":"*orders-client fails in 6 days*"}',
    }
    WebhookAttempt.objects.create(
        **sent,
        at=days(-0.02),
        seconds=0.21,
        status=503,
        error="The receiver answered 503.",
        answer="Try later",
    )
    return hook, WebhookAttempt.objects.create(**sent, at=days(-0.01), seconds=0.18, status=200, answer="ok")


def overlapping(cast: Cast, now: dt.datetime) -> Overlap:
    """A CA of the provider's trust store was replaced a moment ago."""
    for name in ("Partner CA 2016", "Partner CA 2026"):
        root = mint(name, ca=True, begin=days(-100), end=days(2500))
        kept(cast, root, name="partner-ca", store="partner-cas", kind="trust", now=now)
    return Overlap.objects.get(certificate__name="partner-ca")


def make_reports(cast: Cast, provider: Provider, root: Minted) -> tuple[ConnectionReport, ConnectionReport]:
    """Yesterday nobody trusted the server's chain, today it is trusted."""
    issuing = mint("Backend Issuing CA", root, ca=True, begin=days(-900), end=days(800))
    leaf = mint(HOST, issuing, begin=days(-70), end=days(20), hosts=(HOST,))
    shown = provider.key_certificate and provider.key_certificate.active
    failed = reported(provider, days(-1), leaf, found=UNTRUSTED, reason="watch")
    passed = reported(provider, days(-0.01), leaf, issuing, anchor=root, shown=shown, asked_by=cast.owner)
    return failed, passed
