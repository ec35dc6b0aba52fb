"""The forms of the team pages."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django import forms
from django.db.models import Q, QuerySet

from portal.forms import NameField, StyledForm
from portal.models import AuditEvent, Role, Team

ROLES = (
    (Role.VIEWER, "Viewer: sees certificates, providers and dates"),
    (Role.EDITOR, "Editor: also uploads, replaces and registers"),
    (Role.OWNER, "Owner: also deletes, exports keys and manages the team"),
)


class MemberForm(StyledForm, forms.Form):
    """A person to add."""

    email = forms.EmailField(
        label="E-mail address", max_length=254, help_text="They get a mail with a link that signs them in once.",
        widget=forms.EmailInput(attrs={"autocomplete": "off"}),
    )  # fmt: skip
    role = forms.ChoiceField(label="Role", choices=ROLES, initial=Role.EDITOR, widget=forms.RadioSelect)


class RoleForm(StyledForm, forms.Form):
    """Another role for a member."""

    role = forms.ChoiceField(label="Role", choices=Role.choices)


class TokenForm(StyledForm, forms.Form):
    """A token to make."""

    name = NameField(label="Name", help_text="The program that uses it, as “deploy pipeline”.")
    role = forms.ChoiceField(
        label="What it may do", choices=ROLES[:2], initial=Role.VIEWER, widget=forms.RadioSelect
    )


THINGS = (
    ("", "Anything"), ("certificate", "Certificates"), ("store", "Stores"), ("provider", "Providers"), ("host", "Hosts"),
    ("case", "Replacements"), ("user", "Members"), ("apitoken", "Tokens"),
    ("webhook", "Webhooks"), ("team", "Team"),
)  # fmt: skip


def _day(label: str) -> forms.DateField:
    return forms.DateField(
        label=label, required=False, widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )


class AuditFilter(StyledForm, forms.Form):
    """The filters of the audit; they stand in the address."""

    q = forms.CharField(label="Search", required=False, max_length=200)
    what = forms.ChoiceField(label="About", required=False, choices=THINGS)
    since = _day("From")
    until = _day("To")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, auto_id="filter_%s", **kwargs)

    @property
    def is_set(self) -> bool:
        """Whether anything is filtered at all."""
        return any(self.cleaned_data.values())

    def rows(self, team: Team) -> QuerySet[AuditEvent]:
        """The events asked for; none while the address asks for something impossible. Days are those of UTC."""
        rows = AuditEvent.objects.filter(team=team)
        if not self.is_valid():
            return rows.none()
        wanted = self.cleaned_data
        for word in wanted["q"].split():
            found = Q(actor_name__icontains=word) | Q(object_name__icontains=word) | Q(action__icontains=word)
            rows = rows.filter(found | Q(object_id=word))
        if wanted["what"]:
            rows = rows.filter(object_type=wanted["what"])
        if wanted["since"]:
            rows = rows.filter(at__gte=_midnight(wanted["since"]))
        if wanted["until"]:
            rows = rows.filter(at__lte=dt.datetime.combine(wanted["until"], dt.time.max, dt.UTC))
        return rows


def _midnight(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), dt.UTC)
