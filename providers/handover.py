"""What the people behind a provider have to know: what we show to them, from when until when, and what they should trust."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import F, Prefetch

from providers.models import Installed, Provider, SharePage
from stores.models import ChainCertificate, Version

OFFERED = (Version.State.ACTIVE, Version.State.STAGED)


@dataclass(frozen=True)
class Offer:
    """A certificate that we show to them, or will show."""

    version: Version
    chain: Sequence[ChainCertificate]
    """The leaf first."""
    trust_by: dt.datetime | None
    """When their server has to trust it at the latest; None: now."""

    @property
    def leaf(self) -> ChainCertificate:
        return self.chain[0]

    @property
    def is_active(self) -> bool:
        return self.version.state == Version.State.ACTIVE

    @property
    def is_leaf_alone(self) -> bool:
        return len(self.chain) == 1

    @property
    def above(self) -> Sequence[ChainCertificate]:
        """What their server should trust: all above the leaf; a leaf that stands alone is trusted itself."""
        return self.chain[1:] or self.chain


def offers(provider: Provider) -> list[Offer]:
    """The active version of what is shown to the provider, then the staged ones, the first to come in front."""
    if provider.key_certificate_id is None:
        return []
    chain = Prefetch("chain", ChainCertificate.objects.order_by("position"))
    rows = Version.objects.filter(certificate=provider.key_certificate_id, state__in=OFFERED)
    versions = list(
        rows.select_related("certificate")
        .defer("sealed_key")
        .prefetch_related(chain)
        .order_by("state", F("activate_at").asc(nulls_last=True), "number")
    )
    active = next((one for one in versions if one.state == Version.State.ACTIVE), None)
    return [Offer(one, list(one.chain.all()), _trust_by(one, active)) for one in versions]


def _trust_by(version: Version, active: Version | None) -> dt.datetime | None:
    """The switch; where no instant is set, the end of the present one is the last chance."""
    if version is active:
        return None
    return version.activate_at or (active.fails_at if active else None)


def to_trust(shown: Sequence[Offer]) -> list[ChainCertificate]:
    """What their server should trust for all that is offered, each once."""
    return list({one.sha256: one for offer in shown for one in offer.above}.values())


def confirmed(page: SharePage) -> dict[str, Installed]:
    """What they said that they have installed, by the fingerprint of its leaf."""
    return {one.sha256: one for one in page.confirmations.all()}
