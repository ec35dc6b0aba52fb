"""The forms of a case, and of the note on how to renew."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from typing import Any, cast

from django import forms

from portal.forms import StyledForm
from portal.models import Role, User
from stores.case_work import LONGEST
from stores.issuers import LONGEST as LONGEST_NOTE
from stores.models import Case


class CaseForm(StyledForm, forms.Form):
    """A form of one case as one user sees it; several stand on one page."""

    def __init__(self, *args: Any, case: Case, user: User, **kwargs: Any) -> None:
        kwargs.setdefault("auto_id", f"{type(self).__name__.lower()}_%s")
        super().__init__(*args, **kwargs)
        self.case, self.user = case, user


class TakeForm(CaseForm):
    """Taking a case, as it was when the page was shown."""

    seen = forms.CharField(widget=forms.HiddenInput, required=False)


class HandForm(CaseForm):
    """A teammate and what they should know."""

    to = forms.ModelChoiceField(User.objects.none(), label="To whom", empty_label="Choose a teammate")
    words = forms.CharField(
        label="What they should know", required=False, max_length=LONGEST, widget=forms.Textarea(attrs={"rows": 2})
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        team = self.case.team_id
        able = User.objects.filter(
            is_active=True, memberships__team=team, memberships__role__in=(Role.EDITOR, Role.OWNER)
        )
        field = cast("forms.ModelChoiceField[User]", self.fields["to"])
        field.queryset = able.exclude(pk=self.case.owner_id or 0).order_by("email")
        field.error_messages["invalid_choice"] = (
            "This person is no editor of the team any more. Choose another one."
        )


class NoteForm(CaseForm):
    """What was done, or is known."""

    text = forms.CharField(label="Note", max_length=LONGEST, widget=forms.Textarea(attrs={"rows": 2}))


class SnoozeForm(CaseForm):
    """Until when the case can wait, and why."""

    until = forms.DateField(
        label="Until", widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        error_messages={"required": "Choose the day on which it wakes.", "invalid": "Type the day as 2026-12-24."},
    )  # fmt: skip
    reason = forms.CharField(
        label="Why it can wait", max_length=LONGEST, widget=forms.Textarea(attrs={"rows": 2}),
        error_messages={"required": "Say why it can wait: others of the team will want to know."},
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        last = self.case.fails_at.astimezone(zone_of(self.user)).date()
        self.fields["until"].widget.attrs["max"] = last.isoformat()
        self.fields["until"].help_text = f"At the latest {last.day} {last:%B %Y}, the day on which it fails."

    def clean_until(self) -> dt.datetime:
        """The beginning of the day, by the user's clock."""
        day: dt.date = self.cleaned_data["until"]
        try:
            return dt.datetime.combine(day, dt.time(), zone_of(self.user)).astimezone(dt.UTC)
        except OverflowError:
            raise forms.ValidationError("Choose a day from tomorrow on.") from None


class RenewalForm(StyledForm, forms.Form):
    """How certificates of an issuer are renewed."""

    text = forms.CharField(
        label="How to renew here", required=False, max_length=LONGEST_NOTE, widget=forms.Textarea(attrs={"rows": 12}),
        help_text="Where to ask, whom, what it takes, how long. Addresses become links. No passwords: everybody of the team reads it.",
    )  # fmt: skip
    seen = forms.CharField(widget=forms.HiddenInput, required=False)


def zone_of(user: User) -> dt.tzinfo:
    """The user's own time zone, else UTC."""
    try:
        return zoneinfo.ZoneInfo(user.time_zone) if user.time_zone else dt.UTC
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        return dt.UTC
