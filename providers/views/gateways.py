"""Gateways: list, page, form, deletion, tokens."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from portal.audit import actor_of
from portal.errors import Conflict, PortalError
from portal.models import Team
from portal.permissions import Action, allowed, guarded
from providers.forms_gateway import GatewayForm
from providers.gateway import registry, tokens
from providers.gateway.bootstrap import PLACEHOLDER, bootstrap
from providers.gateway.standing import is_silent, standings
from providers.models import Gateway, GatewayToken
from providers.views import shared

MOST_TOKENS = 20
MOST_SHOWN = 500


@guarded(Action.SEE)
def gateways(request: HttpRequest, team: Team) -> HttpResponse:
    """All of the team, by name."""
    rows = Gateway.objects.filter(team=team).prefetch_related("hosts", "providers")[:MOST_SHOWN]
    now, may = timezone.now(), allowed(request.user, Action.CHANGE, team)
    context = {"rows": [(row, is_silent(row, now)) for row in rows], "may": may}
    return render(request, "providers/gateways.html", context)


@guarded(Action.SEE, Gateway)
@never_cache
def gateway(request: HttpRequest, row: Gateway) -> HttpResponse:
    """What runs there, and how to start it."""
    return _show(request, row)


def _show(
    request: HttpRequest, row: Gateway, *, token: str = "", refused: str = "", status: int = 200
) -> HttpResponse:
    now, sees = timezone.now(), shared.sees_addresses(request, row.team)
    context = {
        "gateway": row,
        "standings": standings(row, now),
        "silent": is_silent(row, now),
        "tokens": row.tokens.select_related("created_by")[:MOST_TOKENS],
        "made": token,
        "refused": refused,
        "bootstrap": bootstrap(row, token or PLACEHOLDER) if sees else "",
        "sees": sees,
    }
    return render(request, "providers/gateway.html", context, status=status)


@guarded(Action.CHANGE)
def new(request: HttpRequest, team: Team) -> HttpResponse:
    return _edit(request, Gateway(team=team))


@guarded(Action.CHANGE, Gateway)
def edit(request: HttpRequest, row: Gateway) -> HttpResponse:
    return _edit(request, row)


def _edit(request: HttpRequest, row: Gateway) -> HttpResponse:
    heading, status = ("" if row._state.adding else str(row)), 200
    form = GatewayForm(request.POST if request.method == "POST" else None, instance=row)
    if request.method == "POST":
        status = shared.REFUSED
        if form.is_valid():
            try:
                saved = form.keep(actor_of(request))
            except PortalError as error:
                form.add_error(error.field if error.field in form.fields else None, error.sentence)
                status = error.status if isinstance(error, Conflict) else shared.REFUSED
            else:
                messages.success(request, f"“{saved}” is saved.")
                return redirect(saved)
    return render(request, "providers/gateway_form.html", {"form": form, "heading": heading}, status=status)


@guarded(Action.DELETE, Gateway)
def delete(request: HttpRequest, row: Gateway) -> HttpResponse:
    """Asks once, naming what will happen; then deletes."""
    if request.method != "POST":
        return render(request, "providers/gateway_delete.html", {"row": row})
    name = str(row)
    registry.delete(gateway=row, actor=actor_of(request))
    messages.success(request, f"The gateway “{name}” is deleted, and is sent nothing more.")
    return redirect("providers:gateways")


@guarded(Action.MANAGE_TEAM, Gateway)
@require_POST
@never_cache
def make_token(request: HttpRequest, row: Gateway) -> HttpResponse:
    """Makes a token; the answer shows it, once."""
    try:
        _, text = tokens.make(gateway=row, actor=actor_of(request), now=timezone.now())
    except Conflict as error:
        return _show(request, row, refused=error.sentence, status=error.status)
    return _show(request, row, token=text)


@guarded(Action.MANAGE_TEAM, GatewayToken)
@require_POST
def revoke_token(request: HttpRequest, token: GatewayToken) -> HttpResponse:
    """It opens nothing from now on; what the gateway has it keeps."""
    tokens.revoke(token=token, actor=actor_of(request), now=timezone.now())
    messages.success(request, "The token is revoked: who says it is sent nothing any more.")
    return redirect("providers:gateway", id=token.gateway_id)
