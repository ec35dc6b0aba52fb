"""Which certificates are believed as anchors towards a provider: its trust store's entries and nothing else."""

from __future__ import annotations

import datetime as dt

from cryptography import x509
from django.db.models import Q, QuerySet

from providers.models import Host, Overlap, Provider
from stores.models import Certificate, ChainCertificate, Version


def anchors_of(provider: Provider, *, staged: Version | None = None) -> tuple[x509.Certificate, ...] | None:
    """Entries of active versions of what it trusts; None: the system's public roots.

    `staged` takes the place of the active version of its certificate. No overlap counts: two that keep the same entry must not
    prove each other superfluous. Each entry comes once, in a constant order.
    """
    if provider.trust_store_id is None:
        return None
    wanted = Q(state=Version.State.ACTIVE)
    if staged is not None:
        wanted = (wanted & ~Q(certificate=staged.certificate_id)) | Q(pk=staged.pk)
    return _entries(provider, wanted)


def outgoing_of(
    provider: Provider, *, staged: Version | None = None, now: dt.datetime
) -> tuple[x509.Certificate, ...]:
    """Entries of the old versions of open overlaps: trusted beside the anchors until every server was seen with one of those.

    With `staged` as it would be after its activation: the version whose place it takes is among them where it would stay trusted.
    """
    if provider.trust_store_id is None:
        return ()
    old = Q(pk__in=_overlapping())
    if staged and (replaced := _kept_after(staged, now)):
        old |= Q(pk=replaced.pk)
    return _entries(provider, old)


def _kept_after(staged: Version, now: dt.datetime) -> Version | None:
    """The version that is active now, if it would stay trusted once this one takes its place."""
    active = (
        Version.objects.filter(certificate=staged.certificate_id, state=Version.State.ACTIVE)
        .exclude(pk=staged.pk)
        .first()
    )
    restored = Overlap.objects.filter(old=staged, closed_at__isnull=True).exists()
    return active if active and stays_trusted(active, staged, is_restored=restored, now=now) else None


def stays_trusted(old: Version, new: Version, *, is_restored: bool, now: dt.datetime) -> bool:
    """Whether somebody may depend on an entry that only the old version has, and that has not ended.

    When a version is restored, what was left is trusted on only where a server was last seen with one of its entries.
    """
    lost = old.chain.filter(not_after__gt=now).exclude(sha256__in=new.chain.order_by().values("sha256"))
    users = Provider.objects.that_use([new.certificate])
    if is_restored:
        return users.filter(anchor_sha256__in=lost.order_by().values("sha256")).exists()
    return lost.exists() and (users.exists() or Host.objects.that_use([new.certificate]).exists())


def _entries(provider: Provider, wanted: Q) -> tuple[x509.Certificate, ...]:
    versions = Version.objects.filter(wanted, certificate__in=certificates_of(provider))
    entries = ChainCertificate.objects.filter(version__in=versions)
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
