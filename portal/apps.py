"""The app `portal`."""

from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate

from portal.triggers import Guard, installer

SENTENCE = "the audit is append-only"
GUARDS = (
    Guard("audit_no_update", "portal_auditevent", "UPDATE", SENTENCE),
    Guard("audit_no_delete", "portal_auditevent", "DELETE", SENTENCE),
)
install_guards = installer(*GUARDS)


class PortalConfig(AppConfig):
    name = "portal"

    def ready(self) -> None:
        from portal import checks  # noqa: F401

        post_migrate.connect(install_guards, sender=self)
