"""The app `stores`."""

from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate

from portal.triggers import Guard, installer

UPLOADED = (
    "id", "team_id", "certificate_id", "number", "format", "file_name", "file_size", "findings", "key_type", "spki_sha256",
    "subject_sha256", "names_sha256", "subject", "missing_issuer", "created_at",
)  # fmt: skip
install_guards = installer(
    Guard("version_immutable", "stores_version", "UPDATE", "what was uploaded never changes", UPLOADED),
    Guard("chain_immutable", "stores_chaincertificate", "UPDATE", "what was uploaded never changes"),
)


class StoresConfig(AppConfig):
    name = "stores"

    def ready(self) -> None:
        from portal import health
        from stores import standing

        health.announce(standing.figures)
        post_migrate.connect(install_guards, sender=self)
