"""Share pages: secret links to public material, for the people who run a provider's backend and have no account here.

The secret has 256 bits, so that it cannot be guessed; only its digest is kept, and looked up as a whole.
"""

from __future__ import annotations

import datetime as dt
import secrets

from django.db import transaction

from portal import audit
from portal.audit import Actor
from portal.errors import Conflict
from portal.ids import digest
from portal.models import AuditEvent
from providers.handover import Offer, offers
from providers.models import Installed, Provider, SharePage
from stores import cases, notices

MOST_DAYS = 90
USUAL_DAYS = 30
AUDITED_EVERY = dt.timedelta(minutes=1)
"""Of one page and one address; so that nobody floods the audit by reloading."""


def visitor(address: str | None) -> Actor:
    """Whoever has the link: an address, and no user, also where the browser is signed in."""
    return Actor(address=address, name="whoever has the link")


@transaction.atomic
def make(
    *, provider: Provider, days: int, note: str, actor: Actor, now: dt.datetime
) -> tuple[SharePage, str]:
    """A new page and the secret of its address, which nobody can read again. Conflict when there is nothing to show."""
    if not offers(provider):
        raise Conflict(
            "nothing_to_share",
            f"“{provider}” shows no certificate yet, so there is nothing to hand over. Choose one for it first.",
        )
    token = secrets.token_urlsafe(32)
    page = SharePage.objects.create(
        team=provider.team,
        provider=provider,
        token_sha256=digest(token),
        note=note,
        created_by=actor.user,
        created_at=now,
        expires_at=now + dt.timedelta(days=days),
    )
    audit.record(actor, "share.made", page, team=page.team, provider=provider.name, count=days)
    return page, token


@transaction.atomic
def revoke(*, page: SharePage, actor: Actor, now: dt.datetime) -> None:
    """The link opens nothing from this instant; calling it again changes nothing."""
    if SharePage.objects.filter(pk=page.pk, revoked_at=None).update(revoked_at=now):
        audit.record(actor, "share.revoked", page, team=page.team, provider=page.provider.name)


def find(token: str, now: dt.datetime) -> SharePage | None:
    """The page that a secret opens now; None for an unknown, expired or revoked one."""
    working = SharePage.objects.filter(token_sha256=digest(token), revoked_at=None, expires_at__gt=now)
    return working.select_related("provider", "team").first()


@transaction.atomic
def note_visit(*, page: SharePage, action: str, who: Actor, now: dt.datetime) -> None:
    """Audits that the page was viewed or something of it downloaded, once per page, address and minute."""
    seen = AuditEvent.objects.filter(
        object_type="sharepage",
        object_id=page.pk,
        at__gt=now - AUDITED_EVERY,
        action=action,
        address=who.address,
    )
    if not seen.exists():
        SharePage.objects.filter(pk=page.pk).update(seen_at=now)
        audit.record(who, action, page, team=page.team, provider=page.provider.name)


@transaction.atomic
def confirm(*, page: SharePage, sha256: str, said_by: str, who: Actor, now: dt.datetime) -> None:
    """Keeps that they have installed a certificate of the page, as evidence on its open case; said twice it is kept once.

    Conflict when the page does not show that certificate any more.
    """
    offer = next((one for one in offers(page.provider) if one.leaf.sha256 == sha256), None)
    if offer is None:
        raise Conflict(
            "not_offered",
            "The certificate was replaced while you had this page open. Look at what it shows now.",
        )
    said = {"said_by": said_by, "said_at": now}
    _, is_new = Installed.objects.get_or_create(page=page, sha256=sha256, defaults=said)
    if is_new:
        audit.record(who, "share.installed", page, team=page.team, provider=page.provider.name, sha256=sha256)
        _spread(page, offer, said_by, now)


def _spread(page: SharePage, offer: Offer, said_by: str, now: dt.datetime) -> None:
    """To the case, and to who looks after the provider."""
    provider, version = page.provider, offer.version
    evidence = {
        "kind": "installed",
        "provider": str(provider),
        "version": version.number,
        "said_by": said_by,
        "at": now.isoformat(),
    }
    who = f"“{said_by}”" if said_by else "Somebody who has the link"
    cases.add_evidence(
        version.certificate,
        evidence,
        f"{who} says that {provider} has installed version {version.number}.",
        now,
    )
    notices.tell(
        team=page.team,
        people=notices.people_of(provider),
        key=f"installed/{page.pk}/{offer.leaf.sha256[:32]}",
        title=f"{provider} has installed version {version.number} of {version.certificate.name}",
        text=f"{who} said so on the page that you shared. Nobody has checked it: test the connection to see it.",
        url=provider.get_absolute_url(),
        now=now,
    )
