"""Messages and where they go: the outbox with the inbox, webhooks, feeds, and what people want to be told."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.auth import get_user_model
from django.db import models
from django.db.models import Q
from django.urls import reverse

from portal.models import Named, Team, id_field, unique_name
from portal.vault import Binding
from stores.models.watching import Flag
from stores.querysets import NoticeQuerySet

User = get_user_model()


class Notice(models.Model):
    """One message for one recipient over one channel: the outbox and the inbox."""

    class Channel(models.TextChoices):
        PORTAL = "portal", "Portal"
        EMAIL = "email", "E-mail"
        WEBHOOK = "webhook", "Webhook"

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        SENDING = "sending", "Sending"
        SENT = "sent", "Sent"
        FAILED = "failed", "Failed"
        DROPPED = "dropped", "Not sent"
        """Its recipient is nobody any more who is told."""

    id = id_field()
    team = models.ForeignKey(Team, models.CASCADE, related_name="notices", db_index=False)
    flag = models.ForeignKey(Flag, models.CASCADE, null=True, related_name="notices")
    """None for what is no stage of a version: then `key`, `title`, `text` and `url` say what there is to tell."""
    key = models.CharField(max_length=100, blank=True)
    """What is told once under this name."""
    title = models.CharField(max_length=250, blank=True)
    text = models.TextField(blank=True)
    url = models.CharField(max_length=200, blank=True)
    severity = models.CharField(max_length=10, blank=True)
    """How grave it is, in the words for stages; "info" for what only has to be known. Empty where the flag says it."""
    user = models.ForeignKey(User, models.CASCADE, null=True, related_name="notices")
    webhook = models.ForeignKey("stores.Webhook", models.CASCADE, null=True, related_name="notices")
    recipient = models.CharField(max_length=254)
    """Address of the recipient on this channel: an e-mail address, or the id of a webhook. Empty where there was nobody to be told."""
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
            models.CheckConstraint(
                condition=Q(channel="webhook", webhook__isnull=False)
                | ~Q(channel="webhook") & Q(webhook=None),
                name="notice_webhook_known",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            # Not partial: SQLite finds no partial index by a list of states.
            models.Index(fields=("state", "due_at"), name="notice_due"),
            models.Index(fields=("recipient", "channel", "state", "due_at"), name="notice_of_recipient"),
            models.Index(fields=("team", "state"), name="notice_by_state"),
            models.Index("flag", condition=Q(recipient="", state="failed"), name="notice_for_nobody"),
            models.Index(
                fields=("user", "-created_at", "-id"), condition=Q(channel="portal"), name="notice_inbox"
            ),
            models.Index(
                fields=("team", "-created_at", "-id"), condition=Q(channel="portal"), name="notice_of_team"
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


class Webhook(Named):
    """An address of a team that is told as well: a program, or a room of a chat."""

    class Format(models.TextChoices):
        STANDARD = "standard", "Signed JSON (Standard Webhooks)"
        TEXT = "text", "Chat message: Slack, Mattermost, Google Chat, Rocket.Chat"
        CARD = "card", "Chat message: Microsoft Teams"

    id = id_field()
    team = models.ForeignKey(Team, models.CASCADE, related_name="webhooks")
    format = models.CharField(max_length=10, choices=Format.choices, default=Format.STANDARD)
    host = models.CharField(max_length=260, editable=False)
    """Scheme, host and port of the address: what of it may be read in lists."""
    sealed_url = models.BinaryField()
    """The whole address, sealed: whoever has that of a chat may write there."""
    sealed_secret = models.BinaryField()
    """What messages are signed with."""
    sealed_previous = models.BinaryField(null=True)
    """The secret before, which signs as well until `previous_until`."""
    previous_until = models.DateTimeField(null=True)
    sealed_with = models.CharField(max_length=32, db_index=True, editable=False)
    """Id of the key of the ring that wraps what is sealed."""
    is_enabled = models.BooleanField(default=True)
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField()

    class Meta(Named.Meta):
        constraints: ClassVar[list[models.BaseConstraint]] = [
            *unique_name("webhook", "team", taken="There is a webhook of this name in the team."),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("stores:webhook", args=[self.pk])

    def binding(self, kind: str) -> Binding:
        """What its sealed bytes are bound to; `kind` is `url`, `secret` or `previous`."""
        return Binding(self.team_id, self.pk, f"webhook_{kind}")


class WebhookAttempt(models.Model):
    """One attempt to deliver a message to a webhook, and what was answered. The last ones of each webhook are kept."""

    id = id_field()
    team = models.ForeignKey(Team, models.CASCADE, related_name="+")
    webhook = models.ForeignKey(Webhook, models.CASCADE, related_name="attempts")
    message_id = models.CharField(max_length=80)
    """The same for each attempt at one message."""
    body = models.TextField()
    """What was sent; it holds no secret."""
    at = models.DateTimeField()
    seconds = models.FloatField(null=True)
    status = models.PositiveSmallIntegerField(null=True)
    """The HTTP status that was answered; None without an answer."""
    answer = models.TextField(blank=True)
    """The beginning of what was answered."""
    error = models.TextField(blank=True)
    """Why it did not arrive, as a sentence; empty when it did, and while it is under way."""

    class Meta:
        ordering = ("-at", "-id")
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=("webhook", "-at", "-id"), name="attempt_of_webhook"),
        ]

    def __str__(self) -> str:
        return f"{self.message_id} to {self.webhook}"


class Feed(models.Model):
    """A secret, revocable address from which calendars and readers take what comes to its end."""

    class Scope(models.TextChoices):
        TEAM = "team", "All of the team"
        MINE = "mine", "Only what is yours"

    id = id_field()
    team = models.ForeignKey(Team, models.CASCADE, related_name="feeds")
    user = models.ForeignKey(User, models.CASCADE, related_name="feeds")
    """Who made it: it shows what they may see, and nothing once they have left the team."""
    scope = models.CharField(max_length=5, choices=Scope.choices, default=Scope.TEAM)
    token_sha256 = models.CharField(max_length=64, unique=True, editable=False)
    """Of the secret in the address, which nobody can read again."""
    created_at = models.DateTimeField()
    seen_at = models.DateTimeField(null=True)
    """When something last took it, to the hour."""
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-created_at", "-id")

    def __str__(self) -> str:
        return f"feed of {self.user}"


class Preferences(models.Model):
    """What of the mails a person does not want. The inbox has everything, and *expired* is always sent."""

    user = models.OneToOneField(User, models.CASCADE, related_name="notice_preferences")
    silent = models.JSONField(default=list)
    """Stages that are not mailed, and "info" for what is no stage."""
    summary = models.BooleanField(default=True)
    """Whether the team's weekly summary is mailed."""

    def __str__(self) -> str:
        return f"preferences of {self.user}"
