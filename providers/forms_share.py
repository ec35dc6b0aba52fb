"""The forms of share pages: making a link, and saying that something is installed."""

from __future__ import annotations

from django import forms

from portal.forms import NameField, StyledForm
from providers.sharing import MOST_DAYS, USUAL_DAYS

DAYS_WRONG = f"A link works for 1 to {MOST_DAYS} days."


class ShareForm(StyledForm, forms.Form):
    """A new link: for how long, and what the team says to them."""

    days = forms.IntegerField(
        label="Days that the link works",
        min_value=1,
        max_value=MOST_DAYS,
        initial=USUAL_DAYS,
        error_messages={"invalid": DAYS_WRONG, "min_value": DAYS_WRONG, "max_value": DAYS_WRONG},
        help_text=f"At most {MOST_DAYS}. You can revoke it at any time.",
    )
    note = forms.CharField(
        label="What you say to them",
        required=False,
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Shown on the page, as in: please install it on both nodes.",
    )


class InstalledForm(StyledForm, forms.Form):
    """We have installed it: which certificate, and who says so."""

    sha256 = forms.RegexField(r"\A[0-9a-f]{64}\Z", widget=forms.HiddenInput)
    name = NameField(label="Your name", max_length=200, required=False)
