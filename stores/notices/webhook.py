"""The channel webhook: one message per webhook and run, signed by Standard Webhooks (standardwebhooks.com).

Every attempt is a row before it is made, and is completed after it.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import itertools
import logging
import re
import time
from collections.abc import Iterable
from urllib.parse import unquote

from django.utils import timezone

from portal import audit
from portal.audit import Actor
from portal.errors import Conflict
from portal.ids import random_id
from portal.outbound import OutboundError, Policy
from portal.posting import Answer, Url, post
from portal.templatetags.portal_tags import visible
from portal.vault import VaultError
from stores import webhooks
from stores.models import Notice, Webhook, WebhookAttempt
from stores.notices.digest import Digest, message_id_of
from stores.notices.outcome import Failure
from stores.notices.payload import NOTICES, Payload, test_payload

log = logging.getLogger("storekeeper")
MOST_KEPT = 100
"""Attempts of one webhook."""
LONGEST_ANSWER = 2000
"""Characters of an answer that are kept."""
UNDER_WAY = dt.timedelta(seconds=30)
"""An attempt without outcome that is older was cut off."""
GONE = 410
UNSURE = {"timeout", "connection_reset", "not_http"}
"""After these a message may have arrived, though nobody said so."""
_LEAST_SECRET = 8
"""Characters; shorter parts of an address are words."""


def send(digest: Digest) -> Failure | None:
    """Tells the webhook; None when it answered 2xx. Whatever else it answers is tried again, except 410 Gone."""
    hook, now = digest.webhook, timezone.now()
    if hook is None or not hook.is_enabled:
        return Failure(webhooks.DISABLED, again=False)
    payload = Payload(NOTICES, hook.team, digest.items, digest.more, now)
    return _tried(hook, digest.message_id, payload.body(hook.format).decode(), now)[1]


def send_test(webhook: Webhook, now: dt.datetime) -> WebhookAttempt:
    """Sends a message that says that it is a test, also while the webhook is switched off; how it went."""
    _refuse_two_at_once(webhook, now)
    body = test_payload(webhook, now).body(webhook.format).decode()
    return _tried(webhook, f"test-{random_id()}", body, now)[0]


def redeliver(attempt: WebhookAttempt, actor: Actor, now: dt.datetime) -> WebhookAttempt:
    """Sends the message of an attempt once more, unchanged and under its own id; how it went."""
    hook = attempt.webhook
    _refuse_two_at_once(hook, now)
    audit.record(actor, "webhook.redelivered", hook, team=hook.team, message=attempt.message_id)
    again, failure = _tried(hook, attempt.message_id, attempt.body, now)
    if failure is None:
        _settle(hook, attempt.message_id, now)
    return again


def signature(secret: str, message_id: str, at: int, body: str) -> str:
    """`v1,` and the base64 of HMAC-SHA256 of id, timestamp and body, joined by dots."""
    key = base64.b64decode(secret.removeprefix(webhooks.PREFIX))
    digest = hmac.digest(key, f"{message_id}.{at}.{body}".encode(), hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode()}"


def _tried(
    hook: Webhook, message_id: str, body: str, now: dt.datetime
) -> tuple[WebhookAttempt, Failure | None]:
    """One attempt, kept before it is made and after it; None when it arrived."""
    attempt = WebhookAttempt.objects.create(
        team_id=hook.team_id, webhook=hook, message_id=message_id, body=body, at=now
    )
    _forget_old(hook)
    begun = time.monotonic()
    try:
        url, secrets = webhooks.url_of(hook), webhooks.secrets_of(hook, now)
        answer = post(url, body.encode(), _headers(secrets, message_id, now, body), Policy.from_settings())
    except VaultError as error:
        log.error("webhook %s cannot be told: %s", hook.pk, error)
        failure: Failure | None = Failure(webhooks.LOST, again=True)
    except OutboundError as error:
        failure = Failure(error.sentence, again=True, unsure=error.code in UNSURE)
        attempt.seconds = time.monotonic() - begun
    else:
        failure = judge(answer)
        attempt.status, attempt.seconds = answer.status, answer.seconds
        attempt.answer = _kept(answer.body, url, secrets)
    attempt.error = failure.sentence if failure else ""
    outcome = {name: getattr(attempt, name) for name in ("error", "status", "seconds", "answer")}
    WebhookAttempt.objects.filter(pk=attempt.pk).update(**outcome)
    if attempt.status == GONE:
        webhooks.gone(hook, message_id, now)
    return attempt, failure


def _headers(secrets: Iterable[str], message_id: str, now: dt.datetime, body: str) -> dict[str, str]:
    at = int(now.timestamp())
    return {
        "Content-Type": "application/json; charset=utf-8",
        "webhook-id": message_id,
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(signature(secret, message_id, at, body) for secret in secrets),
    }


def judge(answer: Answer) -> Failure | None:
    """None when it arrived. Whatever else is answered is tried again, since an address can be put right within a day; not 410 Gone."""
    if answer.arrived:
        return None
    if answer.status == GONE:
        sentence = "The receiver answered 410 Gone: it wants no more messages. The webhook is switched off."
        return Failure(sentence, again=False)
    if 300 <= answer.status < 400:
        return Failure(
            f"The receiver answered {answer.status}, a redirect. Redirects are not followed: give the webhook the address itself.",
            again=True,
        )
    return Failure(f"The receiver answered {answer.status}.", again=True)


def _kept(octets: bytes, url: str, secrets: Iterable[str]) -> str:
    """The beginning of an answer as text; a receiver may repeat what is secret, and that is left out."""
    text = octets.decode("utf-8", "replace")
    path = Url.read(url).path
    parts = {path, *re.split(r"[/?&=]", path)}
    parts |= {unquote(part) for part in parts} | {secret.removeprefix(webhooks.PREFIX) for secret in secrets}
    for part in sorted(parts, key=len, reverse=True):
        if len(part) >= _LEAST_SECRET:
            text = text.replace(part, "…")
    lines = (visible(line) for line in text[:LONGEST_ANSWER].splitlines())
    return "\n".join(lines)[:LONGEST_ANSWER]


def _forget_old(hook: Webhook) -> None:
    kept = hook.attempts.order_by("-at", "-id").values("pk")[:MOST_KEPT]
    hook.attempts.exclude(pk__in=list(kept.values_list("pk", flat=True))).delete()


def _refuse_two_at_once(hook: Webhook, now: dt.datetime) -> None:
    """Each takes a part of the web server for up to ten seconds."""
    if hook.attempts.filter(at__gt=now - UNDER_WAY, status=None, error="").exists():
        raise Conflict(
            "under_way", "A message to this webhook is under way: wait for its answer, then try again."
        )


def _settle(hook: Webhook, message_id: str, now: dt.datetime) -> None:
    """A message has arrived by hand that is to be tried again, or was given up: it is not sent once more."""
    unsent = Notice.objects.filter(webhook=hook, attempted_at__isnull=False).exclude(
        state__in=(Notice.State.SENT, Notice.State.DROPPED)
    )
    rows = unsent.order_by("attempted_at").values_list("attempted_at", "pk")
    for _, group in itertools.groupby(rows, key=lambda row: row[0]):
        ids = [pk for _, pk in group]
        if message_id_of(ids) == message_id:
            unsent.filter(pk__in=ids).update(state=Notice.State.SENT, sent_at=now, error="")
