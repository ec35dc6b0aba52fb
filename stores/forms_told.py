"""The forms about being told: what is mailed to a person, and which plain addresses are told of a certificate."""

from __future__ import annotations

from typing import Any

from django import forms

from portal.forms import StyledForm
from stores.expiry import Stage
from stores.models import Preferences
from stores.notices.preferences import INFO, SILENCEABLE

KINDS = {
    Stage.EXPIRED.value: (
        "Expired: a certificate has ended",
        "Always mailed, whatever is chosen here: from then on calls fail.",
    ),
    Stage.URGENT.value: (
        "Urgent: the last days before an end",
        "Also a connection that fails since a new version is active, and a version that did not become active at its instant.",
    ),
    Stage.WARNING.value: ("Warning: about a month before an end", ""),
    Stage.NOTICE.value: ("Expires soon: about two months before an end", ""),
    INFO: (
        "Notes: what is no end of a certificate",
        "A provider's server shows another certificate, or the people behind it have installed yours.",
    ),
}


class PreferencesForm(StyledForm, forms.Form):
    """One box per kind of mail; what has expired is shown, and cannot be switched off."""

    def __init__(self, *args: Any, instance: Preferences, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for kind, (label, help_text) in KINDS.items():
            self.fields[kind] = forms.BooleanField(
                label=label,
                help_text=help_text,
                required=False,
                disabled=kind not in SILENCEABLE,
                initial=kind not in instance.silent,
            )
        self.fields["summary"] = forms.BooleanField(
            label="The weekly summary of your teams",
            help_text="What is to be replaced, ends soon, is snoozed or not proven; on the day that each team has chosen, if it has.",
            required=False,
            initial=instance.summary,
        )
        self._dress()

    def _dress(self) -> None:
        """What `StyledForm` does for fields that stand in the class."""
        for name, field in self.fields.items():
            field.widget.attrs["class"] = "form-check-input"
            if field.help_text:
                field.widget.attrs["aria-describedby"] = f"{self[name].auto_id}_helptext"

    @property
    def silent(self) -> list[str]:
        """The kinds that are not wanted."""
        return [kind for kind in SILENCEABLE if not self.cleaned_data[kind]]


class WatcherForm(StyledForm, forms.Form):
    """An address to be told."""

    email = forms.EmailField(
        label="E-mail address",
        max_length=254,
        help_text="They get a mail at each stage, with a link to stop that. They see nothing else of the portal.",
        widget=forms.EmailInput(attrs={"autocomplete": "off"}),
    )
