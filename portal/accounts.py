"""How people sign in: accounts are made by owners and administrators, never by strangers."""

from __future__ import annotations

import base64
from typing import Any, ClassVar, cast
from urllib.parse import urlsplit

from allauth.account import views
from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailAddress
from allauth.mfa.adapter import DefaultMFAAdapter
from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.http import HttpRequest, HttpResponseBase

from portal import vault
from portal.letters import dress
from portal.models import User

PASSWORD_HELP = "At least 12 characters, and no word that is easily guessed."  # noqa: S105
# The library does not say whose secret it is, so the seal cannot be bound to the person.
SECOND_FACTOR = vault.Binding("", "", "second_factor")


class AccountAdapter(DefaultAccountAdapter):
    """Nobody makes an account from the sign-in page; what goes wrong is said in our words."""

    error_messages: ClassVar[dict[str, Any]] = DefaultAccountAdapter.error_messages | {
        "account_inactive": "This account is switched off. Ask who runs this portal.",
        "email_password_mismatch": "The e-mail address or the password is wrong. Try again, or ask for a new password.",
        "email_taken": "Somebody else has this address: type your own.",
        "enter_current_password": "This is not your present password. Type the one that you sign in with.",
        "incorrect_code": "This code is wrong or too old. Type the one that is shown now.",
        "incorrect_password": "This is not your password. Type the one that you sign in with.",
        "rate_limited": "That was too often. Wait a few minutes and try again.",
        "same_as_current": "This is the address that you have. Type another one.",
        "too_many_login_attempts": "Too many attempts have failed. Wait five minutes, or ask for a new password.",
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def get_reset_password_from_key_url(self, key: str) -> str:
        """Begins as all links in mails do: what the request calls this host is not to be believed."""
        return _ours(super().get_reset_password_from_key_url(key))

    def get_email_confirmation_url(self, request: HttpRequest, emailconfirmation: Any) -> str:
        return _ours(super().get_email_confirmation_url(request, emailconfirmation))

    def render_mail(self, *args: Any, **kwargs: Any) -> EmailMultiAlternatives:
        message: EmailMultiAlternatives = super().render_mail(*args, **kwargs)
        dress(message)
        return message


def _ours(link: str) -> str:
    return settings.STOREKEEPER_URL + urlsplit(link).path


class SecondFactorAdapter(DefaultMFAAdapter):
    """Seals the secrets of authenticator apps and recovery codes, as everything else that opens a door."""

    error_messages: ClassVar[dict[str, Any]] = DefaultMFAAdapter.error_messages | {
        "incorrect_code": "This code is wrong or too old. Type the one that your app shows now.",
        "add_email_blocked": "Switch two-step sign-in off before you change your address, and on again afterwards.",
    }

    def encrypt(self, text: str) -> str:
        return base64.b64encode(vault.seal(text.encode(), SECOND_FACTOR)).decode()

    def decrypt(self, encrypted_text: str) -> str:
        return vault.open_sealed(base64.b64decode(encrypted_text), SECOND_FACTOR).decode()


def vouch(user: User) -> None:
    """Notes the address of an account as proved: whoever made the account vouches for it."""
    proved = {"verified": True, "primary": True}
    EmailAddress.objects.update_or_create(user=user, email=user.email.lower(), defaults=proved)


def email(request: HttpRequest) -> HttpResponseBase:
    """Changes the address to sign in with, once a mail to the new one has been answered."""
    vouch(cast(User, request.user))
    return cast(HttpResponseBase, views.email(request))


def name_tried(request: HttpRequest | None, credentials: dict[str, Any] | None) -> str:
    """The e-mail address of an attempt to sign in, for counting failures."""
    given = credentials or {}
    posted = request.POST if request is not None else {}
    found = given.get("email") or given.get("username") or posted.get("login") or posted.get("username") or ""
    return str(found).strip().lower()[:254]


def address_of(request: HttpRequest) -> str | None:
    """The caller's address, as `CallerMiddleware` left it."""
    return request.META.get("REMOTE_ADDR") or None
