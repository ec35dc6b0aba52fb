"""An upload under review: proposed, sealed, shown, and confirmed or discarded after a day."""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from django.db.models import Q

from portal import vault
from portal.ids import digest, random_id
from portal.models import Team, User, only
from portal.names import fold
from stores import originals
from stores.formats.parsed import Certificate as Parsed
from stores.formats.parsed import Finding, Inspection, Upload
from stores.formats.text import file_name
from stores.models import Certificate, ChainCertificate, Draft, Store, Version
from stores.querysets import CertificateQuerySet, StoreQuerySet

LIFETIME = dt.timedelta(hours=24)
MOST_CANDIDATES = 5


@dataclass(frozen=True)
class Target:
    """Where an upload goes: a store that is there or a new one, a certificate that is there or a new one."""

    kind: Literal["key", "trust"]
    store: str | None = None
    store_name: str = ""
    store_description: str = ""
    certificate: str | None = None
    name: str = ""
    description: str = ""


def propose(
    *, team: Team, user: User, upload: Upload, inspection: Inspection, target: Target, now: dt.datetime
) -> Draft:
    """Seals what was read and keeps it for review. The files are written before the row that names them.

    A name that the store has already is taken as that of the certificate to be replaced, until the review says otherwise.
    Unavailable when the files cannot be written.
    """
    draft = Draft(id=random_id(), team=team, user=user, created_at=now, target=dataclasses.asdict(target))
    draft.inspection = inspection_to_json(inspection) | {
        "file_name": file_name(upload.name),
        "file_size": _size(upload),
    }
    if target.certificate is None:
        draft.target["certificate"] = only(_named(draft).values_list("pk", flat=True))
    draft.original = originals.put(upload.content, draft.binding(originals.ORIGINAL))
    if upload.key_content is not None:
        draft.key_original = originals.put(upload.key_content, draft.binding(originals.KEY_ORIGINAL))
    if inspection.key is not None:
        draft.sealed_key = vault.seal(inspection.key.pkcs8, draft.binding("key"))
    draft.sealed_with = vault.ring().current
    draft.save(force_insert=True)
    return draft


def _size(upload: Upload) -> int:
    return len(upload.content) + len(upload.key_content or b"")


def retarget(draft: Draft, target: Target) -> None:
    """Another destination for the same upload."""
    if draft.target != (plain := dataclasses.asdict(target)):
        draft.target = plain
        Draft.objects.filter(pk=draft.pk).update(target=plain)


def target_of(draft: Draft) -> Target:
    return Target(**draft.target)


def inspection_to_json(inspection: Inspection) -> dict[str, Any]:
    """The public part of an inspection; the key is sealed apart from it."""
    plain = dataclasses.asdict(dataclasses.replace(inspection, key=None))
    for certificate in plain["certificates"]:
        certificate["der"] = base64.b64encode(certificate["der"]).decode()
        certificate["not_before"] = certificate["not_before"].isoformat()
        certificate["not_after"] = certificate["not_after"].isoformat()
    key = inspection.key
    return plain | {
        "key": None,
        "key_type": key.key_type if key else "",
    }


def inspection_of(draft: Draft) -> Inspection:
    """What was found in the upload, without the key."""
    plain = {f.name: draft.inspection[f.name] for f in dataclasses.fields(Inspection)}
    plain["certificates"] = tuple(_certificate(one) for one in plain["certificates"])
    for name in ("findings", "unusable"):
        plain[name] = tuple(Finding(**one) for one in plain[name])
    plain["aliases"] = tuple(plain["aliases"])
    return Inspection(**plain)


def _certificate(plain: dict[str, Any]) -> Parsed:
    times = {name: dt.datetime.fromisoformat(plain[name]) for name in ("not_before", "not_after")}
    lists = {name: tuple(plain[name]) for name in ("names", "usages", "issuer_urls")}
    return Parsed(**(plain | times | lists | {"der": base64.b64decode(plain["der"])}))


def existing(draft: Draft) -> Certificate | None:
    """The certificate that the upload replaces; None when a new one is made, or when it was deleted meanwhile."""
    target = target_of(draft)
    rows = _of_kind(draft).select_related("store")
    return only(rows.filter(pk=target.certificate)) if target.certificate else None


def named(draft: Draft) -> Certificate | None:
    """The certificate in the chosen store that has the chosen name already."""
    return only(_named(draft).select_related("store"))


def _named(draft: Draft) -> CertificateQuerySet:
    target = target_of(draft)
    name = fold(target.name)
    in_store = Q(store=target.store) if target.store else Q(store__folded_name=fold(target.store_name))
    return _of_kind(draft).filter(in_store, folded_name=name)


def _of_kind(draft: Draft) -> CertificateQuerySet:
    return Certificate.objects.filter(team=draft.team_id, store__kind=target_of(draft).kind)


def store_of(draft: Draft) -> Store | None:
    """The store that is there; None when a new one is made."""
    return only(stores_of(draft))


def stores_of(draft: Draft) -> StoreQuerySet:
    """The store that is there, if it is."""
    target = target_of(draft)
    rows = Store.objects.filter(team=draft.team_id, kind=target.kind)
    if target.store:
        return rows.filter(pk=target.store)
    return rows.filter(folded_name=fold(target.store_name))


def forget_what_is_gone(draft: Draft) -> None:
    """Takes a store that was deleted meanwhile out of the destination, so that the next try makes a new one of its name."""
    target = target_of(draft)
    if target.store and store_of(draft) is None:
        retarget(draft, dataclasses.replace(target, store=None))


def candidates(draft: Draft) -> list[Certificate]:
    """Kept certificates that the upload may replace: the chosen one, that of the same name, and what it looks like the successor of
    by key, subject or names. At most `MOST_CANDIDATES`.
    """
    inspection, found = inspection_of(draft), [existing(draft), named(draft)]
    if inspection.certificates and target_of(draft).kind == "key":
        found += _successors(draft, inspection.certificates[0])
    return list(dict.fromkeys(one for one in found if one))[:MOST_CANDIDATES]


def _successors(draft: Draft, leaf: Parsed) -> Iterable[Certificate]:
    versions = Version.objects.current().filter(team=draft.team_id).order_by()
    found = [
        versions.filter(**{name: digest}).values("certificate")
        for name, digest in likeness(leaf).items()
        if digest
    ]
    rows = Certificate.objects.filter(pk__in=found[0].union(*found[1:]))
    return rows.select_related("store").order_by("folded_name")[:MOST_CANDIDATES]


def likeness(leaf: Parsed) -> dict[str, str]:
    """What a successor of this leaf would share with it: digests of key, subject and names, by their columns in `Version`."""
    return {
        "spki_sha256": leaf.spki_sha256,
        "subject_sha256": _digest(leaf.subject),
        "names_sha256": _digest("\n".join(sorted(leaf.names))),
    }


def _digest(text: str) -> str:
    return digest(text) if text else ""


def chain_rows(version: Version, inspection: Inspection) -> list[ChainCertificate]:
    """The rows of a version's chain, not saved."""
    names = [f.name for f in ChainCertificate._meta.fields if f.name not in {"id", "version", "position"}]
    return [
        ChainCertificate(
            version=version, position=position, **{name: getattr(certificate, name) for name in names}
        )
        for position, certificate in enumerate(inspection.certificates)
    ]
