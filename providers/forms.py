"""The forms of providers and hosts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, cast

from django import forms
from django.db.models import QuerySet

from portal.audit import Actor
from portal.forms import NameField, StyledForm
from portal.models import Team
from portal.models import User as Person
from providers import picking, services
from providers.models import Host, Provider
from providers.picking import PickField

PORT_WRONG = "A port is a number from 1 to 65535."
OFFERS: dict[str, Callable[[Team], QuerySet[Any]]] = {
    "key_certificate": picking.key_certificates,
    "trust_store": picking.trust_stores,
    "trust_certificate": picking.trust_certificates,
}
"""What each field offers of a team."""


class PortField(forms.IntegerField):
    def __init__(self) -> None:
        messages = {"invalid": PORT_WRONG, "min_value": PORT_WRONG, "max_value": PORT_WRONG}
        super().__init__(label="Port", min_value=1, max_value=65535, initial=443, error_messages=messages)


class PinsField(forms.CharField):
    """One pin per line; cleaned it is the list of lines."""

    widget = forms.Textarea(attrs={"rows": 3, "spellcheck": "false", "class": "form-control finger"})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def clean(self, value: Any) -> Any:
        return super().clean(value).splitlines()


class UserForm(StyledForm, forms.ModelForm):  # type: ignore[type-arg]
    """What the forms of both users of certificates share: the team's certificates to choose from, and what was seen."""

    seen = forms.CharField(required=False, max_length=16, widget=forms.HiddenInput)
    conditional: ClassVar[tuple[str, ...]] = ()
    """Fields that are neither optional nor required by themselves."""

    def __init__(
        self, *args: Any, team: Team, instance: Any, initial: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        present = {name: getattr(instance, name) for name in OFFERS if name in self.base_fields}
        present["seen"] = "" if instance._state.adding else services.state_of(instance)
        super().__init__(*args, instance=instance, initial=present | (initial or {}), **kwargs)
        for name in self.conditional:
            self.fields[name].conditional = True  # type: ignore[attr-defined]
        for name, rows in OFFERS.items():
            if name in self.fields:
                cast(PickField, self.fields[name]).offer(rows(team))

    @property
    def is_new(self) -> bool:
        return bool(self.instance._state.adding)

    def keep(self, actor: Actor) -> Any:
        """Creates or edits the row; PortalError when it is refused."""
        raise NotImplementedError

    def look_again(self) -> None:
        """After somebody else's change: the next save is meant for the row as it is now."""
        stored = type(self.instance).objects.filter(pk=self.instance.pk).first()
        self.data = {**self.data.dict(), "seen": services.state_of(stored) if stored else ""}  # type: ignore[attr-defined]

    def left_out(self) -> list[str]:
        """Names of what was chosen but does not matter for what is kept."""
        return [
            str(chosen)
            for name in OFFERS
            if (chosen := self.cleaned_data.get(name)) and not getattr(self.instance, name)
        ]


class ProviderForm(UserForm):
    """A provider, in groups: what it is, where it is, two-way TLS, catalogue, signing in."""

    conditional = ("user_name", "password")
    name = NameField(help_text="Short and unique in the team, as in orders.")
    title = NameField(
        required=False, help_text="What people read in lists, as in Orders API. Left empty, it is the name."
    )
    type = forms.ChoiceField(
        label="Type",
        widget=forms.RadioSelect,
        choices=(
            ("internet", "Internet: called directly, with our certificates"),
            ("on_premise", "On premise: called through a connector at a location, without stores"),
        ),
    )
    host = forms.CharField(
        label="Host", max_length=300, help_text="A name as in orders.example.org, or an IP address."
    )
    port = PortField()
    location_id = NameField(
        label="Location", required=False, help_text="Id of the connector's location, where there are several."
    )
    key_certificate = PickField(
        label="Certificate that we show",
        help_text="From a key store. Left empty, we show none (one-way TLS).",
    )
    trust_store = PickField(
        label="Trust store", help_text="Whom we believe. Left empty, the system's public roots are used."
    )
    trust_certificate = PickField(
        label="Only one certificate of it",
        help_text="Left empty, every certificate of the trust store is trusted.",
    )
    server_name = forms.CharField(
        max_length=300,
        required=False,
        help_text="The name that the server's certificate must carry. Left empty, it is the host.",
    )
    spki_pins = PinsField(
        label="Pinned keys", required=False,
        help_text="One SHA-256 pin per line, in base64: the server's chain must hold one of these keys.",
    )  # fmt: skip
    owner = forms.ModelChoiceField(
        Person.objects.none(),
        required=False,
        empty_label="Nobody: the owners of the team are told",
        help_text="Is told when its server's certificate comes near its end, and asks its people.",
    )
    user_name = forms.CharField(
        max_length=100, required=False, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )
    password = forms.CharField(
        required=False, strip=False, max_length=services.LONGEST_PASSWORD,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="Kept encrypted. Nobody can read it here afterwards.",
    )  # fmt: skip

    class Meta:
        model = Provider
        fields: ClassVar[list[str]] = [
            "name", "title", "description", "type", "host", "port", "location_id", "use_tls", "key_certificate", "trust_store",
            "trust_certificate", "trust_public", "server_name", "check_host_name", "spki_pins", "path_prefix", "collection_path",
            "authentication", "user_name", "owner", "is_watched",
        ]  # fmt: skip
        widgets: ClassVar[dict[str, forms.Widget]] = {
            "description": forms.Textarea(attrs={"rows": 2}),
            "authentication": forms.RadioSelect(),
        }
        labels: ClassVar[dict[str, str]] = {
            "is_watched": "Test this connection daily",
            "trust_public": "Trust public CAs as well",
            "check_host_name": "Check that the server's certificate carries the server name",
            "collection_path": "Service collection path",
            "authentication": "How do we sign in?",
        }
        help_texts: ClassVar[dict[str, str]] = {
            "is_watched": "You are told when its server shows another certificate, or is no longer reached.",
            "path_prefix": "Begins with a slash, as in /sap/opu/odata.",
            "collection_path": "Where the list of services is, as in /CATALOGSERVICE/ServiceCollection.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        members = Person.objects.filter(memberships__team=kwargs["team"]).order_by("email")
        cast("forms.ModelChoiceField[Person]", self.fields["owner"]).queryset = members
        if self.instance.sealed_password is not None:
            self["password"].help_text = "A password is kept, encrypted. Leave this empty to keep it."

    def keep(self, actor: Actor) -> Provider:
        password = self.cleaned_data["password"]
        if self.is_new:
            return services.create_provider(provider=self.instance, password=password, actor=actor)
        return services.edit_provider(
            provider=self.instance, password=password, seen=self.cleaned_data["seen"], actor=actor
        )


class HostForm(UserForm):
    """A host: what we show to callers, and which callers we recognise."""

    conditional = ("trust_store",)
    name = NameField(help_text="Short and unique in the team, as in public-api.")
    host_name = forms.CharField(
        label="Host name", max_length=300, help_text="What callers type, as in api.example.org."
    )
    port = PortField()
    key_certificate = PickField(label="Certificate that we show to callers", help_text="From a key store.")
    client_certificate = forms.ChoiceField(
        label="Do callers show a certificate?",
        widget=forms.RadioSelect,
        choices=(
            ("required", "Required: who shows none is turned away"),
            ("optional", "Optional: who shows one must be recognised"),
            ("off", "Off: none is asked for"),
        ),
    )
    trust_store = PickField(
        label="Trust store of callers",
        help_text="Callers whose certificate leads to one of its certificates are recognised.",
    )

    class Meta:
        model = Host
        fields: ClassVar[list[str]] = [
            "name", "description", "host_name", "port", "key_certificate", "client_certificate", "trust_store",
        ]  # fmt: skip
        widgets: ClassVar[dict[str, forms.Widget]] = {"description": forms.Textarea(attrs={"rows": 2})}

    def keep(self, actor: Actor) -> Host:
        if self.is_new:
            return services.create_host(host=self.instance, actor=actor)
        return services.edit_host(host=self.instance, seen=self.cleaned_data["seen"], actor=actor)
