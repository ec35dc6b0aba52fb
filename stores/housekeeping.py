"""What the scheduled tasks tidy up: forgotten drafts, files without a row, versions whose instant has come."""

from __future__ import annotations

import datetime as dt
import logging

from django.db import transaction
from django.urls import reverse

from portal import audit
from portal.audit import SYSTEM
from portal.errors import PortalError
from stores import notices, originals, services, switching
from stores.drafts import LIFETIME
from stores.expiry import Stage
from stores.locking import Gone, locked_version
from stores.models import Draft, Version

log = logging.getLogger("storekeeper")
ORPHAN_AGE = dt.timedelta(days=1)


def discard_unconfirmed(now: dt.datetime) -> int:
    """Removes drafts that nobody confirmed within a day, with their sealed bytes; how many."""
    removed = 0
    for draft in Draft.objects.filter(created_at__lt=now - LIFETIME).iterator():
        with transaction.atomic():
            deleted, _ = Draft.objects.filter(pk=draft.pk, version=draft.version_id).delete()
        if deleted:
            originals.remove(draft.original, draft.key_original)
            removed += 1
    return removed


def remove_orphaned_files(now: dt.datetime) -> int:
    """Removes sealed files older than a day that no row names, as a crash between file and row leaves them; how many."""
    removed = 0
    for names in originals.by_folder():
        orphans = [name for name in _unnamed(names) if originals.is_older(name, now - ORPHAN_AGE)]
        removed += originals.remove(*orphans)
    return removed


def _unnamed(names: list[str]) -> list[str]:
    """Those that no row names. Drafts are asked first: what is saved meanwhile goes from a draft to a version."""
    owners = {originals.owner(name) for name in names}
    drafts = list(Draft.objects.filter(pk__in=owners).values_list("original", "key_original"))
    versions = list(Version.objects.filter(pk__in=owners).values_list("original", "key_original"))
    named = {name for pair in drafts + versions for name in pair}
    return [name for name in names if name not in named]


def activate_due(now: dt.datetime) -> int:
    """Activates staged versions whose instant has come; one that cannot be stays staged, without an instant. How many."""
    activated = 0
    for version in Version.objects.to_activate(now).select_related("certificate", "team"):
        try:
            activated += _activate(version, now)
        except Gone:
            continue
        except PortalError as error:
            not_activated(version, error, now)
    return activated


@transaction.atomic
def _activate(version: Version, now: dt.datetime) -> bool:
    """False when a last rehearsal decides, or when somebody has postponed or discarded it since it was found due."""
    locked = locked_version(version)
    if not Version.objects.to_activate(now).filter(pk=locked.pk).exists():
        return False
    refuse_older(locked)
    if switching.last_rehearsal(locked, now):
        return False
    services.activate(version=locked, actor=SYSTEM, now=now)
    return True


def refuse_older(version: Version) -> None:
    """PortalError when a newer version is active: by itself, an older one never takes its place."""
    active = version.certificate.active
    if active and active.number > version.number:
        raise PortalError(
            "newer_active",
            f"Version {active.number} was made active meanwhile. Activate this one by hand if it is wanted.",
        )


@transaction.atomic
def not_activated(version: Version, error: PortalError, now: dt.datetime) -> None:
    """Its instant came, and it could not become active: it stays staged without an instant, and its owners are told."""
    log.warning("version %s is not activated: %s", version.pk, error.code)
    Version.objects.filter(pk=version.pk).update(activate_at=None)
    audit.record(
        SYSTEM,
        "version.not_activated",
        version.certificate,
        team=version.team,
        version=version.number,
        reason=error.sentence,
    )
    instant = version.activate_at or now
    notices.tell(
        team=version.team,
        people=notices.people_of(version.certificate),
        key=f"not activated {version.pk} {instant:%Y%m%d%H%M%S}",
        title=f"Version {version.number} of {version.certificate} did not become active",
        text=f"It was to become active on {instant:%d %B %Y, %H:%M} UTC. {error.sentence}",
        url=reverse("stores:version", args=[version.pk]),
        now=now,
        severity=Stage.URGENT,
    )
