"""Which certificates are believed as anchors towards a provider."""

from __future__ import annotations

from cryptography import x509

from providers.models import Overlap, Provider
from stores.models import Version


def anchors_of(
    provider: Provider, *, staged: Version | None = None, without: Overlap | None = None
) -> tuple[x509.Certificate, ...] | None:
    """Active versions of what it trusts, and the old versions of open overlaps; None: the system's public roots.

    `staged` takes the place of the active version of its certificate; `without` leaves out what one overlap keeps.
    """
    return None
