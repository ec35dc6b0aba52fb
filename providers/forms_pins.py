"""The form of pinned keys: those seen, ticked; others, typed; one from a file."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django import forms

from portal.forms import StyledForm
from providers import pins as service
from providers.forms import PinsField
from providers.models import Provider
from stores.formats import limits


class PinsForm(StyledForm, forms.Form):
    """Which keys are pinned. `seen` is the chain whose keys can be ticked."""

    seen = forms.MultipleChoiceField(
        label="Keys seen", required=False, widget=forms.CheckboxSelectMultiple, choices=()
    )
    pins = PinsField(
        label="Other pins",
        required=False,
        help_text="One per line. A backup pin belongs here: a key that the server does not use yet.",
    )
    file = forms.FileField(
        label="Certificate file",
        required=False,
        help_text="Its key is pinned as well. The file is not kept.",
        max_length=250,
    )

    def __init__(self, *args: Any, seen: service.Seen | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        chain = {one.spki_pin: one for one in seen.chain} if seen else {}
        self.fields["seen"].choices = [(pin, one.common_name) for pin, one in chain.items()]  # type: ignore[attr-defined]

    @classmethod
    def of(cls, provider: Provider, seen: service.Seen | None, wanted: str) -> PinsForm:
        """As the pins are; where there are none, the server's own key is proposed."""
        in_chain = [one.spki_pin for one in seen.chain] if seen else []
        ticked = {*provider.spki_pins, wanted}
        if not provider.spki_pins and not wanted:
            ticked |= {*in_chain[:1]}
        initial = {
            "seen": [pin for pin in in_chain if pin in ticked],
            "pins": [pin for pin in provider.spki_pins if pin not in in_chain],
        }
        return cls(initial=initial, seen=seen)

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if file and file.size > limits.UPLOAD_BYTES:
            raise forms.ValidationError("A certificate file has at most 1 MiB: choose another one.")
        return file

    def chosen(self, now: dt.datetime) -> list[str]:
        """All of it; PortalError when the file cannot be used."""
        data = self.cleaned_data
        file = data["file"]
        of_file = [service.of_file(file.name, file.read(), now)] if file else []
        return [*data["seen"], *data["pins"], *of_file]
