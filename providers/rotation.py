"""Re-wrapping the passwords of providers with the ring's first key."""

from __future__ import annotations

from portal import vault
from portal.rotation import Rotated, rotate
from providers.models import Provider


def passwords(size: int) -> Rotated:
    """All providers that have a password."""
    rows = Provider.objects.exclude(sealed_password=None).exclude(sealed_with=vault.ring().current)
    return Rotated("provider passwords", rotate(rows, _rewrap, size), rows.count())


def _rewrap(provider: Provider) -> bool:
    sealed = bytes(provider.sealed_password or b"")
    values = {
        "sealed_password": vault.rewrap(sealed, provider.binding()),
        "sealed_with": vault.ring().current,
    }
    return Provider.objects.filter(pk=provider.pk, sealed_password=sealed).update(**values) == 1
