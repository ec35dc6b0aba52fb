"""The forms of the upload flow."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from django import forms
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.utils import timezone

from portal.forms import NameField, StyledForm
from portal.models import Team, only
from stores.drafts import Target
from stores.formats import limits
from stores.formats.parsed import Inspection, Upload
from stores.models import Certificate, Store

ACCEPT = ".pem,.cer,.crt,.der,.key,.txt,.p12,.pfx,.pkcs,.p7b,.p7c,.jar,.jks"
KINDS = (
    ("key", "We show it: our own certificate with its private key (key store)"),
    ("trust", "We trust it: certificates of others, without private keys (trust store)"),
)


if TYPE_CHECKING:
    ModelChoiceField = forms.ModelChoiceField[Store]
else:
    ModelChoiceField = forms.ModelChoiceField


class StoreField(ModelChoiceField):
    """Says of each store what it is."""

    def label_from_instance(self, obj: Store) -> str:
        return f"{obj.name} ({obj.get_kind_display().lower()})"


class PastedText(forms.Textarea):
    """What was pasted may hold a private key: like a chosen file, it is never sent back."""

    def format_value(self, value: Any) -> None:
        return None


class UploadForm(StyledForm, forms.Form):
    """Step 1: a file, where it goes, and what it is called."""

    kind = forms.ChoiceField(label="What is it for?", choices=KINDS, widget=forms.RadioSelect, initial="key")
    store = StoreField(
        Store.objects.none(),
        label="Store",
        required=False,
        empty_label="A new store",
        help_text="Where it is kept. Take an existing store, or name a new one.",
    )
    store_name = NameField(label="Name of the new store", required=False)
    store_description = forms.CharField(label="Description of the new store", required=False, max_length=2000)
    name = NameField(
        label="Certificate name",
        required=False,
        help_text="What your team calls it. Left empty, it is the name inside the certificate.",
    )
    description = forms.CharField(label="Description", required=False, max_length=2000)
    file = forms.FileField(
        label="File",
        required=False,
        allow_empty_file=True,
        max_length=None,
        widget=forms.FileInput(attrs={"accept": ACCEPT}),
    )
    key_file = forms.FileField(
        label="Private key file",
        required=False,
        allow_empty_file=True,
        help_text="Only where the key is in a file of its own.",
        widget=forms.FileInput(attrs={"accept": ".pem,.key,.der,.txt"}),
    )
    pasted = forms.CharField(
        label="Or paste PEM text",
        required=False,
        strip=False,
        widget=PastedText(
            attrs={
                "rows": 4,
                "spellcheck": "false",
                "autocomplete": "off",
                "placeholder": "-----BEGIN CERTIFICATE-----",
            }
        ),
    )
    password = forms.CharField(
        label="Password of the file",
        required=False,
        strip=False,
        max_length=1000,
        help_text="Used once to open the file, never kept.",
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
    )
    alias = forms.CharField(
        label="Alias of the private key", required=False, max_length=1000, widget=forms.HiddenInput
    )

    def __init__(
        self,
        *args: Any,
        team: Team,
        certificate: Certificate | None = None,
        aliases: tuple[str, ...] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.team, self.certificate = team, certificate
        self.refused: Inspection | None = None
        self.content_field = "file"
        stores = cast(StoreField, self.fields["store"])
        stores.queryset = Store.objects.filter(team=team).order_by("kind", "folded_name")
        for name in ("file", "key_file", "pasted", "password"):
            # htmx keeps these elements when it shows the form again: what cannot be sent back is not lost.
            self.fields[name].widget.attrs["hx-preserve"] = "true"
        for name in ("file", "store", "store_name"):
            self.fields[name].conditional = True  # type: ignore[attr-defined]
        if certificate:
            for name in ("kind", "store", "store_name", "store_description", "name", "description"):
                del self.fields[name]
        if aliases:
            self.offer_aliases(aliases)

    def offer_aliases(self, aliases: tuple[str, ...]) -> None:
        """The file holds several keys: the next try chooses one."""
        choices = [(alias, alias or "(no name)") for alias in aliases]
        self.fields["alias"].widget = forms.Select(choices=choices, attrs={"class": "form-select"})

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        self._clean_content(data)
        if not self.certificate:
            self._clean_store(data)
        return data

    def _clean_content(self, data: dict[str, Any]) -> None:
        file, pasted = data.get("file"), (data.get("pasted") or "").strip()
        if file is None and not pasted and data.get("key_file") is not None:
            # The only file, in the field of the second one: it is plain what was meant.
            data["file"], data["key_file"], self.content_field = data["key_file"], None, "key_file"
        elif file is None and pasted:
            self.content_field = "pasted"
        elif file is None and "file" not in self.errors:
            self.add_error("file", "Choose a file, drop one here, or paste PEM text below.")
        elif file is not None and pasted:
            self.add_error("pasted", "There is a file and pasted text. Take one of them away.")

    def add_refusal(self, inspection: Inspection) -> None:
        """Why the upload was refused, beside the field that its reason lies in."""
        self.refused = inspection
        if inspection.aliases:
            self.offer_aliases(inspection.aliases)
        self.add_error(
            self.content_field if inspection.field == "file" else inspection.field, inspection.message
        )

    def _clean_store(self, data: dict[str, Any]) -> None:
        store, kind = data.get("store"), data.get("kind")
        if store is None and "store" not in self.errors and not data.get("store_name"):
            self.add_error("store_name", "Name the new store, or choose an existing one.")
        elif store is not None and store.kind != kind:
            self.add_error(
                "store",
                f"“{store.name}” is a {store.get_kind_display().lower()}. Choose another store, or the other purpose above.",
            )
        elif store is None and (other := self._other_kind(data)):
            what = other.get_kind_display().lower()
            self.add_error(
                "store_name",
                f"“{other.name}” is a {what}. Type another name, or choose the other purpose above.",
            )

    def _other_kind(self, data: dict[str, Any]) -> Store | None:
        """The store that has the name of the new one, and cannot be taken because it is of the other kind."""
        same_name = Store.objects.named(self.team, data.get("store_name", ""))
        return only(same_name.exclude(kind=data.get("kind")))

    @property
    def kind_chosen(self) -> str:
        return self.certificate.store.kind if self.certificate else self.cleaned_data["kind"]

    def upload(self) -> Upload:
        """What was sent, in memory."""
        data = self.cleaned_data
        name, content = (
            _content(data["file"]) if data["file"] is not None else ("pasted.pem", data["pasted"].encode())
        )
        key_name, key_content = _content(data["key_file"]) if data["key_file"] is not None else (None, None)
        return Upload(
            name=name or "file",
            content=content,
            store="key" if self.kind_chosen == "key" else "trust",
            password=data["password"] or None,
            key_name=key_name,
            key_content=key_content,
            alias=data["alias"] or None,
            symbols=settings.STOREKEEPER_PASSWORD_SYMBOLS,  # type: ignore[arg-type]
        )

    def target(self, suggested: str) -> Target:
        """Where it goes; `suggested` is the name for a certificate that was given none."""
        if self.certificate:
            kind = "key" if self.certificate.store.kind == "key" else "trust"
            store = self.certificate.store
            return Target(
                kind=kind,  # type: ignore[arg-type]
                store=store.pk,
                store_name=store.name,
                certificate=self.certificate.pk,
                name=self.certificate.name,
            )
        data = self.cleaned_data
        chosen: Store | None = data["store"]
        return Target(
            kind=data["kind"],
            store=chosen.pk if chosen else None,
            store_name=chosen.name if chosen else data["store_name"],
            store_description=data["store_description"],
            name=data["name"] or suggested,
            description=data["description"],
        )


def _content(file: UploadedFile[bytes]) -> tuple[str, bytes]:
    return file.name or "", file.read(limits.UPLOAD_BYTES + 1)


class DestinationField(forms.ChoiceField):
    """A new certificate is always a choice; the others are looked for when one of them is chosen, or when all are shown."""

    def valid_value(self, value: Any) -> bool:
        return value == "new" or super().valid_value(value)


TIMINGS = (
    ("now", "Make it active now"),
    ("at", "Keep it staged until a date"),
    ("staged", "Keep it staged until somebody activates it"),
)
TRY_FIRST = ("rehearse", "Keep it staged and try it first with the providers that use it (recommended)")


class ConfirmForm(StyledForm, forms.Form):
    """Step 2: where it really goes, and when it becomes active."""

    destination = DestinationField(
        label="Save as",
        widget=forms.RadioSelect,
        error_messages={
            "required": "Choose where it goes.",
            "invalid_choice": "This certificate is no longer there. Choose anew where it goes.",
        },
    )
    name = NameField(label="Name of the new certificate", required=False)
    timing = forms.ChoiceField(
        label="When saved",
        widget=forms.RadioSelect,
        initial="now",
        choices=TIMINGS,
    )
    activate_at = forms.DateTimeField(
        label="Active from (UTC)",
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )
    leave_out = forms.BooleanField(required=False)
    seen = forms.CharField(required=False, max_length=12, widget=forms.HiddenInput)

    def __init__(
        self,
        *args: Any,
        destinations: Callable[[], list[tuple[str, str]]],
        must_leave_out: bool,
        can_rehearse: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        if can_rehearse:
            timing = cast(forms.ChoiceField, self.fields["timing"])
            timing.choices, timing.initial = (TRY_FIRST, *TIMINGS), TRY_FIRST[0]
        field = cast(forms.ChoiceField, self.fields["destination"])
        field.choices = self.destinations = cache(destinations)
        for name, needs in (("name", "destination=new"), ("activate_at", "timing=at")):
            self.fields[name].conditional, self.fields[name].needs = True, needs  # type: ignore[attr-defined]
        self.must_leave_out = must_leave_out

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("destination") == "new" and not data.get("name"):
            self.add_error("name", "Name the new certificate.")
        if data.get("timing") == "rehearse" and data.get("destination") == "new":
            data["timing"] = "now"  # nothing uses it yet, so there is nothing to try it with
        if data.get("timing") == "at":
            self._clean_instant(data.get("activate_at"))
        if self.must_leave_out and not data.get("leave_out"):
            self.add_error(
                "leave_out", "Agree to leave these certificates out, or go back and choose another file."
            )
        return data

    def _clean_instant(self, instant: dt.datetime | None) -> None:
        if instant is None and "activate_at" not in self.errors:
            self.add_error("activate_at", "Give the date and time from which it is active.")
        elif instant is not None and instant <= timezone.now():
            self.add_error(
                "activate_at", "This instant has passed. Choose a later one, or make it active now."
            )
