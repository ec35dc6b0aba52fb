"""API providers: the backends behind the gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.db import models
from django.db.models import Q
from django.urls import reverse

from portal.models import NAME_LENGTH, Named, Team, User, id_field, unique_name
from portal.vault import Binding
from providers import addresses
from providers.querysets import ProviderQuerySet
from providers.validation import Errors
from stores.models import Certificate, Store

if TYPE_CHECKING:
    from providers.models.connection import ConnectionReport

PORT_RANGE = Q(port__gte=1, port__lte=65535)


class Provider(Named):
    """An API provider: the backend an API calls (DESIGN section 13)."""

    class Type(models.TextChoices):
        INTERNET = "internet", "Internet"
        ON_PREMISE = "on_premise", "On premise"

    class Authentication(models.TextChoices):
        NONE = "none", "None"
        BASIC = "basic", "User name and password (HTTP Basic)"

    id = id_field()
    team = models.ForeignKey(Team, models.CASCADE, related_name="providers")
    title = models.CharField(max_length=NAME_LENGTH, blank=True)
    description = models.TextField(max_length=2000, blank=True)
    type = models.CharField(max_length=10, choices=Type.choices, default=Type.INTERNET)
    host = models.CharField(max_length=253)
    port = models.PositiveIntegerField(default=443)
    use_tls = models.BooleanField("use TLS", default=True)
    location_id = models.CharField("location", max_length=NAME_LENGTH, blank=True)
    key_certificate = models.ForeignKey(
        Certificate, models.PROTECT, null=True, blank=True, related_name="providers_showing"
    )
    trust_store = models.ForeignKey(
        Store, models.PROTECT, null=True, blank=True, related_name="providers_trusting"
    )
    trust_certificate = models.ForeignKey(
        Certificate, models.PROTECT, null=True, blank=True, related_name="providers_trusting"
    )
    """One certificate of the trust store; None: all of them."""
    trust_public = models.BooleanField("also trust public CAs", default=False)
    server_name = models.CharField(max_length=253, blank=True)
    """What TLS asks for and the server's certificate must name; empty: the host."""
    check_host_name = models.BooleanField(default=True)
    spki_pins = models.JSONField("SPKI pins", default=list, blank=True)
    path_prefix = models.CharField(max_length=250, blank=True)
    collection_path = models.CharField("service collection path", max_length=250, blank=True)
    authentication = models.CharField(
        max_length=5, choices=Authentication.choices, default=Authentication.NONE
    )
    user_name = models.CharField(max_length=NAME_LENGTH, blank=True)
    sealed_password = models.BinaryField(null=True, editable=False)
    sealed_with = models.CharField(max_length=32, blank=True, db_index=True, editable=False)
    """Id of the key of the ring that wraps the password; empty without one."""
    created_at = models.DateTimeField(auto_now_add=True)
    owner = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="owned_providers")
    """Who is told about it; None: the owners of the team."""
    is_watched = models.BooleanField("test it daily", default=True)
    next_test_at = models.DateTimeField(null=True, editable=False)
    """When the drift watch tests it next; None: never, since it is not watched or cannot be reached from here."""
    failures = models.PositiveSmallIntegerField(default=0, editable=False)
    """Tests of the drift watch that failed in a row; the more, the later the next one."""
    last_good = models.ForeignKey(
        "providers.ConnectionReport", models.SET_NULL, null=True, editable=False, related_name="+"
    )
    """The last report that passed: what drift is measured against."""
    server_ends_at = models.DateTimeField(null=True, editable=False)
    server_ends_sha256 = models.CharField(max_length=64, blank=True, editable=False)
    server_ends_name = models.TextField(blank=True, editable=False)
    """Of the chain that its server sent last, the certificate that ends first."""
    anchor_sha256 = models.CharField(max_length=64, blank=True, editable=False)
    """The trust entry in which the server's chain ended when it was last seen; empty before, and without a trust store."""
    server_stage = models.CharField(max_length=10, blank=True, editable=False)
    server_next_stage_at = models.DateTimeField(null=True, editable=False)
    """When the server's own certificate crosses its next stage."""

    objects = ProviderQuerySet.as_manager()

    class Meta(Named.Meta):
        constraints: ClassVar[list[models.BaseConstraint]] = [
            *unique_name("provider", "team", taken="There is a provider of this name in the team."),
            models.CheckConstraint(condition=PORT_RANGE, name="provider_port_range"),
            models.CheckConstraint(
                condition=Q(type__in=("internet", "on_premise")), name="provider_type_known"
            ),
            models.CheckConstraint(
                condition=Q(type="internet", use_tls=True)
                | Q(key_certificate=None, trust_store=None, trust_certificate=None),
                name="provider_stores_need_tls",
            ),
            models.CheckConstraint(
                condition=Q(trust_certificate=None) | ~Q(trust_store=None),
                name="provider_trust_certificate_in_store",
            ),
            models.CheckConstraint(
                condition=Q(authentication="basic") | Q(authentication="none", sealed_password=None),
                name="provider_password_needs_basic",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index("team", "folded_name", "id", name="provider_by_name"),
            models.Index(
                "next_test_at", "id", condition=Q(next_test_at__isnull=False), name="provider_to_test"
            ),
            models.Index(
                "server_next_stage_at",
                "id",
                condition=Q(server_next_stage_at__isnull=False),
                name="provider_server_due",
            ),
        ]

    def __str__(self) -> str:
        return self.title or self.name

    def get_absolute_url(self) -> str:
        return reverse("providers:provider", args=[self.pk])

    def binding(self) -> Binding:
        """What its sealed password is bound to."""
        return Binding(self.team_id, self.pk, "provider_password")

    @property
    def has_tls(self) -> bool:
        """Whether stores matter: towards a provider on premise, and without TLS, nothing is shown or checked."""
        return self.type == self.Type.INTERNET and self.use_tls

    @property
    def address(self) -> str:
        """Host and port; for those who may see addresses."""
        return addresses.host_and_port(self.host, self.port)

    @property
    def checked_name(self) -> str:
        """The name that the server's certificate has to carry."""
        return self.server_name or self.host

    @property
    def catalogue_url(self) -> str:
        """Where its catalogue of services is read."""
        scheme = "https" if self.has_tls else "http"
        return addresses.url(scheme, self.host, self.port, self.path_prefix, self.collection_path)

    def last_seen(self) -> ConnectionReport | None:
        """The last report that has a chain of its server; None before there is one."""
        done = self.reports.filter(state="done").defer("steps")
        return next((report for report in done if report.details.get("server_chain")), None)

    def seen_pins(self) -> list[str]:
        """Pins of the keys in the chain that its server sent last, the server's own first; empty before it was seen."""
        report = self.last_seen()
        return [one["spki_pin"] for one in report.details["server_chain"]] if report else []

    def clean(self) -> None:
        """Drops what its type does not have, brings what was typed into one form, and refuses stores that do not fit."""
        self._drop_what_does_not_matter()
        errors = Errors()
        if self.host:
            self.host = errors.read("host", addresses.host, self.host)
        if self.server_name:
            self.server_name = errors.read("server_name", addresses.host_name, self.server_name)
        for field in ("path_prefix", "collection_path"):
            if typed := getattr(self, field):
                setattr(self, field, errors.read(field, addresses.path, typed))
        self._check_pins(errors)
        errors.check_key_certificate(self.key_certificate, self.team_id)
        errors.check_trust_store(self.trust_store, self.team_id)
        self._check_trust_certificate(errors)
        self._check_user_name(errors)
        errors.raise_if_any()

    def _drop_what_does_not_matter(self) -> None:
        if self.type == self.Type.ON_PREMISE:
            self.use_tls = False
        else:
            self.location_id = ""
        if not self.has_tls:
            self.key_certificate = self.trust_store = self.trust_certificate = None
            self.trust_public, self.server_name, self.check_host_name, self.spki_pins = False, "", True, []
        if self.authentication != self.Authentication.BASIC:
            self.user_name, self.sealed_password, self.sealed_with = "", None, ""
        if self.type == self.Type.ON_PREMISE or not self.is_watched:
            self.next_test_at, self.failures = None, 0

    def _check_pins(self, errors: Errors) -> None:
        """Of changed pins one is a backup; those that are kept stay, since the server may use its backup by now."""
        self.spki_pins = errors.read("spki_pins", addresses.pins, self.spki_pins)
        kept = Provider.objects.filter(pk=self.pk).values_list("spki_pins", flat=True)
        if self.spki_pins and self.spki_pins != kept.first():
            errors.read(
                "spki_pins", lambda pins: addresses.with_backup(pins, self.seen_pins()), self.spki_pins
            )

    def _check_trust_certificate(self, errors: Errors) -> None:
        one = self.trust_certificate
        if one is None:
            return
        if self.trust_store is None and one.team_id == self.team_id and one.store.kind == Store.Kind.TRUST:
            self.trust_store = one.store
        if self.trust_store is None or one.store_id != self.trust_store_id:
            where = (
                f"the trust store “{self.trust_store}”" if self.trust_store else "a trust store of the team"
            )
            errors.add(
                "trust_certificate",
                f"“{one}” is not in {where}: choose one of its certificates, or none to trust all of them.",
            )

    def _check_user_name(self, errors: Errors) -> None:
        if self.authentication != self.Authentication.BASIC:
            return
        if not self.user_name:
            errors.add("user_name", "Basic authentication needs a user name.")
        elif ":" in self.user_name:
            errors.add("user_name", "A user name for Basic authentication has no colon (RFC 7617).")
        elif not self.user_name.isprintable():
            errors.add("user_name", "The user name holds control or invisible characters: type it anew.")
