"""Gateways: the proxies that take their secrets from the portal, and which version each of them runs."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.urls import reverse

from portal.models import Named, Team, User, id_field, unique_name
from providers.models.host import Host
from providers.models.provider import Provider
from stores.models import Version


class Gateway(Named):
    """A proxy of the team's own: it sees what its hosts and providers need, and nothing else."""

    class Kind(models.TextChoices):
        ENVOY = "envoy", "Envoy"

    id = id_field()
    team = models.ForeignKey(Team, models.CASCADE, related_name="gateways")
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.ENVOY)
    hosts = models.ManyToManyField(Host, related_name="gateways", blank=True)
    providers = models.ManyToManyField(Provider, related_name="gateways", blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    first_heard_at = models.DateTimeField(null=True, editable=False)
    last_heard_at = models.DateTimeField(null=True, editable=False)
    """To some seconds: not every poll is written down."""

    class Meta(Named.Meta):
        constraints: ClassVar[list[models.BaseConstraint]] = [
            *unique_name("gateway", "team", taken="There is a gateway of this name in the team."),
            models.CheckConstraint(condition=models.Q(kind__in=("envoy",)), name="gateway_kind_known"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("providers:gateway", args=[self.pk])


class GatewayToken(models.Model):
    """What a gateway says to be let in; only its digest is kept. Two may work at once, so that one can be replaced at leisure."""

    id = id_field()
    team = models.ForeignKey(Team, models.CASCADE, related_name="+")
    gateway = models.ForeignKey(Gateway, models.CASCADE, related_name="tokens")
    token_sha256 = models.CharField(max_length=64, unique=True, editable=False)
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, editable=False)
    revoked_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ("-created_at", "-id")

    def __str__(self) -> str:
        return f"token of {self.gateway}"


class GatewaySecret(models.Model):
    """What one gateway was last sent under one name, and what it said to that."""

    gateway = models.ForeignKey(Gateway, models.CASCADE, related_name="secrets")
    name = models.CharField(max_length=60)
    """As the gateway asks for it: `certificate/<id>` or `trust/<id>`."""
    sent_info = models.CharField(max_length=64, blank=True)
    """The `version_info` of what was last sent under this name."""
    answer_info = models.CharField(max_length=64, blank=True)
    """The `version_info` of the answer that it was in: the same, where it was asked for alone."""
    sent_version = models.ForeignKey(Version, models.SET_NULL, null=True, related_name="+")
    """Of a certificate; None for trust."""
    sent_at = models.DateTimeField(null=True)
    times = models.PositiveIntegerField(default=0)
    """How often this was sent without being acknowledged."""
    acked_info = models.CharField(max_length=64, blank=True)
    acked_version = models.ForeignKey(Version, models.SET_NULL, null=True, related_name="run_by_gateways")
    acked_at = models.DateTimeField(null=True)
    refused_info = models.CharField(max_length=64, blank=True)
    refused_at = models.DateTimeField(null=True)
    refused_why = models.TextField(blank=True)
    """In the gateway's own words; empty where it gave none."""

    class Meta:
        ordering = ("name",)
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=("gateway", "name"), name="gateway_secret_once"),
        ]

    def __str__(self) -> str:
        return f"{self.gateway}: {self.name}"
