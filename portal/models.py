"""People, teams, and the record of what they did."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, ClassVar, Self, TypeVar

from django.contrib.auth.models import AbstractUser
from django.contrib.auth.models import UserManager as DjangoUserManager
from django.db import models

from portal.ids import LENGTH, random_id
from portal.names import fold

NAME_LENGTH = 100
Row = TypeVar("Row")


def id_field() -> models.CharField[str, str]:
    """The primary key of what stands in addresses: a short random string."""
    return models.CharField(primary_key=True, max_length=LENGTH, default=random_id, editable=False)


def only(rows: models.QuerySet[Any, Row]) -> Row | None:
    """The row of a question that finds at most one, or None. Unlike `first` it does not have it sorted, which costs as much again."""
    return next(iter(rows.order_by()), None)


class FoldedNameField(models.CharField):  # type: ignore[type-arg]
    """The folded form of the row's name, made anew whenever the row is written."""

    def pre_save(self, model_instance: models.Model, add: bool) -> str:
        model_instance.folded_name = folded = fold(model_instance.name)  # type: ignore[attr-defined]
        return folded


class Named(models.Model):
    """What people give a name to. Names are compared, searched and sorted by `folded_name`, which looks after itself."""

    name = models.CharField(max_length=NAME_LENGTH)
    folded_name = FoldedNameField(max_length=3 * NAME_LENGTH, blank=True, editable=False)

    class Meta:
        abstract = True
        ordering = ("folded_name",)

    def validate_constraints(self, exclude: Collection[str] | None = None) -> None:
        """Where the name is checked, its uniqueness is, though no form shows the folded form."""
        self.folded_name = fold(self.name)
        super().validate_constraints(set(exclude or ()) - {"folded_name"})


def unique_name(
    kind: str, *within: str, taken: str, condition: models.Q | None = None
) -> list[models.BaseConstraint]:
    """The constraints of a `Named` model: its names are not empty, and unique `within` the fields, letter case ignored."""
    return [
        models.UniqueConstraint(
            fields=(*within, "folded_name"),
            condition=condition,
            name=f"{kind}_name_unique",
            violation_error_message=taken,
        ),
        models.CheckConstraint(condition=~models.Q(name=""), name=f"{kind}_name_not_empty"),
    ]


class UserManager(DjangoUserManager["User"]):
    """Users are known by their e-mail address; a user name is made where none is given."""

    @classmethod
    def normalize_email(cls, email: str | None) -> str:
        """Lower case altogether, so that nobody has two accounts by two ways of writing."""
        return super().normalize_email(email).strip().lower()

    def create_user(
        self, username: str | None = None, email: str | None = None, password: str | None = None, **extra: Any
    ) -> User:
        return super().create_user(username or email or random_id(), email, password, **extra)


class User(AbstractUser):
    """A person who signs in with an e-mail address."""

    email = models.EmailField("e-mail address", unique=True)
    time_zone = models.CharField(max_length=64, blank=True, help_text="As Europe/Berlin; empty for UTC.")

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["username"]

    def __str__(self) -> str:
        return self.get_full_name() or self.email


class TeamQuerySet(models.QuerySet["Team"]):
    def visible_to(self, user: User) -> Self:
        """Teams that the user is a member of."""
        return self.filter(memberships__user=user)


class Team(Named):
    """Owns stores and providers."""

    id = id_field()
    is_example = models.BooleanField(default=False, editable=False)
    policy = models.JSONField(
        null=True, blank=True, help_text="Days per stage; empty for the lifetime-aware default."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = TeamQuerySet.as_manager()

    class Meta(Named.Meta):
        constraints = unique_name("team", taken="There is a team of this name.")

    def __str__(self) -> str:
        return self.name


class Role(models.TextChoices):
    """What a member may do; each role may do what the one before may."""

    VIEWER = "viewer", "Viewer"
    EDITOR = "editor", "Editor"
    OWNER = "owner", "Owner"


class Membership(models.Model):
    """A user's role in a team."""

    id = id_field()
    team = models.ForeignKey(Team, models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.VIEWER)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=("team", "user"), name="membership_unique"),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="membership_role_known"),
        ]

    def __str__(self) -> str:
        return f"{self.user} as {self.role} of {self.team}"


class OneTimeSignIn(models.Model):
    """A link that signs a person in once; only the digest of its token is kept."""

    user = models.ForeignKey(User, models.CASCADE, related_name="one_time_sign_ins")
    token_sha256 = models.CharField(max_length=64, unique=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"one-time sign-in of {self.user}"


class AuditQuerySet(models.QuerySet["AuditEvent"]):
    def visible_to(self, user: User) -> Self:
        """Events of the teams that the user owns."""
        return self.filter(team__memberships__user=user, team__memberships__role=Role.OWNER)


class AuditEvent(models.Model):
    """Who did what to which object, when and from where. Append-only: a database trigger refuses the rest."""

    at = models.DateTimeField()
    team = models.ForeignKey(
        Team, models.DO_NOTHING, null=True, related_name="audit_events", db_constraint=False
    )
    actor = models.ForeignKey(User, models.DO_NOTHING, null=True, related_name="+", db_constraint=False)
    actor_name = models.CharField(max_length=254)
    address = models.GenericIPAddressField(null=True)
    action = models.CharField(max_length=40)
    object_type = models.CharField(max_length=40, blank=True)
    object_id = models.CharField(max_length=40, blank=True)
    object_name = models.CharField(max_length=250, blank=True)
    facts = models.JSONField(default=dict)

    objects = AuditQuerySet.as_manager()

    class Meta:
        ordering = ("-at", "-id")
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=("team", "-at", "-id"), name="audit_by_team"),
            models.Index(fields=("object_type", "object_id", "-at"), name="audit_by_object"),
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.actor_name} {self.action} {self.object_name}"


class TaskRun(models.Model):
    """The last run of a scheduled task: one row per task, so that the portal can prove that its watch runs."""

    task = models.CharField(max_length=80, unique=True)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    seconds = models.FloatField(null=True)
    facts = models.JSONField(default=dict)

    def __str__(self) -> str:
        return f"{self.task} at {self.started_at:%Y-%m-%d %H:%M}"


class ApiToken(Named):
    """Lets a program use the API in one team; only the digest of what the program says is kept.

    It may do what its role allows, and never more than the person who made it (`portal.tokens`).
    """

    id = id_field()
    team = models.ForeignKey(Team, models.CASCADE, related_name="api_tokens")
    token_sha256 = models.CharField(max_length=64, unique=True)
    role = models.CharField(max_length=10, choices=Role.choices[:2])
    created_by = models.ForeignKey(User, models.CASCADE, related_name="api_tokens")
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, editable=False)
    revoked_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = "API token"
        ordering = ("-created_at", "-id")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            *unique_name(
                "api_token",
                "team",
                taken="There is a token of this name.",
                condition=models.Q(revoked_at__isnull=True),
            ),
            models.CheckConstraint(
                condition=models.Q(role__in=("viewer", "editor")), name="api_token_role_known"
            ),
        ]

    def __str__(self) -> str:
        return self.name
