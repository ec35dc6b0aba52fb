"""Deciding: what has to be replaced, and when that is done (DESIGN section 10)."""

from __future__ import annotations

import datetime as dt
from typing import Any

from portal.models import User
from stores.expiry import Crossing
from stores.models import Case, Certificate, Version


def open_or_advance(version: Version, worst: Crossing, owner: User | None, now: dt.datetime) -> None:
    """The open case of the version's certificate says `worst`; it is opened where there is none.

    Call it in the transaction that writes the flags, with the certificate locked.
    """
    says = {"version": version, "stage": worst.stage, "fails_at": worst.ending.not_after}
    if not Case.objects.open().filter(certificate=version.certificate_id).update(**says):
        Case.objects.create(
            team_id=version.team_id, certificate_id=version.certificate_id, owner=owner, opened_at=now, **says
        )


def close(certificate: Certificate, now: dt.datetime, evidence: dict[str, Any]) -> None:
    """Closes the certificate's open case, if there is one; `evidence` says what proves that it is done."""
    for case in Case.objects.open().filter(certificate=certificate):
        case.closed_at = now
        case.evidence = [*case.evidence, evidence]
        case.save(update_fields=["closed_at", "evidence"])


def add_evidence(certificate: Certificate, evidence: dict[str, Any]) -> None:
    """Notes on the certificate's open case, if there is one, what speaks for it being done soon; it stays open.

    Call it in a transaction.
    """
    for case in Case.objects.open().select_for_update().filter(certificate=certificate):
        case.evidence = [*case.evidence, evidence]
        case.save(update_fields=["evidence"])


def hand_over(certificate: Certificate, owner: User | None) -> None:
    """The open case goes to the certificate's new owner with it; None leaves it to the team's owners."""
    Case.objects.open().filter(certificate=certificate).update(owner=owner)
