"""Which certificates are believed as anchors towards a provider: its trust store's entries and nothing else."""

from __future__ import annotations

from cryptography import x509
from django.db.models import Q, QuerySet

from providers.models import Overlap, Provider
from stores.models import Certificate, ChainCertificate, Version


def anchors_of(
    provider: Provider, *, staged: Version | None = None, without: Overlap | None = None
) -> tuple[x509.Certificate, ...] | None:
    """Active versions of what it trusts, and the old versions of open overlaps; None: the system's public roots.

    `staged` takes the place of the active version of its certificate. With `without` no overlap counts, neither this one nor
    another: two that keep the same entry must not prove each other superfluous. Each entry comes once, in a constant order.
    """
    if provider.trust_store_id is None:
        return None
    entries = ChainCertificate.objects.filter(version__in=_versions(provider, staged, without))
    rows = entries.order_by("version__certificate_id", "version__number", "position")
    ders = dict(rows.values_list("sha256", "der"))
    return tuple(x509.load_der_x509_certificate(bytes(der)) for der in ders.values())


def certificates_of(provider: Provider) -> QuerySet[Certificate]:
    """The trust store certificates that it trusts: one alone, or all of its store; none without a trust store."""
    if provider.trust_certificate_id:
        return Certificate.objects.filter(pk=provider.trust_certificate_id)
    return Certificate.objects.filter(store=provider.trust_store_id or "")


def believed() -> QuerySet[Version]:
    """Versions whose entries are believed by those who trust their certificates: active ones, and old ones of open overlaps."""
    return Version.objects.filter(Q(state=Version.State.ACTIVE) | Q(pk__in=_overlapping()))


def _overlapping() -> QuerySet[Overlap, str]:
    return Overlap.objects.filter(closed_at__isnull=True).values_list("old", flat=True)


def _versions(provider: Provider, staged: Version | None, without: Overlap | None) -> QuerySet[Version]:
    wanted = Q(state=Version.State.ACTIVE)
    if staged is not None:
        wanted = (wanted & ~Q(certificate=staged.certificate_id)) | Q(pk=staged.pk)
    if without is None:
        wanted |= Q(pk__in=_overlapping())
    return Version.objects.filter(wanted, certificate__in=certificates_of(provider))
