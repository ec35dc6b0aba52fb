"""Saving: a draft becomes a version. One transaction, once, whoever else saves at the same time."""

from __future__ import annotations

import datetime as dt

from django.db import transaction
from django.db.models import Max

from portal import audit
from portal.audit import Actor
from portal.errors import Conflict, PortalError
from portal.models import Team, only
from stores import drafts, services
from stores.formats.parsed import Inspection, Upload
from stores.inspection import inspect
from stores.locking import locked, locked_draft
from stores.models import Certificate, ChainCertificate, Draft, Store, Version


def confirm(
    *,
    draft: Draft,
    actor: Actor,
    now: dt.datetime,
    seen: str = "",
    at_once: bool = True,
    activate_at: dt.datetime | None = None,
) -> Version:
    """Makes a version of a draft. `seen` is the id of the version that was active when the review was shown.

    Called twice it gives the same version. Conflict when somebody else replaced or deleted what it belongs to meanwhile, or took the name.
    """
    with transaction.atomic():
        draft = locked_draft(draft)
        if draft.version:
            return draft.version
        certificate = (
            _certificate_to_replace(draft)
            if drafts.target_of(draft).certificate
            else _create_certificate(draft, actor)
        )
        _refuse_if_replaced(certificate, seen)
        version = _create_version(draft, certificate, actor, now)
        if at_once and activate_at is None and (begin := services.begins(version)) and begin > now:
            activate_at = begin
        if at_once and activate_at is None:
            services.refuse_unusable(version, now)
            return services.make_active(version, actor, now)
        services.note_schedule(version, activate_at, actor)
        return version


def _certificate_to_replace(draft: Draft) -> Certificate:
    found = drafts.existing(draft)
    row = found and locked(found, "store", "team")
    if not row:
        sentence = f"“{drafts.target_of(draft).name}” has been deleted meanwhile. Nothing of yours is lost: save it as a new certificate."
        raise Conflict("certificate_gone", sentence, field="destination")
    return row


def _refuse_if_replaced(certificate: Certificate, seen: str) -> None:
    active = certificate.active
    if not active or active.pk == seen:
        return
    now_has = f"“{certificate.name}” now has version {active.number}"
    if certificate.versions.filter(pk=seen).exists():
        now_has += ", made active while you looked"
    raise Conflict(
        "replaced_meanwhile",
        f"{now_has}. Nothing of yours is lost: compare with it, and save if yours should follow it.",
    )


def _create_certificate(draft: Draft, actor: Actor) -> Certificate:
    target, store = drafts.target_of(draft), _store_for(draft, actor)
    certificate = Certificate(
        team=draft.team, store=store, name=target.name, description=target.description, owner=actor.user
    )
    services.save_named(
        certificate,
        f"The store has a certificate “{target.name}” already. Replace it, or type another name.",
        "name",
    )
    certificate.active = None
    audit.record(actor, "certificate.created", certificate, team=draft.team, store=store.name)
    return certificate


def _store_for(draft: Draft, actor: Actor) -> Store:
    """The store that the certificate goes into, or a new one; nobody deletes it before this transaction ends."""
    target, store = drafts.target_of(draft), _locked_store_of(draft)
    if store:
        return store
    if target.store:
        sentence = f"The store “{target.store_name}” has been deleted meanwhile. Nothing of yours is lost: save again to make it anew."
        raise Conflict("store_gone", sentence)
    try:
        return services.create_store(
            team=draft.team,
            kind=target.kind,
            name=target.store_name,
            description=target.store_description,
            actor=actor,
        )
    except Conflict:
        made_meanwhile = _locked_store_of(draft)
        if made_meanwhile is None:
            raise
        return made_meanwhile


def _locked_store_of(draft: Draft) -> Store | None:
    return only(drafts.stores_of(draft).select_for_update())


def _create_version(draft: Draft, certificate: Certificate, actor: Actor, now: dt.datetime) -> Version:
    """Writes the version with its chain, and empties the draft."""
    inspection = drafts.inspection_of(draft)
    version = _version_of(draft, certificate, inspection, actor, now)
    version.save(force_insert=True)
    version.links = ChainCertificate.objects.bulk_create(drafts.chain_rows(version, inspection))
    Draft.objects.filter(pk=draft.pk).update(version=version, sealed_key=None, original="", key_original="")
    leaf = inspection.certificates[0]
    audit.record(
        actor,
        "version.uploaded",
        certificate,
        team=draft.team,
        version=version.number,
        sha256=leaf.sha256,
        serial=leaf.serial,
        format=inspection.format,
        findings=[finding.code for finding in inspection.findings],
        chain=len(inspection.certificates),
    )
    return version


def _version_of(
    draft: Draft, certificate: Certificate, inspection: Inspection, actor: Actor, now: dt.datetime
) -> Version:
    """The row, not saved. It takes over the draft's id, so that what was sealed for it opens."""
    leaf = inspection.certificates[0]
    return Version(
        id=draft.pk,
        team=draft.team,
        certificate=certificate,
        number=_next_number(draft, certificate),
        created_at=now,
        created_by=actor.user,
        format=inspection.format or "",
        file_name=draft.inspection["file_name"],
        file_size=draft.inspection["file_size"],
        findings=draft.inspection["findings"],
        key_type=draft.inspection["key_type"],
        **(drafts.likeness(leaf) if certificate.store.kind == Store.Kind.KEY else {}),
        subject=leaf.subject,
        missing_issuer=inspection.missing_issuer,
        sealed_key=draft.sealed_key,
        original=draft.original,
        key_original=draft.key_original,
        sealed_with=draft.sealed_with,
    )


def _next_number(draft: Draft, certificate: Certificate) -> int:
    if not drafts.target_of(draft).certificate:
        return 1
    return (certificate.versions.aggregate(last=Max("number"))["last"] or 0) + 1


def name_taken(name: str) -> Conflict:
    """The refusal of a program that did not say that it replaces."""
    sentence = (
        f"The store has a certificate “{name}” already: send replace=true to make this its next version."
    )
    return Conflict("name_taken", sentence)


def keep(
    *,
    team: Team,
    upload: Upload,
    store_name: str,
    certificate_name: str,
    actor: Actor,
    now: dt.datetime,
    description: str = "",
    at_once: bool = True,
    activate_at: dt.datetime | None = None,
    replaces: bool = True,
) -> Version:
    """An upload without a review, into a store and certificate by name, made where they are missing. PortalError when it is refused.

    Unless it `replaces`, a name that the store has already is refused.
    """
    inspection = inspect(upload, now)
    if not inspection.accepted:
        raise PortalError(inspection.code or "malformed", inspection.message, field=inspection.field)
    if actor.user is None:
        raise ValueError("an upload needs a user")
    target = drafts.Target(
        kind=upload.store, store_name=store_name, name=certificate_name, description=description
    )
    draft = drafts.propose(
        team=team, user=actor.user, upload=upload, inspection=inspection, target=target, now=now
    )
    existing = drafts.existing(draft)
    if existing and not replaces:
        raise name_taken(existing.name)
    seen = existing.active.pk if existing and existing.active else ""
    return confirm(draft=draft, actor=actor, now=now, seen=seen, at_once=at_once, activate_at=activate_at)
