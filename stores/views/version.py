"""One version: what is in it, and what can be done with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters

from portal.audit import actor_of
from portal.csv import attachment
from portal.errors import PortalError
from portal.permissions import Action, guarded
from portal.reauthentication import after_signing_in_again
from stores import services
from stores.forms_kept import ExportForm, ScheduleForm
from stores.locking import Gone
from stores.models import Version
from stores.usage import uses_of_one
from stores.views.certificate import REFUSED, comparison, drawn
from stores.warning import warnings


@guarded(Action.SEE, Version)
def show(request: HttpRequest, version: Version) -> HttpResponse:
    """Its chain, findings and facts."""
    return render(
        request, "stores/certificate_version.html", _context(version) | drawn(version, version.certificate)
    )


@guarded(Action.CHANGE, Version)
def activate(request: HttpRequest, version: Version) -> HttpResponse:
    """Makes a staged version active or restores an old one; asks once, naming what follows."""

    def do() -> str:
        services.activate(version=version, actor=actor_of(request), now=timezone.now())
        return f"Version {version.number} is active."

    active = version.certificate.active
    context = {
        "active": active,
        "comparison": comparison(active, version, version.certificate)
        if active and active != version
        else None,
        "warnings": warnings(version.certificate, list(version.chain.all())),
    }
    return _asked(request, version, "activate", do, context)


@guarded(Action.CHANGE, Version)
def discard(request: HttpRequest, version: Version) -> HttpResponse:
    """Gives a staged version up; asks once."""

    def do() -> str:
        services.discard(version=version, actor=actor_of(request), now=timezone.now())
        return f"Version {version.number} was discarded."

    return _asked(request, version, "discard", do)


@guarded(Action.PURGE, Version)
def purge(request: HttpRequest, version: Version) -> HttpResponse:
    """Removes file and key of an old version for ever; asks once."""

    def do() -> str:
        services.purge_version(version=version, actor=actor_of(request), now=timezone.now())
        return f"File and key of version {version.number} were purged."

    return _asked(request, version, "purge", do)


def _asked(
    request: HttpRequest,
    version: Version,
    what: str,
    do: Callable[[], str],
    more: dict[str, Any] | None = None,
) -> HttpResponse:
    """A page that says what will follow, and the button that does it; what is refused is said on the same page."""
    error: PortalError | None = None
    if request.method == "POST":
        try:
            messages.success(request, do())
            return redirect("stores:certificate_versions", id=version.certificate_id)
        except Gone:
            raise
        except PortalError as refused:
            error = refused
    context = _context(version) | {"error": error, "uses": uses_of_one(version.certificate)} | (more or {})
    return render(request, f"stores/certificate_{what}.html", context, status=error.status if error else 200)


@guarded(Action.CHANGE, Version)
def schedule(request: HttpRequest, version: Version) -> HttpResponse:
    """Sets or clears the instant at which a staged version becomes active by itself."""
    form = ScheduleForm(request.POST or None, initial={"activate_at": version.activate_at})
    if request.method == "POST" and form.is_valid():
        try:
            services.schedule(
                version=version, activate_at=form.cleaned_data["activate_at"], actor=actor_of(request)
            )
            return redirect("stores:certificate_versions", id=version.certificate_id)
        except Gone:
            raise
        except PortalError as error:
            form.add_error(error.field, error.sentence)
    status = REFUSED if form.errors else 200
    return render(
        request, "stores/certificate_schedule.html", _context(version) | {"form": form}, status=status
    )


@guarded(Action.EXPORT_KEY, Version)
@sensitive_post_parameters("password", "again")
@never_cache
@after_signing_in_again
def export_key(request: HttpRequest, version: Version) -> HttpResponse:
    """The private key and its chain as a PKCS#12, under a password typed here; audited."""
    form = ExportForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            content = services.export_key(
                version=version, password=form.cleaned_data["password"], actor=actor_of(request)
            )
        except PortalError as error:
            form.add_error(None, error.sentence)
        else:
            response = HttpResponse(content, content_type="application/x-pkcs12")
            response["Content-Disposition"] = attachment(f"{version.certificate.name}.p12")
            return response
    status = REFUSED if form.errors else 200
    return render(
        request, "stores/certificate_export.html", _context(version) | {"form": form}, status=status
    )


def _context(version: Version) -> dict[str, Any]:
    return {"version": version, "certificate": version.certificate}
