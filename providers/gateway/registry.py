"""What changes gateways. Each function is one transaction with its audit."""

from __future__ import annotations

from collections.abc import Collection

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from portal import audit
from portal.audit import Actor
from portal.errors import Conflict, PortalError
from portal.names import fold
from providers.models import Gateway, Host, Provider


@transaction.atomic
def register(
    *, gateway: Gateway, hosts: Collection[Host], providers: Collection[Provider], actor: Actor
) -> Gateway:
    """Saves a new gateway and what it serves. PortalError names the field that is wrong."""
    _check(gateway, hosts, providers)
    _save(gateway, is_new=True)
    gateway.hosts.set(hosts)
    gateway.providers.set(providers)
    audit.record(actor, "gateway.created", gateway, team=gateway.team, count=len(hosts) + len(providers))
    return gateway


@transaction.atomic
def edit(
    *, gateway: Gateway, hosts: Collection[Host], providers: Collection[Provider], actor: Actor
) -> Gateway:
    """Saves the changed gateway; what it no longer serves it is no longer sent."""
    before = Gateway.objects.select_for_update().filter(pk=gateway.pk).first()
    if before is None:
        raise Conflict("gone", f"“{gateway}” was deleted meanwhile.")
    _check(gateway, hosts, providers)
    changed = ["name"] if before.name != gateway.name else []
    if set(gateway.hosts.all()) != set(hosts):
        gateway.hosts.set(hosts)
        changed.append("hosts")
    if set(gateway.providers.all()) != set(providers):
        gateway.providers.set(providers)
        changed.append("providers")
    if changed:
        _save(gateway, is_new=False)
        names = {"old_name": before.name, "new_name": gateway.name} if "name" in changed else {}
        audit.record(actor, "gateway.edited", gateway, team=gateway.team, changed=changed, **names)
    return gateway


@transaction.atomic
def delete(*, gateway: Gateway, actor: Actor) -> None:
    """Deletes the gateway and its tokens: from this instant it is sent nothing. Hosts and providers stay."""
    audit.record(actor, "gateway.deleted", gateway, team=gateway.team)
    gateway.delete()


def _check(gateway: Gateway, hosts: Collection[Host], providers: Collection[Provider]) -> None:
    for field, rows in (("hosts", hosts), ("providers", providers)):
        if any(row.team_id != gateway.team_id for row in rows):
            raise PortalError("invalid", "Choose only what is your team's.", field=field)
    try:
        gateway.full_clean(validate_constraints=False)
    except ValidationError as error:
        field, sentences = next(iter(error.message_dict.items()))
        raise PortalError("invalid", sentences[0], field=field) from None


def _save(gateway: Gateway, *, is_new: bool) -> None:
    try:
        with transaction.atomic():
            if is_new:
                gateway.save(force_insert=True)
            else:
                gateway.save(update_fields=["name", "folded_name", "kind"])
    except IntegrityError:
        same = Gateway.objects.filter(team=gateway.team_id, folded_name=fold(gateway.name))
        if not same.exclude(pk=gateway.pk).exists():
            raise
        sentence = f"Your team has a gateway “{gateway.name}” already. Type another name."
        raise Conflict("name_taken", sentence, field="name") from None
