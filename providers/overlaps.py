"""Overlapping trust: old and new are trusted until every provider was seen with a chain that the new one verifies.

An overlap opens when a version of a trust store certificate takes the place of one with entries that it lacks, and somebody uses
the certificate. Restoring the old version ends its overlap; the version that was left is then trusted on only where a provider's
server was last seen with one of its entries, so that what was activated by mistake is not trusted longer than it takes to restore.
Of several overlaps in a row each old version stays trusted until its own overlap is closed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.urls import reverse

from portal import audit
from portal.audit import SYSTEM, Actor
from portal.errors import Conflict
from portal.outbound import Policy
from providers import testing, trust
from providers.connection.verify import Verdict, public_roots, verify
from providers.models import ConnectionReport, Host, Overlap, OverlapProof, Provider
from providers.usage import find
from stores.models import Certificate, ChainCertificate, Store, Version
from stores.trusted_on import TrustedOn
from stores.usage import Use

if TYPE_CHECKING:
    from providers.connection.report import Report

MOST_NAMED = 5
LATER_JUDGED = ("client_certificate_", "http_")
"""Failures that are found only once the server has been believed."""


@dataclass(frozen=True)
class Standing:
    """What is known of one provider or host that uses the certificate of an overlap."""

    user: Provider | Host
    proof: OverlapProof | None
    why: str
    """Why it cannot be seen from here, as a sentence that may hold its address; empty when it can be tested."""

    @property
    def is_inbound(self) -> bool:
        return isinstance(self.user, Host)


def follow(version: Version, previous: Version | None, actor: Actor, now: dt.datetime) -> None:
    """Opens and closes what the activation of a version asks for; called in its transaction."""
    if version.certificate.store.kind != Store.Kind.TRUST:
        return
    restored = Overlap.objects.filter(old=version, closed_at__isnull=True).first()
    if restored:
        _close(restored, actor, now, "it is active again")
    if previous and trust.stays_trusted(previous, version, is_restored=restored is not None, now=now):
        certificate = version.certificate
        Overlap.objects.create(
            team=certificate.team, certificate=certificate, old=previous, new=version, opened_at=now
        )
        audit.record(actor, "overlap.opened", certificate, team=certificate.team, version=previous.number)


def standings(overlap: Overlap) -> list[Standing]:
    """Everybody who uses the certificate, by name, with the proof if there is one."""
    policy, used = Policy.from_settings(), [overlap.certificate]
    proofs = {proof.provider_id: proof for proof in OverlapProof.objects.filter(overlap=overlap)}
    providers = Provider.objects.that_use(used).defer("sealed_password", "description")
    found = [
        Standing(one, proofs.get(one.pk), testing.unreachable(one, policy))
        for one in providers.order_by("folded_name", "pk")
    ]
    inbound = "Callers connect to it: which CA theirs come from is not seen from here."
    hosts = Host.objects.that_use(used).order_by("folded_name", "pk")
    return found + [Standing(host, None, inbound) for host in hosts]


def trusted_on(certificates: QuerySet[Certificate]) -> list[TrustedOn]:
    """Open overlaps of these certificates as stores know them (`stores.trusted_on`)."""
    rows = Overlap.objects.filter(certificate__in=certificates, closed_at__isnull=True)
    overlaps = list(rows.select_related("old", "new", "certificate").order_by("certificate", "old__number"))
    if not overlaps:
        return []
    uses = find([one.certificate for one in overlaps])
    proofs = set(OverlapProof.objects.filter(overlap__in=overlaps).values_list("overlap", "provider"))
    return [
        _told(one, [use for use in uses if use.certificate_id == one.certificate_id], proofs)
        for one in overlaps
    ]


def _told(overlap: Overlap, uses: Sequence[Use], proofs: Collection[tuple[str, str]]) -> TrustedOn:
    return TrustedOn(
        old=overlap.old,
        new=overlap.new,
        since=overlap.opened_at,
        url=reverse("providers:overlap", args=[overlap.pk]),
        users=len(uses),
        proven=sum((overlap.pk, use.id) in proofs for use in uses),
    )


def unproven(found: Sequence[Standing]) -> list[Standing]:
    """Those that keep the old version from being safe to remove."""
    return [standing for standing in found if standing.proof is None]


@transaction.atomic
def close(*, overlap: Overlap, actor: Actor, now: dt.datetime, despite: bool = False) -> None:
    """Trusts the old version no longer. Conflict `not_proven`, naming them, while a user is not proven; `despite` that is known."""
    locked = _locked(overlap)
    if locked is None:
        return
    missing = unproven(standings(locked))
    if missing and not despite:
        raise Conflict(
            "not_proven",
            f"Not seen with the new version yet: {_names(missing)}. "
            "Test them, or say that you want to remove the old version all the same.",
        )
    _close(locked, actor, now, f"not seen with the new version: {_names(missing)}" if missing else None)


@transaction.atomic
def let_remove_itself(*, overlap: Overlap, wanted: bool, actor: Actor, now: dt.datetime) -> None:
    """Has the old version removed as soon as that is safe, at once if it is; or leaves it to a person."""
    locked = _locked(overlap)
    if locked is None or locked.removes_itself == wanted:
        return
    locked.removes_itself = wanted
    locked.save(update_fields=["removes_itself"])
    audit.record(
        actor, "overlap.removes_itself" if wanted else "overlap.left_to_people", locked.certificate,
        team=locked.team, version=locked.old.number,
    )  # fmt: skip
    _remove_if_safe(locked, now)


def close_ended(now: dt.datetime) -> int:
    """Closes overlaps whose old version has no entry left that has not ended; how many."""
    lasting = ChainCertificate.objects.filter(version=OuterRef("old"), not_after__gt=now)
    ended = Overlap.objects.filter(~Exists(lasting), closed_at__isnull=True)
    return sum(_close_one(overlap, now) for overlap in ended)


@transaction.atomic
def _close_one(overlap: Overlap, now: dt.datetime) -> bool:
    locked = _locked(overlap)
    if locked:
        _close(locked, SYSTEM, now, "all its certificates have ended")
    return locked is not None


def after(report: ConnectionReport, parsed: Report | None, now: dt.datetime) -> None:
    """Notes the provider as proven when what is active alone verifies the chain that was seen, and as unproven when it does not.

    `parsed` is None for a test that never ran to its end. A report proves something as soon as the server was believed, whatever
    came after. An owner may have chosen that the old version goes as soon as it is safe.
    """
    if parsed is None or not parsed.server_chain or not _was_believed(parsed):
        return
    provider = report.provider
    rows = Overlap.objects.filter(certificate__in=trust.certificates_of(provider), closed_at__isnull=True)
    overlaps = list(
        rows.select_for_update(of=("self",)).select_related("certificate", "team", "old").order_by("pk")
    )
    if not overlaps:
        return
    verdict = _judge(provider, parsed, now)
    if verdict.anchor is None:
        OverlapProof.objects.filter(overlap__in=overlaps, provider=provider).delete()
        return
    for overlap in overlaps:
        OverlapProof.objects.get_or_create(
            overlap=overlap,
            provider=provider,
            defaults={"seen_at": now, "anchor": _name(verdict.anchor), "report": report},
        )
        _remove_if_safe(overlap, now)


def _was_believed(parsed: Report) -> bool:
    return parsed.ok or parsed.code.startswith(LATER_JUDGED)


def _judge(provider: Provider, parsed: Report, now: dt.datetime) -> Verdict:
    chain = [x509.load_der_x509_certificate(one.der) for one in parsed.server_chain]
    anchors = trust.anchors_of(provider) or ()
    return verify(chain, anchors + public_roots() if provider.trust_public else anchors, now)


def _name(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(names[0].value) if names else certificate.subject.rfc4514_string()


def _remove_if_safe(overlap: Overlap, now: dt.datetime) -> None:
    if overlap.removes_itself and not unproven(standings(overlap)):
        _close(overlap, SYSTEM, now, "every provider was seen with the new version")


def _locked(overlap: Overlap) -> Overlap | None:
    """The overlap for this transaction alone; None when it was closed meanwhile."""
    rows = Overlap.objects.select_for_update(of=("self",)).select_related("certificate", "team", "old")
    return rows.filter(pk=overlap.pk, closed_at__isnull=True).first()


def _close(overlap: Overlap, actor: Actor, now: dt.datetime, reason: str | None) -> None:
    overlap.closed_at, overlap.closed_by = now, actor.user
    overlap.save(update_fields=["closed_at", "closed_by"])
    audit.record(
        actor,
        "overlap.closed",
        overlap.certificate,
        team=overlap.team,
        version=overlap.old.number,
        reason=reason,
    )


def _names(found: Sequence[Standing]) -> str:
    more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    return ", ".join(str(one.user) for one in found[:MOST_NAMED]) + more
