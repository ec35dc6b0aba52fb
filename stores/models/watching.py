"""What is watched about versions, and who replaces them until when."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib.auth import get_user_model
from django.db import models
from django.db.models import Q
from django.urls import reverse

from portal.models import Team, id_field
from stores.expiry import Stage
from stores.models.keeping import Certificate, Version
from stores.querysets import CaseQuerySet, FlagQuerySet

if TYPE_CHECKING:
    from portal.models import User as Person

User = get_user_model()


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
    successor = models.ForeignKey(Version, models.CASCADE, null=True, blank=True, related_name="+")
    """The version that is active since, while it is not proven that it is in use everywhere; None before."""
    stage = models.CharField(max_length=10, choices=[(stage.value, stage.value) for stage in Stage])
    fails_at = models.DateTimeField()
    owner = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="cases")
    """Who has taken it; None: the owner of the certificate, else the owners of the team."""
    level = models.PositiveSmallIntegerField(default=0)
    """How often a later stage woke it: from 1 on the owners of the team are told as well."""
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
            models.Index(
                "snoozed_until",
                condition=Q(closed_at__isnull=True, snoozed_until__isnull=False),
                name="case_to_wake",
            ),
            models.Index(
                "successor",
                condition=Q(closed_at__isnull=True, successor__isnull=False),
                name="case_to_prove",
            ),
        ]

    def __str__(self) -> str:
        return f"replace {self.certificate}"

    def get_absolute_url(self) -> str:
        return reverse("stores:case", args=[self.pk])

    @property
    def holder(self) -> Person | None:
        """Who has it: its owner, else that of the certificate, while a member of the team; None: the team's owners.

        Of rows that were read `with_holders`.
        """
        row: Any = self
        if row.owner_belongs:
            return self.owner
        return self.certificate.owner if row.certificate_owner_belongs else None

    @property
    def left_by(self) -> Person | None:
        """Who had it and is no member of the team any more; None for nobody."""
        return self.owner if self.owner_id and not getattr(self, "owner_belongs", True) else None

    def is_asleep(self, now: dt.datetime) -> bool:
        """Whether it is snoozed."""
        return self.closed_at is None and self.snoozed_until is not None and self.snoozed_until > now

    @property
    def confirmations(self) -> list[dict[str, Any]]:
        """What those behind providers say that they have installed, the instants as such."""
        said = [one for one in self.evidence if one["kind"] == "installed"]
        return [one | {"at": dt.datetime.fromisoformat(one["at"])} for one in said]


class CaseEvent(models.Model):
    """Something that was done about a case, or happened to it. Only ever added."""

    class Kind(models.TextChoices):
        OPENED = "opened", "Opened"
        ADVANCED = "advanced", "Came nearer to the end"
        WOKEN = "woken", "Woken"
        TAKEN = "taken", "Taken"
        HANDED = "handed", "Handed over"
        NOTED = "noted", "Note"
        SNOOZED = "snoozed", "Snoozed"
        EVIDENCE = "evidence", "Evidence"
        STAYS = "stays", "Stays open"
        CLOSED = "closed", "Closed"

    case = models.ForeignKey(Case, models.CASCADE, related_name="events")
    at = models.DateTimeField()
    kind = models.CharField(max_length=10, choices=Kind.choices)
    by = models.CharField(max_length=254, blank=True)
    """Who did it; empty for the portal itself."""
    text = models.TextField(max_length=2000, blank=True)
    """What was typed, or what happened as a sentence."""

    class Meta:
        ordering = ("at", "id")

    def __str__(self) -> str:
        return f"{self.case}: {self.kind}"


class IssuerNote(models.Model):
    """How the team renews the certificates of one issuer, in its own words."""

    id = id_field()
    team = models.ForeignKey(Team, models.CASCADE, related_name="issuer_notes")
    issuer = models.TextField()
    """The issuer's name as certificates have it."""
    issuer_sha256 = models.CharField(max_length=64, editable=False)
    """Of the name, which has no bound that an index could hold."""
    text = models.TextField(max_length=4000)
    updated_at = models.DateTimeField()
    updated_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")

    class Meta:
        ordering = ("issuer", "id")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=("team", "issuer_sha256"), name="issuer_note_once"),
            models.CheckConstraint(condition=~Q(text=""), name="issuer_note_not_empty"),
        ]

    def __str__(self) -> str:
        return f"how to renew certificates of {self.issuer}"


class Watcher(models.Model):
    """A plain address of somebody without an account who is told of one certificate."""

    id = id_field()
    team = models.ForeignKey(Team, models.CASCADE, related_name="+")
    certificate = models.ForeignKey(Certificate, models.CASCADE, related_name="watchers")
    email = models.EmailField(max_length=254)
    added_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    added_at = models.DateTimeField()

    class Meta:
        ordering = ("email",)
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=("certificate", "email"), name="watcher_once"),
        ]

    def __str__(self) -> str:
        return self.email
