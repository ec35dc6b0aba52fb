"""Rows as they are now, kept for one transaction alone, so that two people never change the same thing at once."""

from __future__ import annotations

from typing import TypeVar

from portal.errors import Conflict
from portal.models import only
from stores.models import Certificate, Draft, Store, Version

Row = TypeVar("Row", Certificate, Draft, Store, Version)


class Gone(Conflict):
    """What was to be changed has been deleted meanwhile, so its own page cannot say so."""


def locked(row: Row, *related: str) -> Row | None:
    """The row as it is now, for this transaction alone; None when it was deleted meanwhile.

    Of a certificate and its versions the certificate is locked first, so that no two transactions wait for each other.
    """
    rows = type(row)._default_manager.select_for_update(of=("self",))
    return only(rows.select_related(*related).filter(pk=row.pk) if related else rows.filter(pk=row.pk))


def locked_store(store: Store) -> Store:
    row = locked(store, "team")
    if row is None:
        raise Gone("store_gone", "This store has been deleted meanwhile. Nothing was changed.")
    return row


def locked_certificate(certificate: Certificate) -> Certificate:
    row = locked(certificate, "store", "team")
    if row is None:
        raise Gone("certificate_gone", "This certificate has been deleted meanwhile. Nothing was changed.")
    return row


def locked_version(version: Version) -> Version:
    """The version, and its certificate before it."""
    certificate = locked_certificate(Certificate(pk=version.certificate_id))
    row = locked(version, "team")
    if row is None:
        raise Gone("version_gone", "This version has been deleted meanwhile. Nothing was changed.")
    row.certificate = certificate
    return row


def locked_draft(draft: Draft) -> Draft:
    """The draft, with the destination that this caller chose: another window may have chosen one as well."""
    # Not with its version: PostgreSQL, having waited for the row, would join it as it was before.
    row = locked(draft)
    if row is None or row.is_spent:
        reason = "it was not saved within a day, or what it became was deleted"
        raise Conflict("upload_gone", f"This upload is no longer here: {reason}. Upload the file again.")
    row.target, row.team = draft.target, draft.team
    return row
