"""What follows from connection tests: alerts, changes, and how far old and new trust overlap."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from portal.models import Team, User, id_field
from providers.models.connection import ConnectionReport
from providers.models.provider import Provider
from providers.wording import WORKS, headline
from stores.models import Certificate, Version


class Alert(models.Model):
    """A provider passed before an activation and fails since."""

    class Closed(models.TextChoices):
        RESTORED = "restored", "The old version was restored"
        REPLACED = "replaced", "Another version became active"
        PASSES = "passes", "The connection passes again"
        DISMISSED = "dismissed", "Dismissed"

    id = id_field()
    team = models.ForeignKey(Team, models.CASCADE, related_name="alerts")
    provider = models.ForeignKey(Provider, models.CASCADE, related_name="alerts")
    certificate = models.ForeignKey(Certificate, models.CASCADE, related_name="alerts")
    version = models.ForeignKey(Version, models.CASCADE, related_name="+")
    """The version that became active."""
    previous = models.ForeignKey(Version, models.SET_NULL, null=True, related_name="+")
    """The version that was active before, which can be restored."""
    report = models.ForeignKey(ConnectionReport, models.SET_NULL, null=True, related_name="+")
    code = models.CharField(max_length=40)
    message = models.TextField()
    """What the report said; kept when the report is gone."""
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)
    closed = models.CharField(max_length=9, choices=Closed.choices, blank=True)

    class Meta:
        ordering = ("-opened_at", "-id")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=("provider", "certificate"), condition=Q(closed_at__isnull=True), name="alert_one_open"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(
                fields=("team", "-opened_at"), condition=Q(closed_at__isnull=True), name="alert_open"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider} fails since {self.version} is active"

    @property
    def headline(self) -> str:
        """What the report said, without any address."""
        return headline(self.code)


class Overlap(models.Model):
    """After a trust store entry was replaced: the old version is trusted beside the new one until this is closed."""

    id = id_field()
    team = models.ForeignKey(Team, models.CASCADE, related_name="overlaps")
    certificate = models.ForeignKey(Certificate, models.CASCADE, related_name="overlaps")
    old = models.ForeignKey(Version, models.CASCADE, related_name="+")
    new = models.ForeignKey(Version, models.CASCADE, related_name="+")
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)
    closed_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    removes_itself = models.BooleanField(default=False)
    """Whether it is closed as soon as it is safe, as an owner chose; else a person closes it."""

    class Meta:
        ordering = ("-opened_at", "-id")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=("old",), condition=Q(closed_at__isnull=True), name="overlap_one_open"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=("certificate",), condition=Q(closed_at__isnull=True), name="overlap_open"),
        ]

    def __str__(self) -> str:
        return f"{self.old} trusted beside {self.new}"


class OverlapProof(models.Model):
    """A provider was seen with a chain that the new version alone verifies."""

    overlap = models.ForeignKey(Overlap, models.CASCADE, related_name="proofs")
    provider = models.ForeignKey(Provider, models.CASCADE, related_name="+")
    seen_at = models.DateTimeField()
    anchor = models.TextField()
    """Common name of the entry of the new version in which the chain ended."""
    report = models.ForeignKey(ConnectionReport, models.SET_NULL, null=True, related_name="+")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=("overlap", "provider"), name="overlap_proof_once"),
        ]

    def __str__(self) -> str:
        return f"{self.provider}: {self.anchor}"


class Change(models.Model):
    """Something about a provider's server that is not as in its last good report."""

    class Kind(models.TextChoices):
        CHAIN = "chain", "Certificate chain"
        KEY = "key", "Key of the server"
        PROTOCOL = "protocol", "Protocol"
        CLIENT_CAS = "client_cas", "Client CAs"
        REACHABILITY = "reachability", "Reachability"

    id = id_field()
    team = models.ForeignKey(Team, models.CASCADE, related_name="changes")
    provider = models.ForeignKey(Provider, models.CASCADE, related_name="changes")
    report = models.ForeignKey(ConnectionReport, models.SET_NULL, null=True, related_name="+")
    kind = models.CharField(max_length=12, choices=Kind.choices)
    before = models.TextField(blank=True)
    after = models.TextField(blank=True)
    seen_at = models.DateTimeField()

    class Meta:
        ordering = ("-seen_at", "-id")
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=("team", "-seen_at", "-id"), name="change_of_team"),
        ]

    def __str__(self) -> str:
        return f"{self.provider}: {self.get_kind_display()}"

    @property
    def state(self) -> str:
        """As the portal's pages draw it."""
        if self.kind != self.Kind.REACHABILITY:
            return "info"
        return "valid" if self.after == WORKS else "expired"

    @property
    def word(self) -> str:
        return {"info": "Changed", "valid": "Works again", "expired": "Fails"}[self.state]
