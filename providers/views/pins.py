"""Pinned keys of a provider: what is pinned, what was seen, and changing it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST

from portal.audit import actor_of
from portal.errors import PortalError
from portal.permissions import Action, guarded
from providers import pins as service
from providers.addresses import BACKUP_COMMANDS, MAKE_ONE
from providers.forms_pins import PinsForm
from providers.models import Provider
from providers.views import shared

REMOVED = "removed_pins"
"""In the session, by the id of the provider: what the last click removed, so that it can be put back."""


@guarded(Action.SEE, Provider)
def pins(request: HttpRequest, provider: Provider) -> HttpResponse:
    """The pins and the chain seen last; `?pin=` is ticked in it besides what is pinned."""
    seen = service.last_seen(provider)
    return _show(request, provider, seen, PinsForm.of(provider, seen, request.GET.get("pin", "")))


@guarded(Action.CHANGE, Provider)
@require_POST
def keep(request: HttpRequest, provider: Provider) -> HttpResponse:
    """Keeps what is ticked, typed and in the file."""
    seen = service.last_seen(provider)
    form = PinsForm(request.POST, request.FILES, seen=seen)
    if not form.is_valid():
        return _show(request, provider, seen, form, status=shared.REFUSED)
    try:
        kept = service.keep(
            provider=provider, pins=form.chosen(timezone.now()), actor=actor_of(request)
        ).spki_pins
    except PortalError as error:
        form.add_error(
            error.field if error.field in form.fields else None, error.sentence.removesuffix(MAKE_ONE)
        )
        return _show(request, provider, seen, form, status=shared.REFUSED)
    request.session.pop(REMOVED, None)
    messages.success(request, f"{len(kept)} keys are pinned." if kept else "No key is pinned any more.")
    return redirect("providers:pins", id=provider.pk)


@guarded(Action.CHANGE, Provider)
@require_POST
def remove(request: HttpRequest, provider: Provider) -> HttpResponse:
    """Removes all pins; the page then offers to put them back."""
    removed = provider.spki_pins
    service.keep(provider=provider, pins=[], actor=actor_of(request))
    if removed:
        request.session[REMOVED] = {provider.pk: removed}
    return redirect("providers:pins", id=provider.pk)


def _show(
    request: HttpRequest, provider: Provider, seen: service.Seen | None, form: PinsForm, status: int = 200
) -> HttpResponse:
    in_chain = {one.spki_pin: one for one in seen.chain} if seen else {}
    context: dict[str, Any] = shared.frame(request, provider, "connection") | {
        "form": form,
        "seen": seen,
        "standing": [(pin, in_chain.get(pin)) for pin in provider.spki_pins],
        "commands": BACKUP_COMMANDS,
        "removed": [] if provider.spki_pins else request.session.get(REMOVED, {}).get(provider.pk, []),
    }
    return render(request, "providers/pins.html", context, status=status)
