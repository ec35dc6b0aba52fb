"""The app `providers`."""

from __future__ import annotations

from django.apps import AppConfig


class ProvidersConfig(AppConfig):
    name = "providers"

    def ready(self) -> None:
        from providers import alerts, endings, expiring, overlaps, pin_breaks, proving, rehearsals
        from providers.gateway import standing
        from providers.usage import find, find_of_store, search, used
        from stores import policy_change, proof, running, switching, theirs, trusted_on, usage, warning

        usage.announce(find, of_store=find_of_store, used=used, search=search)
        switching.announce(gate=rehearsals.held, follower=alerts.follow, rehearser=rehearsals)
        switching.announce(follower=overlaps.follow)
        proof.announce(proving.standings)
        theirs.announce(endings.their_ends)
        running.announce(standing.running)
        trusted_on.announce(overlaps.trusted_on)
        warning.announce(pin_breaks.warnings)
        policy_change.announce(expiring.rejudge)
