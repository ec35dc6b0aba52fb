"""What a person sets about themselves: name and time zone."""

from __future__ import annotations

import zoneinfo
from typing import TYPE_CHECKING, cast

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from portal.forms import NameField, StyledForm
from portal.models import User

if TYPE_CHECKING:
    _ModelForm = forms.ModelForm[User]
else:
    _ModelForm = forms.ModelForm


def zones() -> list[tuple[str, str]]:
    """Zones named after a place; the others are old names of these."""
    places = sorted(
        name for name in zoneinfo.available_timezones() if "/" in name and not name.startswith("Etc/")
    )
    return [("", "UTC"), *((name, name.replace("_", " ")) for name in places)]


class ProfileForm(StyledForm, _ModelForm):
    """The name that others see, and the zone in which times are shown."""

    first_name = NameField(
        label="Your name", max_length=150, required=False, help_text="As your teams see it."
    )
    time_zone = forms.ChoiceField(
        label="Time zone",
        choices=zones,
        required=False,
        help_text="Times are shown in it; files and mails say UTC.",
    )

    class Meta:
        model = User
        fields = ("first_name", "time_zone")


def profile(request: HttpRequest) -> HttpResponse:
    """Shows and changes it."""
    form = ProfileForm(request.POST or None, instance=cast(User, request.user))
    if form.is_valid():
        form.save()
        messages.success(request, "Saved.")
        return redirect("profile")
    return render(request, "account/profile.html", {"form": form}, status=422 if form.is_bound else 200)
