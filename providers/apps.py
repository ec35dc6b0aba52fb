"""The app `providers`."""

from __future__ import annotations

from django.apps import AppConfig


class ProvidersConfig(AppConfig):
    name = "providers"

    def ready(self) -> None:
        from providers import pin_breaks
        from providers.usage import find, find_of_store, search, used
        from stores import warning
        from stores.usage import announce

        announce(find, of_store=find_of_store, used=used, search=search)
        warning.announce(pin_breaks.warnings)
