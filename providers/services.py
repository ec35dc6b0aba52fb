"""What changes providers and hosts. Each function is one transaction with its audit."""

from __future__ import annotations

import hashlib
import unicodedata
from typing import TypeVar

from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction

from portal import audit, vault
from portal.audit import Actor
from portal.errors import Conflict, PortalError
from portal.names import fold
from providers import drift, endings_seen
from providers.models import Host, Provider

Row = TypeVar("Row", Provider, Host)
REFERENCES = ("key_certificate", "trust_store", "trust_certificate")
WHERE_IT_GOES = ("type", "host", "port", "use_tls")
"""What decides to which server a kept password is sent."""
FOUND = (
    "next_test_at", "failures", "last_good", "server_ends_at", "server_ends_sha256", "server_ends_name", "anchor_sha256",
    "server_stage", "server_next_stage_at",
)  # fmt: skip
"""What the worker writes of a provider while somebody edits it: it is no change of theirs, and theirs must not undo it."""
LONGEST_PASSWORD = 1000


@transaction.atomic
def create_provider(*, provider: Provider, password: str = "", actor: Actor) -> Provider:
    """Saves a provider that is complete but for its password. PortalError names the field that is wrong."""
    _check(provider)
    _seal_password(provider, password, None)
    _insert(provider, actor)
    return provider


@transaction.atomic
def edit_provider(*, provider: Provider, password: str = "", seen: str = "", actor: Actor) -> Provider:
    """Saves the changed provider; an empty password keeps the one that is sealed.

    `seen` is the `state_of` the row when the form was shown; Conflict when somebody else has changed it since.
    """
    before = _lock(provider, seen)
    for name in FOUND:
        setattr(provider, name, getattr(before, name))
    _check(provider)
    _seal_password(provider, password, before)
    if endings_seen.is_another_server(provider, before):
        endings_seen.forget(provider)
        drift.forget(provider)
    _update(provider, before, actor)
    return provider


@transaction.atomic
def delete_provider(*, provider: Provider, actor: Actor) -> None:
    """Deletes the provider and its sealed password; certificates and stores stay."""
    _delete(provider, actor)


@transaction.atomic
def create_host(*, host: Host, actor: Actor) -> Host:
    """Saves a host. PortalError names the field that is wrong."""
    _check(host)
    _insert(host, actor)
    return host


@transaction.atomic
def edit_host(*, host: Host, seen: str = "", actor: Actor) -> Host:
    """Saves the changed host; `seen` as for a provider."""
    before = _lock(host, seen)
    _check(host)
    _update(host, before, actor)
    return host


@transaction.atomic
def delete_host(*, host: Host, actor: Actor) -> None:
    """Deletes the host; certificates and stores stay."""
    _delete(host, actor)


def state_of(row: Provider | Host) -> str:
    """A digest of all that people say of the row, to notice that somebody else has changed it."""
    fields = [field for field in row._meta.concrete_fields if field.name not in FOUND]
    values = [None if getattr(row, field.attname) is None else field.value_to_string(row) for field in fields]
    return hashlib.sha256(repr(values).encode()).hexdigest()[:16]


def _values(row: models.Model) -> list[tuple[str, object]]:
    return [(field.name, getattr(row, field.attname)) for field in row._meta.concrete_fields]


def _check(row: Provider | Host) -> None:
    """Holds what the row refers to, and refuses what its model refuses."""
    _hold_references(row)
    try:
        row.full_clean(validate_constraints=False)
    except ValidationError as error:
        field, sentences = next(iter(error.message_dict.items()))
        raise PortalError("invalid", sentences[0], field=field) from None


def _hold_references(row: Provider | Host) -> None:
    """Locks them, so that nobody deletes them before this transaction ends."""
    for name in REFERENCES:
        one = getattr(row, name, None)
        if one and type(one).objects.select_for_update().filter(pk=one.pk).first() is None:
            raise Conflict("gone", f"“{one}” was deleted meanwhile. Choose another one.", field=name)


def _seal_password(provider: Provider, password: str, before: Provider | None) -> None:
    if provider.authentication != Provider.Authentication.BASIC:
        return
    if password:
        _refuse_unusable_password(password)
        provider.sealed_password = vault.seal(password.encode(), provider.binding())
        provider.sealed_with = vault.ring().current
    elif provider.sealed_password is None:
        raise PortalError(
            "password_missing", "Type the password that goes with the user name.", field="password"
        )
    elif before and any(getattr(provider, name) != getattr(before, name) for name in WHERE_IT_GOES):
        raise PortalError(
            "password_elsewhere",
            "The address has changed: type the password again, so that a kept one never goes to another server unasked.",
            field="password",
        )


def _refuse_unusable_password(password: str) -> None:
    """RFC 7617, section 2: no control characters."""
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in password):
        raise PortalError(
            "password_invalid", "The password holds control characters: type it anew.", field="password"
        )
    if len(password) > LONGEST_PASSWORD:
        raise PortalError(
            "password_invalid",
            f"The password is longer than {LONGEST_PASSWORD:,} characters.",
            field="password",
        )


def _lock(row: Row, seen: str) -> Row:
    """The row as it is stored, locked."""
    stored = type(row).objects.select_for_update().filter(pk=row.pk).first()
    if stored is None:
        raise Conflict("gone", f"“{row}” was deleted meanwhile.")
    if seen and seen != state_of(stored):
        raise Conflict(
            "changed_meanwhile",
            f"Somebody else changed “{stored}” while you edited it. Nothing of yours is lost: "
            "look at the page as it is now, then save again if yours should stand.",
        )
    return stored


def _insert(row: Provider | Host, actor: Actor) -> None:
    _save(row, is_new=True)
    trust = row.trust_store.name if row.trust_store else None
    shown = row.key_certificate.name if row.key_certificate else None
    audit.record(actor, f"{_kind(row)}.created", row, team=row.team, certificate=shown, store=trust)


def _update(row: Row, before: Row, actor: Actor) -> None:
    old, new = dict(_values(before)), dict(_values(row))
    changed = [
        name for name, value in new.items() if value != old[name] and name not in ("sealed_with", *FOUND)
    ]
    if not changed:
        return
    _save(row, is_new=False)
    names = {"old_name": before.name, "new_name": row.name} if "name" in changed else {}
    said = ["password" if name == "sealed_password" else name for name in changed]
    audit.record(actor, f"{_kind(row)}.edited", row, team=row.team, changed=said, **names)


def _save(row: Provider | Host, *, is_new: bool) -> None:
    try:
        with transaction.atomic():
            row.save(force_insert=is_new, force_update=not is_new)
    except IntegrityError:
        same = type(row).objects.filter(team=row.team_id, folded_name=fold(row.name)).exclude(pk=row.pk)
        if not same.exists():
            raise
        sentence = f"Your team has a {_kind(row)} “{row.name}” already. Type another name."
        raise Conflict("name_taken", sentence, field="name") from None


def _delete(row: Provider | Host, actor: Actor) -> None:
    audit.record(actor, f"{_kind(row)}.deleted", row, team=row.team)
    row.delete()


def _kind(row: Provider | Host) -> str:
    return row._meta.model_name or ""
