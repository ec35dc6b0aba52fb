"""Stores, certificates, their versions, and what is watched about them."""

from __future__ import annotations

import datetime as dt
from functools import cached_property
from typing import Any, ClassVar

from django.contrib.auth import get_user_model
from django.db import models
from django.db.models import Q
from django.urls import reverse

from portal.models import Named, Team, id_field, unique_name
from portal.vault import Binding
from stores.expiry import Stage
from stores.querysets import (
    CaseQuerySet,
    CertificateQuerySet,
    FlagQuerySet,
    NoticeQuerySet,
    StoreQuerySet,
    VersionQuerySet,
)

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


class Flag(models.Model):
    """A version crossed a stage towards the end of one of its certificates. Written once, then delivered."""

    version = models.ForeignKey(Version, models.CASCADE, related_name="flags")
    ends_sha256 = models.CharField(max_length=64)
    ends_name = models.TextField()
    ends_at = models.DateTimeField()
    stage = models.CharField(max_length=10, choices=[(stage.value, stage.value) for stage in Stage])
    crossed_at = models.DateTimeField()
    flagged_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True)
    told = models.BooleanField(default=True)
    """False for a stage that was caught up after an outage together with a later one, which is told instead."""

    objects = FlagQuerySet.as_manager()

    class Meta:
        ordering = ("ends_at", "id")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=("version", "ends_sha256", "stage"), name="flag_once"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index("version", condition=Q(resolved_at__isnull=True), name="flag_open"),
        ]

    def __str__(self) -> str:
        return f"{self.version}: {self.stage} because of {self.ends_name}"


class Case(models.Model):
    """A replacement to be made. Opened by a flag, closed by evidence."""

    id = id_field()
    team = models.ForeignKey(Team, models.CASCADE, related_name="cases")
    certificate = models.ForeignKey(Certificate, models.CASCADE, related_name="cases")
    version = models.ForeignKey(Version, models.CASCADE, related_name="+")
    """The version that ends."""
    stage = models.CharField(max_length=10, choices=[(stage.value, stage.value) for stage in Stage])
    fails_at = models.DateTimeField()
    owner = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="cases")
    opened_at = models.DateTimeField()
    snoozed_until = models.DateTimeField(null=True, blank=True)
    snooze_reason = models.TextField(blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    evidence = models.JSONField(default=list)

    objects = CaseQuerySet.as_manager()

    class Meta:
        ordering = ("fails_at", "id")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=("certificate",), condition=Q(closed_at__isnull=True), name="case_one_open"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(
                "team", "fails_at", "id", condition=Q(closed_at__isnull=True), name="case_open_by_end"
            ),
        ]

    def __str__(self) -> str:
        return f"replace {self.certificate}"

    @property
    def confirmations(self) -> list[dict[str, Any]]:
        """What those behind providers say that they have installed, the instants as such."""
        said = [one for one in self.evidence if one["kind"] == "installed"]
        return [one | {"at": dt.datetime.fromisoformat(one["at"])} for one in said]


class Notice(models.Model):
    """One message for one recipient over one channel: the outbox and the inbox."""

    class Channel(models.TextChoices):
        PORTAL = "portal", "Portal"
        EMAIL = "email", "E-mail"

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        SENDING = "sending", "Sending"
        SENT = "sent", "Sent"
        FAILED = "failed", "Failed"

    id = id_field()
    team = models.ForeignKey(Team, models.CASCADE, related_name="notices")
    flag = models.ForeignKey(Flag, models.CASCADE, null=True, related_name="notices")
    """None for what is no stage of a version: then `key`, `title`, `text` and `url` say what there is to tell."""
    key = models.CharField(max_length=100, blank=True)
    """What is told once under this name."""
    title = models.CharField(max_length=250, blank=True)
    text = models.TextField(blank=True)
    url = models.CharField(max_length=200, blank=True)
    user = models.ForeignKey(User, models.CASCADE, null=True, related_name="notices")
    recipient = models.CharField(max_length=254)
    """Address of the recipient on this channel."""
    channel = models.CharField(max_length=10, choices=Channel.choices)
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    created_at = models.DateTimeField()
    due_at = models.DateTimeField()
    attempts = models.PositiveSmallIntegerField(default=0)
    attempted_at = models.DateTimeField(null=True)
    seconds = models.FloatField(null=True)
    sent_at = models.DateTimeField(null=True)
    error = models.TextField(blank=True)
    read_at = models.DateTimeField(null=True)

    objects = NoticeQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at", "-id")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=("flag", "recipient", "channel"), name="notice_once"),
            models.UniqueConstraint(
                fields=("key", "recipient", "channel"), condition=~Q(key=""), name="notice_key_once"
            ),
            models.CheckConstraint(
                condition=Q(flag__isnull=False, key="") | ~Q(key="") & ~Q(title=""),
                name="notice_says_what",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index("due_at", condition=Q(state__in=("waiting", "sending")), name="notice_due"),
            models.Index(
                fields=("user", "-created_at", "-id"), condition=Q(channel="portal"), name="notice_inbox"
            ),
            models.Index(
                "team", "state", condition=Q(state__in=("waiting", "sending", "failed")), name="notice_unsent"
            ),
            models.Index(
                "user", "team", condition=Q(channel="portal", read_at__isnull=True), name="notice_unread"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.channel} notice to {self.recipient}"

    def get_absolute_url(self) -> str:
        """The page of what it is about."""
        return self.flag.version.certificate.get_absolute_url() if self.flag else self.url

    @property
    def about(self) -> str:
        """What it is about, in a few words: the name of a certificate, else its title."""
        return self.flag.version.certificate.name if self.flag else self.title
