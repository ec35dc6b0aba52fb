"""Inbound hosts: list, page, form, deletion."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render

from portal.audit import actor_of
from portal.models import Team
from portal.permissions import Action, guarded
from providers import services
from providers.forms import HostForm
from providers.models import Host
from providers.views import shared


@guarded(Action.SEE)
def hosts(request: HttpRequest, team: Team) -> HttpResponse:
    return shared.show_list(request, team, Host, "providers/hosts.html")


@guarded(Action.SEE)
def export(request: HttpRequest, team: Team) -> HttpResponseBase:
    return shared.send_list(request, team, Host)


@guarded(Action.SEE, Host)
def host(request: HttpRequest, row: Host) -> HttpResponse:
    """What it shows to callers, which callers it recognises, and what of it fails first."""
    sees = shared.sees_addresses(request, row.team)
    context = shared.what_ends(row, sees=sees) | {"host": row, "sees": sees}
    return render(request, "providers/host.html", context)


@guarded(Action.CHANGE)
def new(request: HttpRequest, team: Team) -> HttpResponse:
    return shared.edit(request, HostForm, Host(team=team), "providers/host_form.html")


@guarded(Action.CHANGE, Host)
def edit(request: HttpRequest, row: Host) -> HttpResponse:
    return shared.edit(request, HostForm, row, "providers/host_form.html")


@guarded(Action.DELETE, Host)
def delete(request: HttpRequest, row: Host) -> HttpResponse:
    """Asks once, naming what will happen; then deletes."""
    if request.method != "POST":
        return render(request, "providers/delete.html", {"row": row, "kind": "host"})
    name = str(row)
    services.delete_host(host=row, actor=actor_of(request))
    messages.success(
        request, f"The host “{name}” is deleted. Its certificate and trust store are still here."
    )
    return redirect("providers:hosts")
