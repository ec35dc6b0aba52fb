"""Share pages: what the people behind a provider need to know, without an account."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from portal.models import Team, User, id_field
from providers.models.provider import Provider


class SharePage(models.Model):
    """A secret, expiring, revocable address of public material for the people who run a provider's backend."""

    id = id_field()
    team = models.ForeignKey(Team, models.CASCADE, related_name="share_pages")
    provider = models.ForeignKey(Provider, models.CASCADE, related_name="share_pages")
    token_sha256 = models.CharField(max_length=64, unique=True, editable=False)
    """Of the secret in the address, which nobody can read again."""
    note = models.TextField(max_length=2000, blank=True)
    """What the team says to them."""
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    seen_at = models.DateTimeField(null=True)
    """When it was last opened."""

    class Meta:
        ordering = ("-created_at", "-id")
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=("provider", "-created_at"), name="share_of_provider"),
        ]

    def __str__(self) -> str:
        return f"share page of {self.provider}"


class Installed(models.Model):
    """Somebody behind the provider said: we have installed it."""

    page = models.ForeignKey(SharePage, models.CASCADE, related_name="confirmations")
    sha256 = models.CharField(max_length=64)
    """Of the certificate that was installed."""
    said_by = models.CharField(max_length=200, blank=True)
    """The name that was typed; nobody has checked it."""
    said_at = models.DateTimeField()

    class Meta:
        ordering = ("-said_at",)
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=("page", "sha256"), name="installed_once"),
        ]

    def __str__(self) -> str:
        return f"installed: {self.sha256[:16]}"
