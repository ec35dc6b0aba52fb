"""What a connection test found, and what a rehearsal of many tests says of a version."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.urls import reverse

from portal.models import Team, User, id_field
from providers.models.provider import Provider
from stores.models import Version

REPORTS_KEPT = 20
"""Per provider."""


class Rehearsal(models.Model):
    """One try of a version, before its activation, against every provider that uses its certificate."""

    class Outcome(models.TextChoices):
        PASSED = "passed", "Passed"
        FAILED = "failed", "Failed"
        UNPROVEN = "unproven", "Unproven"

    id = id_field()
    team = models.ForeignKey(Team, models.CASCADE, related_name="rehearsals")
    version = models.ForeignKey(Version, models.CASCADE, related_name="rehearsals")
    asked_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    """None: the scheduled task."""
    asked_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=8, choices=Outcome.choices, blank=True)
    """Empty while it runs. Unproven: there was no provider that could be reached from here."""
    activates = models.BooleanField(default=False)
    """Whether the version becomes active by itself when all pass."""
    unproven = models.JSONField(default=list)
    """Providers and hosts that could not be tried, each as {"id", "kind", "title", "why"}."""

    class Meta:
        ordering = ("-asked_at", "-id")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=("version",), condition=Q(finished_at__isnull=True), name="rehearsal_one_running"
            ),
        ]

    def __str__(self) -> str:
        return f"rehearsal of {self.version}"


class ConnectionReport(models.Model):
    """One connection test of a provider, from asking for it to its diagnosis; the last `REPORTS_KEPT` are kept."""

    class Reason(models.TextChoices):
        ASKED = "asked", "Asked for"
        WATCH = "watch", "Drift watch"
        REHEARSAL = "rehearsal", "Rehearsal"
        ACTIVATION = "activation", "After an activation"

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        RUNNING = "running", "Running"
        DONE = "done", "Done"

    id = id_field()
    team = models.ForeignKey(Team, models.CASCADE, related_name="connection_reports")
    provider = models.ForeignKey(Provider, models.CASCADE, related_name="reports")
    reason = models.CharField(max_length=10, choices=Reason.choices)
    state = models.CharField(max_length=7, choices=State.choices, default=State.WAITING)
    rehearsal = models.ForeignKey(Rehearsal, models.CASCADE, null=True, related_name="reports")
    activated = models.ForeignKey(Version, models.CASCADE, null=True, related_name="+")
    """After an activation: the version that became active."""
    shown = models.ForeignKey(Version, models.SET_NULL, null=True, related_name="+")
    """The key store version whose certificate was shown; None: none was."""
    asked_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    asked_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    ok = models.BooleanField(null=True)
    code = models.CharField(max_length=40, blank=True)
    message = models.TextField(blank=True)
    steps = models.JSONField(default=list)
    """Grows while the test runs; each step as {"name", "ok", "seconds", "detail"}."""
    details = models.JSONField(default=dict)
    """What `providers.connection.Report.to_dict` says, once it is done."""

    class Meta:
        ordering = ("-asked_at", "-id")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=("provider",),
                condition=Q(reason="asked", state__in=("waiting", "running")),
                name="report_one_asked_for",
            ),
            models.CheckConstraint(
                condition=~Q(state="done") | Q(ok__isnull=False, finished_at__isnull=False),
                name="report_done_says_what",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=("provider", "-asked_at", "-id"), name="report_of_provider"),
            models.Index(fields=("asked_at",), condition=~Q(state="done"), name="report_unfinished"),
        ]

    def __str__(self) -> str:
        return f"connection test of {self.provider}"

    def get_absolute_url(self) -> str:
        return reverse("providers:report", args=[self.pk])
