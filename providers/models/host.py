"""Hosts: the inbound addresses where callers reach the gateway."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.urls import reverse

from portal.models import Named, Team, id_field, unique_name
from providers import addresses
from providers.models.provider import PORT_RANGE
from providers.querysets import HostQuerySet
from providers.validation import Errors
from stores.models import Certificate, Store


class Host(Named):
    """An inbound address where callers reach the gateway."""

    class ClientCertificate(models.TextChoices):
        REQUIRED = "required", "Required"
        OPTIONAL = "optional", "Optional"
        OFF = "off", "Off"

    id = id_field()
    team = models.ForeignKey(Team, models.CASCADE, related_name="hosts")
    host_name = models.CharField(max_length=253)
    port = models.PositiveIntegerField(default=443)
    key_certificate = models.ForeignKey(
        Certificate, models.PROTECT, null=True, blank=True, related_name="hosts_showing"
    )
    trust_store = models.ForeignKey(
        Store, models.PROTECT, null=True, blank=True, related_name="hosts_trusting"
    )
    client_certificate = models.CharField(
        max_length=8, choices=ClientCertificate.choices, default=ClientCertificate.REQUIRED
    )
    description = models.TextField(max_length=2000, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = HostQuerySet.as_manager()

    class Meta(Named.Meta):
        constraints: ClassVar[list[models.BaseConstraint]] = [
            *unique_name("host", "team", taken="There is a host of this name in the team."),
            models.CheckConstraint(condition=PORT_RANGE, name="host_port_range"),
            models.CheckConstraint(
                condition=Q(client_certificate__in=("required", "optional"))
                | Q(client_certificate="off", trust_store=None),
                name="host_trust_needs_client_certificate",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index("team", "folded_name", "id", name="host_by_name")
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("providers:host", args=[self.pk])

    @property
    def address(self) -> str:
        """Host name and port; for those who may see addresses."""
        return addresses.host_and_port(self.host_name, self.port)

    def clean(self) -> None:
        """As a provider's: one form, and only stores that fit."""
        errors = Errors()
        if self.client_certificate == self.ClientCertificate.OFF:
            self.trust_store = None
        if self.host_name:
            self.host_name = errors.read("host_name", addresses.host, self.host_name)
        errors.check_key_certificate(self.key_certificate, self.team_id)
        errors.check_trust_store(self.trust_store, self.team_id)
        if self.trust_store is None and self.client_certificate != self.ClientCertificate.OFF:
            errors.add(
                "trust_store",
                "Choose the trust store by which callers are recognised, or set client certificates to Off.",
            )
        errors.raise_if_any()
