"""The address that signs a person in once, and the page behind it where they choose their password."""

from __future__ import annotations

import datetime as dt
import secrets
from typing import TYPE_CHECKING, Any

from django import forms
from django.conf import settings
from django.contrib.auth import login, password_validation
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters

from portal.audit import Actor, actor_of, record
from portal.errors import PortalError
from portal.forms import NameField, StyledForm
from portal.ids import digest
from portal.models import OneTimeSignIn, User

LIFETIME = dt.timedelta(hours=24)
PLACEHOLDER = "admin@localhost"
"""Stands until the first administrator types the real address."""


def issue(user: User, now: dt.datetime) -> str:
    """A fresh token for the user, valid once and for a day; those made before stop working."""
    user.one_time_sign_ins.all().delete()
    token = secrets.token_urlsafe(32)
    OneTimeSignIn.objects.create(user=user, token_sha256=digest(token), expires_at=now + LIFETIME)
    return token


def link(user: User, now: dt.datetime) -> str:
    """The whole address with a fresh token. Whoever has it can sign in as the user: show it to few."""
    return settings.STOREKEEPER_URL + reverse("once", args=[issue(user, now)])


def find(token: str, now: dt.datetime) -> OneTimeSignIn:
    """The open sign-in of a token; PortalError when it was used, has expired or never was."""
    found = OneTimeSignIn.objects.filter(
        token_sha256=digest(token), used_at=None, expires_at__gt=now, user__is_active=True
    ).select_related("user")
    try:
        return found.get()
    except OneTimeSignIn.DoesNotExist:
        raise _over() from None


def use(sign_in: OneTimeSignIn, now: dt.datetime) -> None:
    """Claims it; PortalError when somebody else was faster."""
    if OneTimeSignIn.objects.filter(pk=sign_in.pk, used_at=None).update(used_at=now) != 1:
        raise _over()


def _over() -> PortalError:
    sentence = (
        "This address has been used or has expired. Sign in with your password. Who has none asks an owner of the team for a new "
        "address; the first administrator starts the portal again."
    )
    return PortalError("sign_in_over", sentence, status=410)


if TYPE_CHECKING:
    _ModelForm = forms.ModelForm[User]
else:
    _ModelForm = forms.ModelForm


class WelcomeForm(StyledForm, _ModelForm):
    """Who it is, and the password to come back with. Only the first administrator has still to say the address."""

    email = forms.EmailField(
        label="Your e-mail address", help_text="You sign in with it, and notices go to it."
    )
    first_name = NameField(label="Your name", max_length=150, required=False)
    password = forms.CharField(
        label="Password",
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="At least 12 characters.",
    )

    class Meta:
        model = User
        fields = ("email", "first_name")

    def __init__(self, *args: Any, instance: User, **kwargs: Any) -> None:
        known = "" if instance.email == PLACEHOLDER else instance.email
        super().__init__(*args, instance=instance, initial={"email": known}, **kwargs)
        self.fields["email"].disabled = bool(known)

    def clean_email(self) -> str:
        email = User.objects.normalize_email(self.cleaned_data["email"])
        if User.objects.filter(email__iexact=email).exclude(pk=self.instance.pk).exists():
            raise ValidationError("Somebody else has this address: type your own.")
        return email

    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        password_validation.validate_password(password, self.instance)
        return password

    def save(self, commit: bool = True) -> User:
        self.instance.set_password(self.cleaned_data["password"])
        return super().save(commit)


@never_cache
@login_not_required
@sensitive_post_parameters("password")
def welcome(request: HttpRequest, token: str) -> HttpResponse:
    """Asks for a password; opening the address costs nothing, only choosing the password uses it up."""
    now = timezone.now()
    sign_in = find(token, now)
    form = WelcomeForm(request.POST or None, instance=sign_in.user)
    if not form.is_valid():
        return render(request, "account/once.html", {"form": form}, status=422 if form.is_bound else 200)
    with transaction.atomic():
        use(sign_in, now)
        user = form.save()
        record(Actor(user, actor_of(request).address), "signed_in_once", user, team=None)
    login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    return redirect("/")
