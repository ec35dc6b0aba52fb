"""The webhooks of a team: made, changed, switched off. Addresses and secrets are sealed; a secret is shown once (DESIGN section 9).

Signing follows Standard Webhooks (standardwebhooks.com): HMAC-SHA256 under a secret that begins with `whsec_`.
"""

from __future__ import annotations

import base64
import datetime as dt
import secrets

from django.db import IntegrityError, transaction

from portal import audit, vault
from portal.audit import SYSTEM, Actor
from portal.errors import Conflict, Unavailable
from portal.models import Team, only
from portal.posting import Url
from stores import notices
from stores.models import Notice, Webhook
from stores.querysets import NoticeQuerySet

PREFIX = "whsec_"
SECRET_OCTETS = 32
OLD_SECRET_SIGNS = dt.timedelta(hours=24)
"""How long receivers have to learn a new secret."""
MOST = 20
DISABLED = "The webhook is switched off."
LOST = (
    "The address of the webhook cannot be decrypted: the key that seals it is not in the portal's key ring."
)


@transaction.atomic
def make(
    *, team: Team, name: str, url: str, shape: str, actor: Actor, now: dt.datetime
) -> tuple[Webhook, str]:
    """A new webhook and its secret, which nobody can read again. The address has passed `Url.read`."""
    if Webhook.objects.filter(team=team).count() >= MOST:
        raise Conflict(
            "too_many", f"A team has at most {MOST} webhooks. Delete one that is not used any more.", field="name"
        )  # fmt: skip
    secret = _new_secret()
    hook = Webhook(team=team, name=name, format=shape, created_by=actor.user, created_at=now)
    hook.host = Url.read(url).origin[:260]
    hook.sealed_url = vault.seal(url.encode(), hook.binding("url"))
    hook.sealed_secret = vault.seal(secret.encode(), hook.binding("secret"))
    hook.sealed_with = vault.ring().current
    _save(hook, insert=True)
    audit.record(actor, "webhook.created", hook, team=team, format=shape)
    return hook, secret


@transaction.atomic
def edit(*, webhook: Webhook, name: str, url: str, shape: str, actor: Actor) -> None:
    """Another name or format; another address unless `url` is empty. The secret stays."""
    hook = locked(webhook)
    before = {"name": hook.name, "format": hook.format, "address": ""}
    changed = [
        key for key, value in {"name": name, "format": shape, "address": url}.items() if value != before[key]
    ]
    if not changed:
        return
    hook.name, hook.format = name, shape
    if url:
        _rewrap(hook)
        hook.host = Url.read(url).origin[:260]
        hook.sealed_url = vault.seal(url.encode(), hook.binding("url"))
    _save(hook)
    audit.record(actor, "webhook.changed", hook, team=hook.team, old_name=before["name"], changed=changed)


@transaction.atomic
def rotate_secret(*, webhook: Webhook, actor: Actor, now: dt.datetime) -> str:
    """A new secret; the one before signs as well for a day, so that no message is lost while receivers change over."""
    hook, secret = locked(webhook), _new_secret()
    _rewrap(hook)
    old = vault.open_sealed(bytes(hook.sealed_secret), hook.binding("secret"))
    hook.sealed_previous = vault.seal(old, hook.binding("previous"))
    hook.previous_until = now + OLD_SECRET_SIGNS
    hook.sealed_secret = vault.seal(secret.encode(), hook.binding("secret"))
    hook.save()
    audit.record(actor, "webhook.secret_rotated", hook, team=hook.team)
    return secret


@transaction.atomic
def switch(*, webhook: Webhook, on: bool, actor: Actor) -> None:
    """Told again from now on, or not any more; what waits for one that is switched off is dropped. Safe to repeat."""
    hook = locked(webhook)
    if hook.is_enabled == on:
        return
    Webhook.objects.filter(pk=hook.pk).update(is_enabled=on)
    if not on:
        drop(waiting(hook))
    audit.record(actor, "webhook.enabled" if on else "webhook.disabled", hook, team=hook.team)


@transaction.atomic
def delete(*, webhook: Webhook, actor: Actor) -> None:
    """With its log, and what waits for it."""
    hook = locked(webhook)
    audit.record(actor, "webhook.deleted", hook, team=hook.team)
    hook.delete()


@transaction.atomic
def gone(webhook: Webhook, message_id: str, now: dt.datetime) -> None:
    """The receiver has said 410: it wants no more. The webhook is switched off, and the team's owners are told. Safe to repeat."""
    if not Webhook.objects.filter(pk=webhook.pk, is_enabled=True).update(is_enabled=False):
        return
    drop(waiting(webhook))
    audit.record(SYSTEM, "webhook.disabled", webhook, team=webhook.team, reason="410 Gone")
    notices.tell(
        team=webhook.team,
        people=notices.owners_of(webhook.team),
        key=f"webhook/{message_id}"[:100],
        title=f"The webhook {webhook.name} was switched off",
        text="Its receiver answered 410 Gone: it wants no more messages. What waited for it is not sent. Switch it on again once its "
        "address is right, or delete it.",
        url=webhook.get_absolute_url(),
        now=now,
        webhooks=False,
    )  # fmt: skip


def waiting(webhook: Webhook) -> NoticeQuerySet:
    """What is still to be sent."""
    return Notice.objects.filter(webhook=webhook, state__in=(Notice.State.WAITING, Notice.State.SENDING))


def drop(rows: NoticeQuerySet) -> int:
    """Not to be sent: the webhook is switched off."""
    return rows.update(state=Notice.State.DROPPED, error=DISABLED)


def url_of(webhook: Webhook) -> str:
    """The whole address. Raises VaultError."""
    return vault.open_sealed(bytes(webhook.sealed_url), webhook.binding("url")).decode()


def secrets_of(webhook: Webhook, now: dt.datetime) -> list[str]:
    """Those that sign now, the newest first. Raises VaultError."""
    found = [vault.open_sealed(bytes(webhook.sealed_secret), webhook.binding("secret")).decode()]
    if webhook.sealed_previous and webhook.previous_until and now < webhook.previous_until:
        sealed = bytes(webhook.sealed_previous)
        found.append(vault.open_sealed(sealed, webhook.binding("previous")).decode())
    return found


def rewrapped(webhook: Webhook) -> dict[str, object]:
    """All that it has sealed, wrapped by the ring's current key. Raises VaultError."""
    sealed = {
        f"sealed_{kind}": vault.rewrap(bytes(value), webhook.binding(kind))
        for kind in ("url", "secret", "previous")
        if (value := getattr(webhook, f"sealed_{kind}"))
    }
    return sealed | {"sealed_with": vault.ring().current}


def locked(webhook: Webhook) -> Webhook:
    """The row as it is now, for this transaction alone."""
    found = only(Webhook.objects.select_for_update(of=("self",)).select_related("team").filter(pk=webhook.pk))
    if found is None:
        raise Conflict("webhook_gone", "This webhook has been deleted meanwhile. Nothing was changed.")
    return found


def _rewrap(hook: Webhook) -> None:
    try:
        for name, value in rewrapped(hook).items():
            setattr(hook, name, value)
    except vault.VaultError:
        raise Unavailable("not_decrypted", f"{LOST} Put that key back, or make a new webhook.") from None


def _save(hook: Webhook, *, insert: bool = False) -> None:
    try:
        with transaction.atomic():
            hook.save(force_insert=insert)
    except IntegrityError:
        raise Conflict(
            "name_taken", f"There is a webhook “{hook.name}” in the team. Type another name.", field="name"
        ) from None


def _new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_OCTETS)).decode()
