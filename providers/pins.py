"""Pinned keys of a provider's server (RFC 7469): taken from what was seen or from a file, kept, removed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction

from portal.audit import Actor
from portal.errors import Conflict, PortalError
from providers import services
from providers.addresses import pin_of
from providers.connection.report import ServerCertificate
from providers.models import Provider
from stores.formats.parsed import Upload
from stores.inspection import inspect


@dataclass(frozen=True)
class Seen:
    """The chain that the provider's server sent last."""

    at: dt.datetime
    chain: Sequence[ServerCertificate]


def last_seen(provider: Provider) -> Seen | None:
    """From the last report that has a chain; None before there is one."""
    report = provider.last_seen()
    if report is None:
        return None
    chain = [ServerCertificate.from_dict(one) for one in report.details["server_chain"]]
    return Seen(report.finished_at or report.asked_at, chain)


@transaction.atomic
def keep(*, provider: Provider, pins: Sequence[str], actor: Actor) -> Provider:
    """These pins from now on, none to pin nothing. PortalError for what is no pin, and where a backup pin is missing."""
    locked = Provider.objects.select_for_update().select_related("team").filter(pk=provider.pk).first()
    if locked is None:
        raise Conflict("gone", f"“{provider}” was deleted meanwhile.")
    if pins and not locked.has_tls:
        raise PortalError(
            "no_tls", f"“{provider}” is called without TLS: there is no key to pin.", field="pins"
        )
    locked.spki_pins = list(pins)
    try:
        return services.edit_provider(provider=locked, actor=actor)
    except PortalError as error:
        field = "pins" if error.field == "spki_pins" else None
        raise PortalError(error.code, error.sentence, status=error.status, field=field) from None


def of_file(name: str, content: bytes, now: dt.datetime) -> str:
    """The pin of the one certificate in a file, read in the sandbox as uploads are; PortalError when there is none or more."""
    found = inspect(Upload(name=name, content=content, store="trust"), now)
    if not found.certificates:
        raise PortalError(found.code or "no_certificate", found.message, field="file")
    if len({one.spki_sha256 for one in found.certificates}) > 1:
        raise PortalError(
            "several_certificates",
            f"The file holds {len(found.certificates)} certificates: give one with only the certificate whose key is to be pinned.",
            field="file",
        )
    return pin_of(found.certificates[0].spki_sha256)
