"""Stores, certificates, their versions and what they hold."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

from django.contrib.auth import get_user_model
from django.db import models
from django.db.models import Q
from django.urls import reverse

from portal.models import Named, Team, id_field, unique_name
from portal.vault import Binding
from stores.querysets import CertificateQuerySet, StoreQuerySet, VersionQuerySet

User = get_user_model()


class Store(Named):
    """A key store or a trust store of a team."""

    class Kind(models.TextChoices):
        KEY = "key", "Key store"
        TRUST = "trust", "Trust store"

    id = id_field()
    team = models.ForeignKey(Team, models.CASCADE, related_name="stores")
    kind = models.CharField(max_length=5, choices=Kind.choices)
    description = models.TextField(max_length=2000, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = StoreQuerySet.as_manager()

    class Meta(Named.Meta):
        constraints: ClassVar[list[models.BaseConstraint]] = [
            *unique_name("store", "team", taken="There is a store of this name in the team."),
            models.CheckConstraint(condition=Q(kind__in=("key", "trust")), name="store_kind_known"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("stores:store", args=[self.pk])


class Certificate(Named):
    """A named slot in a store; providers and hosts refer to it, never to a version.

    `fails_at`, `stage` and `search_text` repeat what its versions say, for lists: `watch` keeps the first two, `services.refresh` the last.
    """

    id = id_field()
    team = models.ForeignKey(Team, models.CASCADE, related_name="certificates")
    store = models.ForeignKey(Store, models.PROTECT, related_name="certificates")
    description = models.TextField(max_length=2000, blank=True)
    owner = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="owned_certificates")
    created_at = models.DateTimeField(auto_now_add=True)
    fails_at = models.DateTimeField(null=True, editable=False)
    stage = models.CharField(max_length=10, blank=True, editable=False)
    search_text = models.TextField(blank=True, editable=False)

    objects = CertificateQuerySet.as_manager()

    class Meta(Named.Meta):
        constraints: ClassVar[list[models.BaseConstraint]] = [
            *unique_name("certificate", "store", taken="There is a certificate of this name in the store."),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index("team", "fails_at", "id", name="certificate_by_fails_at"),
            models.Index("team", "folded_name", "id", name="certificate_by_name"),
            models.Index("team", "created_at", "id", name="certificate_by_created"),
            models.Index("store", "fails_at", "id", name="certificate_of_store"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("stores:certificate", args=[self.pk])

    @cached_property
    def active(self) -> Version | None:
        """The version in use; None while all are staged or discarded."""
        return self.versions.filter(state=Version.State.ACTIVE).first()


class Version(models.Model):
    """One immutable upload in a certificate. What was uploaded never changes; only the state and the watch do."""

    class State(models.TextChoices):
        STAGED = "staged", "Staged"
        ACTIVE = "active", "Active"
        SUPERSEDED = "superseded", "Superseded"
        DISCARDED = "discarded", "Discarded"

    id = id_field()
    team = models.ForeignKey(Team, models.CASCADE, related_name="+")
    certificate = models.ForeignKey(Certificate, models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.STAGED)
    format = models.CharField(max_length=8)
    file_name = models.CharField(max_length=250)
    file_size = models.PositiveIntegerField()
    findings = models.JSONField(default=list)
    key_type = models.CharField(max_length=60, blank=True)
    spki_sha256 = models.CharField(max_length=64, blank=True)
    subject_sha256 = models.CharField(max_length=64, blank=True)
    names_sha256 = models.CharField(max_length=64, blank=True)
    """Digests of what a successor of a key store's leaf would share; names have no bound that an index could hold."""
    subject = models.TextField(blank=True)
    missing_issuer = models.TextField(blank=True)
    created_at = models.DateTimeField()
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    activate_at = models.DateTimeField(null=True, blank=True)
    """When a staged version becomes active by itself; None: when somebody says so."""
    activated_at = models.DateTimeField(null=True)
    superseded_at = models.DateTimeField(null=True)
    purged_at = models.DateTimeField(null=True)
    sealed_key = models.BinaryField(null=True)
    original = models.CharField(max_length=200, blank=True)
    """Name of the sealed original file in the storage `sealed`; empty once purged."""
    key_original = models.CharField(max_length=200, blank=True)
    sealed_with = models.CharField(max_length=32, db_index=True)
    """Id of the key of the ring that wraps what is sealed."""
    fails_at = models.DateTimeField(null=True)
    fails_sha256 = models.CharField(max_length=64, blank=True)
    fails_name = models.TextField(blank=True)
    stage = models.CharField(max_length=10, blank=True)
    next_stage_at = models.DateTimeField(null=True)

    objects = VersionQuerySet.as_manager()

    class Meta:
        ordering = ("-number",)
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=("certificate",), condition=Q(state="active"), name="version_one_active"
            ),
            models.UniqueConstraint(fields=("certificate", "number"), name="version_number_unique"),
            models.CheckConstraint(
                condition=Q(state__in=("staged", "active", "superseded", "discarded")),
                name="version_state_known",
            ),
            models.CheckConstraint(condition=Q(number__gte=1), name="version_number_from_one"),
            models.CheckConstraint(
                condition=~Q(original="") | Q(purged_at__isnull=False), name="version_original_unless_purged"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(
                "next_stage_at",
                "id",
                condition=Q(state="active", next_stage_at__isnull=False),
                name="version_due",
            ),
            models.Index("activate_at", condition=Q(state="staged"), name="version_to_activate"),
            models.Index("team", condition=Q(state="staged"), name="version_staged"),
            *(
                models.Index(
                    "team", name, condition=Q(state="active"), name=f"version_by_{name.split('_')[0]}"
                )
                for name in ("spki_sha256", "subject_sha256", "names_sha256")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.certificate} version {self.number}"

    @cached_property
    def links(self) -> list[ChainCertificate]:
        """Its chain in order; it never changes."""
        return list(self.chain.all())

    def binding(self, kind: str) -> Binding:
        """What its sealed bytes are bound to."""
        return Binding(self.team_id, self.pk, kind)


class ChainCertificate(models.Model):
    """One X.509 certificate of a version. Position 0 is the leaf of a key store; a trust store keeps the file's order."""

    version = models.ForeignKey(Version, models.CASCADE, related_name="chain")
    position = models.PositiveIntegerField()
    sha256 = models.CharField(max_length=64, db_index=True)
    subject = models.TextField(blank=True)
    issuer = models.TextField(blank=True)
    common_name = models.TextField()
    serial = models.TextField()
    not_before = models.DateTimeField()
    not_after = models.DateTimeField()
    key_type = models.CharField(max_length=60)
    signature = models.CharField(max_length=80)
    names = models.JSONField(default=list)
    usages = models.JSONField(default=list)
    is_ca = models.BooleanField()
    is_self_signed = models.BooleanField()
    spki_sha256 = models.CharField(max_length=64)
    der = models.BinaryField()

    class Meta:
        ordering = ("position",)
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=("version", "position"), name="chain_position_unique"),
            models.UniqueConstraint(fields=("version", "sha256"), name="chain_certificate_once"),
        ]

    def __str__(self) -> str:
        return self.common_name


class Draft(models.Model):
    """An upload under review: sealed, not yet a version. Its id becomes the version's; unconfirmed it goes after a day."""

    id = id_field()
    team = models.ForeignKey(Team, models.CASCADE, related_name="drafts")
    user = models.ForeignKey(User, models.CASCADE, related_name="drafts")
    created_at = models.DateTimeField(db_index=True)
    target = models.JSONField(default=dict)
    """What was typed: store (id or new name and description), certificate (id or name and description)."""
    inspection = models.JSONField(default=dict)
    """The accepted Inspection without its key (`stores.drafts` writes and reads it)."""
    sealed_key = models.BinaryField(null=True)
    original = models.CharField(max_length=200)
    key_original = models.CharField(max_length=200, blank=True)
    sealed_with = models.CharField(max_length=32, db_index=True)
    version = models.OneToOneField(Version, models.SET_NULL, null=True, related_name="draft")
    """Set by the one confirmation that won."""

    def __str__(self) -> str:
        return f"upload {self.pk}"

    @property
    def is_spent(self) -> bool:
        """It became a version that has been deleted since, and what was sealed went with it."""
        return self.version_id is None and not self.original

    def binding(self, kind: str) -> Binding:
        return Binding(self.team_id, self.pk, kind)
