"""Envoy's REST xDS for secrets: what was asked, what is answered, and what follows from it for what the gateway runs."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce

from portal import audit
from portal.audit import Actor
from portal.errors import PortalError
from providers.gateway import envoy
from providers.gateway.scope import Wanted, digest, wanted
from providers.models import Gateway, GatewaySecret, GatewayToken

MOST_OCTETS = 512 * 1024
"""Of a request; an Envoy names all its extensions, which takes some ten thousand."""
MOST_NAMES = 500
LONGEST_WHY = 2000
HEARD_EVERY = dt.timedelta(seconds=15)
"""How often is written down that a gateway was heard of."""


@dataclass(frozen=True)
class Asked:
    """A DiscoveryRequest."""

    version_info: str
    """Of what it runs; empty after a start."""
    names: tuple[str, ...] | None
    """None: all that it may have."""
    nonce: str
    why: str | None
    """Why it refused what it was sent; None: it did not say that it refused anything."""

    @classmethod
    def read(cls, body: bytes) -> Asked:
        """PortalError says what of the request cannot be read."""
        try:
            said = json.loads(body)
        except (ValueError, RecursionError):
            raise _unread("is no JSON") from None
        if not isinstance(said, dict):
            raise _unread("is no JSON object")
        kind = _text(said, "type_url") or envoy.TYPE_URL
        if kind != envoy.TYPE_URL:
            raise _unread(f"asks for another type than {envoy.TYPE_URL}")
        return cls(_text(said, "version_info"), _names(said), _text(said, "response_nonce"), _refusal(said))


def _unread(what: str) -> PortalError:
    return PortalError("unreadable", f"The request {what}: send a DiscoveryRequest of xDS v3 as JSON.")


def _of(said: Mapping[str, Any], name: str) -> Any:
    """A field by its name in the schema, or by the one that JSON printers of Protobuf make of it."""
    first, *rest = name.split("_")
    return said.get(name, said.get(first + "".join(word.title() for word in rest)))


def _text(said: Mapping[str, Any], name: str) -> str:
    value = _of(said, name)
    if value is not None and not isinstance(value, str):
        raise _unread(f"has a {name} that is no text")
    return value or ""


def _names(said: Mapping[str, Any]) -> tuple[str, ...] | None:
    names = _of(said, "resource_names")
    if not names:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise _unread("has resource_names that are no list of texts")
    if len(names) > MOST_NAMES:
        raise PortalError("too_many_names", f"More than {MOST_NAMES} names in one request: ask in parts.")
    return tuple(sorted(set(names)))


def _refusal(said: Mapping[str, Any]) -> str | None:
    detail = _of(said, "error_detail")
    if detail is None:
        return None
    if not isinstance(detail, dict):
        raise _unread("has an error_detail that is no object")
    text = (
        _text(detail, "message")
        .encode("utf-8", "replace")
        .decode()
        .replace("\0", "\N{REPLACEMENT CHARACTER}")
    )
    return text[:LONGEST_WHY]


def hear(token: GatewayToken, now: dt.datetime) -> None:
    """Writes down that the gateway was heard of, unless that has just been done."""
    last, used = token.gateway.last_heard_at, token.last_used_at
    if last and used and min(last, used) > now - HEARD_EVERY:
        return
    heard = {"last_heard_at": now, "first_heard_at": Coalesce(F("first_heard_at"), now)}
    Gateway.objects.filter(pk=token.gateway_id).update(**heard)
    GatewayToken.objects.filter(pk=token.pk).update(last_used_at=now)


def answer(*, gateway: Gateway, asked: Asked, actor: Actor, now: dt.datetime) -> dict[str, Any] | None:
    """The DiscoveryResponse; None when the gateway has it already, which costs no key and no write.

    PortalError `not_served` when it may have nothing of what it asks for.
    """
    found = wanted(gateway, asked.names)
    kept = GatewaySecret.objects.filter(gateway=gateway)
    if asked.names is not None:
        kept = kept.filter(name__in=found)
    rows = {row.name: row for row in kept}
    info = _info(found)
    if asked.why is not None:
        _refused(rows.values(), asked, now)
    elif asked.version_info:
        _accepted(gateway, found, rows, asked.version_info, info, now)
    if not found:
        sentence = "Nothing of this is served to this gateway: it belongs to none of its hosts and providers, or no version is active."
        raise PortalError("not_served", sentence, status=404)
    if asked.version_info == info or _has_refused(found, rows, asked):
        return None
    return _send(gateway, found.values(), info, actor, now)


def _info(found: Mapping[str, Wanted]) -> str:
    """One secret's own, where it was asked for alone."""
    if len(found) == 1:
        return next(iter(found.values())).info
    return digest([(name, found[name].info) for name in sorted(found)])


