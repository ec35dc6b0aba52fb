"""The forms of what is kept: stores, certificates, and a key on its way out."""

from __future__ import annotations

import datetime as dt
from typing import Any, cast

from django import forms
from django.utils import timezone

from portal.forms import NameField, StyledForm
from portal.models import Team, User
from stores.models import Certificate, Store
from stores.rules.password import SYMBOLS, restricted

LEAST_PASSWORD = 12
MOST_DESCRIPTION = 2000


def _description() -> forms.CharField:
    return forms.CharField(
        label="Description",
        required=False,
        max_length=MOST_DESCRIPTION,
        widget=forms.Textarea(attrs={"rows": 3}),
    )


class StoreForm(StyledForm, forms.Form):
    """Name and description of a store."""

    name = NameField(label="Name")
    description = _description()


class NewStoreForm(StoreForm):
    """A store and what it is for, which cannot be changed later."""

    kind = forms.ChoiceField(
        label="What is it for?",
        widget=forms.RadioSelect,
        initial=Store.Kind.KEY,
        choices=(
            (Store.Kind.KEY, "A key store: our own certificates with their private keys"),
            (Store.Kind.TRUST, "A trust store: certificates of others that we trust"),
        ),
    )
    field_order = ("kind", "name", "description")


class CertificateForm(StyledForm, forms.Form):
    """What people may change of a certificate; what was uploaded never changes."""

    name = NameField(label="Name")
    description = _description()
    owner = forms.ModelChoiceField(
        User.objects.none(),
        label="Owner",
        required=False,
        empty_label="Nobody: the owners of the team are told",
        help_text="Is told in time, and finds the certificate among their own.",
    )

    def __init__(self, *args: Any, team: Team, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        members = User.objects.filter(memberships__team=team).order_by("email")
        cast("forms.ModelChoiceField[User]", self.fields["owner"]).queryset = members

    @staticmethod
    def initial_of(certificate: Certificate) -> dict[str, Any]:
        return {
            "name": certificate.name,
            "description": certificate.description,
            "owner": certificate.owner_id,
        }


class ScheduleForm(StyledForm, forms.Form):
    """When a staged version becomes active by itself."""

    activate_at = forms.DateTimeField(
        label="Active from (UTC)",
        required=False,
        help_text="Left empty, it waits until somebody activates it.",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )

    def clean_activate_at(self) -> dt.datetime | None:
        instant: dt.datetime | None = self.cleaned_data["activate_at"]
        if instant is not None and instant <= timezone.now():
            raise forms.ValidationError(
                "This instant has passed. Choose a later one, or activate the version now."
            )
        return instant


class ExportForm(StyledForm, forms.Form):
    """The password that the exported key will have, typed twice."""

    password = forms.CharField(
        label="Password for the file",
        strip=False,
        max_length=200,
        help_text=f"At least {LEAST_PASSWORD} characters. Many gateways cannot take these: {SYMBOLS}",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    again = forms.CharField(
        label="The same password again",
        strip=False,
        max_length=200,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        if len(password) < LEAST_PASSWORD:
            raise forms.ValidationError(
                f"The password has fewer than {LEAST_PASSWORD} characters. Type a longer one."
            )
        if found := restricted(password):
            raise forms.ValidationError(
                f"Many gateways cannot take a password with {' '.join(found)}. Leave these out."
            )
        return password

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("password") and data.get("again") is not None and data["password"] != data["again"]:
            self.add_error("again", "The two passwords differ. Type both again.")
        return data
