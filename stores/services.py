"""What changes stores, certificates and versions. Each function is one transaction with its audit."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Sequence
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12
from django.db import IntegrityError, transaction
from django.db.models.deletion import ProtectedError

from portal import audit, vault
from portal.audit import Actor
from portal.errors import Conflict, PortalError, Unavailable
from portal.models import Team, User
from portal.names import fold
from stores import cases, originals, switching, watch
from stores.locking import locked_certificate, locked_store, locked_version
from stores.models import Certificate, ChainCertificate, Store, Version
from stores.trusted_on import refuse_trusted_on
from stores.usage import Use, uses_of_one, uses_of_store

log = logging.getLogger("storekeeper")
KEY_SHUT = "The private key does not open with the key ring of this portal. Tell who runs it; its log says which key is missing."


@transaction.atomic
def create_store(*, team: Team, kind: str, name: str, description: str, actor: Actor) -> Store:
    """Conflict when the name is taken in the team."""
    store = Store(team=team, kind=kind, name=name, description=description)
    save_named(
        store, f"Your team has a store “{name}” already. Choose it, or type another name.", "store_name"
    )
    audit.record(actor, "store.created", store, team=team)
    return store


@transaction.atomic
def edit_store(*, store: Store, name: str, description: str, actor: Actor) -> Store:
    """Renames; nothing that refers to the store breaks."""
    store = locked_store(store)
    old_name, store.name, store.description = store.name, name, description
    save_named(store, f"Your team has a store “{name}” already. Type another name.", "name")
    audit.record(actor, "store.edited", store, team=store.team, old_name=old_name, new_name=name)
    return store


@transaction.atomic
def edit_certificate(
    *,
    certificate: Certificate,
    name: str,
    description: str,
    owner: User | None,
    actor: Actor,
    now: dt.datetime,
) -> Certificate:
    """Renames or hands to another owner; nothing that refers to the certificate breaks."""
    certificate = locked_certificate(certificate)
    old_name, certificate.name = certificate.name, name
    old_owner, new_owner = certificate.owner_id, owner.pk if owner else None
    certificate.description, certificate.owner = description, owner
    save_named(certificate, f"The store has a certificate “{name}” already. Type another name.", "name")
    if new_owner != old_owner:
        cases.hand_over(certificate, owner, actor, now)
    refresh(certificate)
    audit.record(
        actor,
        "certificate.edited",
        certificate,
        team=certificate.team,
        old_name=old_name,
        new_name=name,
        member=owner and owner.email,
    )
    return certificate


def save_named(row: Store | Certificate, sentence: str, field: str) -> None:
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError:
        raise Conflict("name_taken", sentence, field=field) from None


def note_schedule(version: Version, activate_at: dt.datetime | None, actor: Actor) -> None:
    """With the certificate locked; PortalError when the version is not valid at that instant, and so could not become active."""
    if activate_at and (begin := begins(version)) and begin > activate_at:
        sentence = (
            f"The certificate is valid only from {begin:%d %B %Y, %H:%M} UTC on. Choose a later instant."
        )
        raise PortalError("not_valid_then", sentence, field="activate_at")
    if activate_at and (first := _first_to_end(version)) and first.not_after <= activate_at:
        sentence = (
            f"{first.common_name} ends on {first.not_after:%d %B %Y, %H:%M} UTC. Choose an earlier instant."
        )
        raise PortalError("not_valid_then", sentence, field="activate_at")
    Version.objects.filter(pk=version.pk).update(activate_at=activate_at)
    version.activate_at = activate_at
    refresh(version.certificate)
    audit.record(
        actor,
        "version.staged",
        version.certificate,
        team=version.team,
        version=version.number,
        activate_at=activate_at and activate_at.isoformat(),
    )


@transaction.atomic
def activate(*, version: Version, actor: Actor, now: dt.datetime, despite: str = "") -> Version:
    """Makes a staged version active, or restores a superseded one: supersedes the present one, starts the watch, closes the case.

    `despite` is the reason that an owner gives for activating what is held; it is audited. Conflict `held` without one.
    PortalError when its sealed bytes were purged, when it was discarded, when its leaf has ended, or when it was deleted meanwhile.
    """
    version = locked_version(version)
    if version.state == Version.State.ACTIVE:
        return version
    refuse_unusable(version, now)
    if not despite:
        switching.refuse_held(version)
    return make_active(version, actor, now, despite)


def make_active(version: Version, actor: Actor, now: dt.datetime, despite: str = "") -> Version:
    """With the certificate locked, and nothing left that speaks against it."""
    certificate, restored = version.certificate, version.state == Version.State.SUPERSEDED
    version.team = certificate.team
    if old := certificate.active:
        Version.objects.filter(pk=old.pk).update(state=Version.State.SUPERSEDED, superseded_at=now)
        watch.stop(old, now)
    watch.start(
        version, now, state=Version.State.ACTIVE, activated_at=now, activate_at=None, superseded_at=None
    )
    certificate.active = version
    if old:
        cases.replaced(version, now)
    refresh(certificate)
    action = "version.restored" if restored else "version.activated"
    audit.record(
        actor,
        action,
        certificate,
        team=certificate.team,
        version=version.number,
        fails_at=version.fails_at and version.fails_at.isoformat(),
        because=version.fails_name,
        reason=despite or None,
    )
    switching.follow(version, old, actor, now)
    return version


def refuse_unusable(version: Version, now: dt.datetime) -> None:
    if version.state == Version.State.DISCARDED:
        raise PortalError(
            "discarded", f"Version {version.number} was discarded and cannot be used. Upload the file again."
        )
    if version.purged_at:
        raise PortalError(
            "purged", f"The file and key of version {version.number} were purged. Upload the file again."
        )
    if (first := _first_to_end(version)) and first.not_after <= now:
        raise PortalError(
            "expired",
            f"Version {version.number} ended on {first.not_after:%d %B %Y}: {first.common_name}. Upload its successor.",
        )
    if (begin := begins(version)) and begin > now:
        raise PortalError(
            "not_yet_valid",
            f"Version {version.number} begins on {begin:%d %B %Y, %H:%M} UTC. Schedule it instead.",
        )


def _first_to_end(version: Version) -> ChainCertificate | None:
    """With whose end the version may not become active any more: its leaf, or in a trust store any certificate (DESIGN section 6)."""
    is_key = version.certificate.store.kind == Store.Kind.KEY
    decisive = version.links[:1] if is_key else version.links
    return min(decisive, key=lambda one: one.not_after, default=None)


def begins(version: Version) -> dt.datetime | None:
    """From when on the version may be active; None for a trust store, which waits for none of its certificates."""
    is_key = version.certificate.store.kind == Store.Kind.KEY
    return version.links[0].not_before if is_key and version.links else None


@transaction.atomic
def schedule(*, version: Version, activate_at: dt.datetime | None, actor: Actor) -> None:
    """Sets or clears the instant at which a staged version becomes active by itself."""
    version = locked_version(version)
    if version.state != Version.State.STAGED:
        raise Conflict(
            "not_staged", f"Version {version.number} is {version.get_state_display().lower()}, not staged."
        )
    note_schedule(version, activate_at, actor)


@transaction.atomic
def discard(*, version: Version, actor: Actor, now: dt.datetime) -> None:
    """Gives up a staged version; its sealed bytes stay until an owner purges them."""
    version = locked_version(version)
    if version.state != Version.State.STAGED:
        raise Conflict("not_staged", f"Version {version.number} is not staged any more.")
    Version.objects.filter(pk=version.pk).update(
        state=Version.State.DISCARDED, superseded_at=now, activate_at=None
    )
    refresh(version.certificate)
    audit.record(actor, "version.discarded", version.certificate, team=version.team, version=version.number)


@transaction.atomic
def purge_version(*, version: Version, actor: Actor, now: dt.datetime) -> None:
    """Removes the sealed bytes of a version that is neither active nor staged; its public facts stay for ever."""
    version = locked_version(version)
    if version.state in (Version.State.ACTIVE, Version.State.STAGED):
        raise Conflict(
            "in_use",
            f"Version {version.number} is {version.get_state_display().lower()}. Only superseded and discarded versions can be purged.",
        )
    refuse_trusted_on(version)
    names = (version.original, version.key_original)
    Version.objects.filter(pk=version.pk).update(sealed_key=None, original="", key_original="", purged_at=now)
    audit.record(actor, "version.purged", version.certificate, team=version.team, version=version.number)
    transaction.on_commit(lambda: originals.remove(*names))


@transaction.atomic
def delete_certificate(*, certificate: Certificate, actor: Actor) -> None:
    """Conflict with the list of its users when there are any."""
    certificate = locked_certificate(certificate)
    _refuse_if_used(uses_of_one(certificate), certificate.name)
    names = _original_names(certificate.versions.all())
    audit.record(actor, "certificate.deleted", certificate, team=certificate.team)
    try:
        certificate.delete()
    except ProtectedError:
        raise Conflict(
            "in_use", f"“{certificate.name}” has just been associated with a provider or host. Look again."
        ) from None
    transaction.on_commit(lambda: originals.remove(*names))


@transaction.atomic
def delete_store(*, store: Store, actor: Actor) -> None:
    """Deletes the store and its certificates; Conflict when a certificate or the store itself is used."""
    store = locked_store(store)
    _refuse_if_used(uses_of_store(store), store.name)
    names = _original_names(Version.objects.filter(certificate__store=store))
    audit.record(actor, "store.deleted", store, team=store.team, count=store.certificates.count())
    try:
        store.certificates.all().delete()
        store.delete()
    except ProtectedError:
        raise Conflict("in_use", f"“{store.name}” is used by a provider or host. Look again.") from None
    transaction.on_commit(lambda: originals.remove(*names))


def _refuse_if_used(uses: Sequence[Use], name: str) -> None:
    if uses:
        titles = ", ".join(f"{use.title} ({use.kind})" for use in uses[:10])
        more = f" and {len(uses) - 10} more" if len(uses) > 10 else ""
        raise Conflict(
            "in_use",
            f"“{name}” cannot be deleted: it is used by {titles}{more}. Give them another certificate or store first.",
        )


def _original_names(versions: object) -> list[str]:
    pairs = versions.values_list("original", "key_original")  # type: ignore[attr-defined]
    return [name for pair in pairs for name in pair if name]


@transaction.atomic
def export_key(*, version: Version, password: str, actor: Actor) -> bytes:
    """The private key and chain as a PKCS#12 under a password of the owner's; audited. Unavailable when the key ring does not open it."""
    if version.sealed_key is None:
        raise PortalError("no_key", f"Version {version.number} has no private key here.")
    try:
        key = vault.open_sealed(bytes(version.sealed_key), version.binding("key"))
    except vault.VaultError as error:
        log.error("the key of version %s cannot be exported: %s", version.pk, error)
        raise Unavailable("key_does_not_open", KEY_SHUT) from None
    opened: Any = serialization.load_der_private_key(key, None, unsafe_skip_rsa_key_validation=True)
    leaf, *rest = (x509.load_der_x509_certificate(bytes(one.der)) for one in version.chain.all())
    audit.record(actor, "key.exported", version.certificate, team=version.team, version=version.number)
    return pkcs12.serialize_key_and_certificates(
        version.certificate.name.encode(),
        opened,
        leaf,
        rest,
        serialization.BestAvailableEncryption(password.encode()),
    )


def refresh(certificate: Certificate) -> None:
    """Brings what is searched of a certificate up to date with its name and versions."""
    shown = ChainCertificate.objects.filter(
        version__certificate=certificate, version__state__in=(Version.State.ACTIVE, Version.State.STAGED)
    )
    words = [certificate.name]
    for *said, names in shown.order_by().values_list("common_name", "subject", "serial", "sha256", "names"):
        words += [*said, *names]
    certificate.search_text = fold("\n".join(dict.fromkeys(words)))
    Certificate.objects.filter(pk=certificate.pk).update(search_text=certificate.search_text)