def _accepted(
    gateway: Gateway,
    found: Mapping[str, Wanted],
    rows: Mapping[str, GatewaySecret],
    runs: str,
    info: str,
    now: dt.datetime,
) -> None:
    """Notes what the gateway runs, by the `version_info` that it names."""
    for row in rows.values():
        if row.answer_info == runs and row.acked_info != row.sent_info:
            noted = {"acked_info": row.sent_info, "acked_version": row.sent_version_id, "acked_at": now}
            GatewaySecret.objects.filter(pk=row.pk, sent_info=row.sent_info).update(**noted, times=0)
            row.acked_info = row.sent_info
    if runs != info:
        return
    for one in found.values():
        known = rows.get(one.name)
        if known is None or known.acked_info != one.info:
            told = {"acked_info": one.info, "acked_version": one.version, "acked_at": now, "times": 0}
            GatewaySecret.objects.update_or_create(gateway=gateway, name=one.name, defaults=told)


def _refused(rows: Iterable[GatewaySecret], asked: Asked, now: dt.datetime) -> None:
    """Notes that the gateway did not take what it was sent; what it ran before it runs on."""
    for row in rows:
        is_meant = row.answer_info == asked.nonce if asked.nonce else row.acked_info != row.sent_info
        if is_meant and row.sent_info != row.refused_info:
            told = {"refused_info": row.sent_info, "refused_at": now, "refused_why": asked.why}
            GatewaySecret.objects.filter(pk=row.pk, sent_info=row.sent_info).update(**told)


def _has_refused(found: Mapping[str, Wanted], rows: Mapping[str, GatewaySecret], asked: Asked) -> bool:
    """Whether it says that it does not want just what it would be sent: it is not sent again until it changes."""
    return asked.why is not None and all(
        (row := rows.get(one.name)) is not None and row.sent_info == one.info for one in found.values()
    )


def _send(
    gateway: Gateway, found: Iterable[Wanted], info: str, actor: Actor, now: dt.datetime
) -> dict[str, Any]:
    secrets = []
    with transaction.atomic():
        for one in found:
            again = _note_sent(gateway, one, info, actor, now)
            secrets.append(envoy.secret(one, otherwise=again % 2 == 1))
    return {"version_info": info, "resources": secrets, "type_url": envoy.TYPE_URL, "nonce": info}


def _note_sent(gateway: Gateway, one: Wanted, info: str, actor: Actor, now: dt.datetime) -> int:
    """How often it was sent before without being taken. Audits what is new to this gateway, once whichever process sends it first."""
    row, _ = GatewaySecret.objects.get_or_create(gateway=gateway, name=one.name)
    same = GatewaySecret.objects.filter(pk=row.pk)
    new = {"sent_info": one.info, "sent_version": one.version, "sent_at": now, "times": 1}
    if not same.filter(~Q(sent_info=one.info)).update(**new, answer_info=info):
        same.update(times=F("times") + 1, answer_info=info)
        return row.times
    if one.version:
        sha256 = one.version.chain.values_list("sha256", flat=True).first()
        about = {"version": one.version.number, "sha256": sha256}
        audit.record(actor, "key.delivered", one.version.certificate, team=gateway.team, **about)
    elif one.user:
        audit.record(actor, "trust.delivered", one.user, team=gateway.team, count=len(one.trusted))
    return 0
