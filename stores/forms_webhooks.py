"""The forms of webhooks."""

from __future__ import annotations

import time
from typing import Any

from django import forms

from portal.forms import NameField, StyledForm
from portal.outbound import OutboundError, Policy, resolve
from portal.posting import LONGEST_URL, Url
from stores.models import Webhook

LOOK_UP_SECONDS = 2.0


class WebhookForm(StyledForm, forms.Form):
    """A webhook to be made."""

    name = NameField(label="Name", help_text="The program or the room that is told, as “#certificates”.")
    url = forms.CharField(
        label="Address",
        max_length=LONGEST_URL,
        help_text="As https://hooks.example.org/… It is kept encrypted, and nobody can read it here again.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "inputmode": "url", "spellcheck": "false"}),
    )
    format = forms.ChoiceField(
        label="What it takes",
        choices=Webhook.Format.choices,
        initial=Webhook.Format.STANDARD,
        widget=forms.RadioSelect,
    )

    def clean_url(self) -> str:
        url: str = self.cleaned_data["url"]
        if not url:
            return url
        try:
            target = Url.read(url)
            resolve(target.host, target.port, Policy.from_settings(), time.monotonic() + LOOK_UP_SECONDS)
        except OutboundError as error:
            # A name may get its address later, so what is not found yet is for the test message to tell.
            if error.code in ("bad_url", "blocked_by_policy"):
                raise forms.ValidationError(error.sentence) from None
        return url


class WebhookEditForm(WebhookForm):
    """What may be changed of a webhook; its address is typed anew or stays."""

    def __init__(self, *args: Any, webhook: Webhook, **kwargs: Any) -> None:
        present = {"name": webhook.name, "format": webhook.format}
        super().__init__(*args, initial=present, **kwargs)
        self.fields["url"].required = False
        address = self["url"]
        address.label = "Another address"
        address.help_text = f"Left empty, it stays the one at {webhook.host} that nobody can read here."
