"""API providers: list, page, form, deletion."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone

from portal.audit import actor_of
from portal.models import Team
from portal.permissions import Action, guarded
from providers import overlaps, services, trust
from providers.forms import ProviderForm
from providers.models import Provider
from providers.reading import Reading
from providers.views import shared

PREVIEWED = ("host", "port", "path_prefix", "collection_path", "server_name")


@guarded(Action.SEE)
def providers(request: HttpRequest, team: Team) -> HttpResponse:
    return shared.show_list(request, team, Provider, "providers/providers.html")


@guarded(Action.SEE)
def export(request: HttpRequest, team: Team) -> HttpResponseBase:
    return shared.send_list(request, team, Provider)


@guarded(Action.SEE, Provider)
def provider(request: HttpRequest, row: Provider) -> HttpResponse:
    """What it is, what its two-way TLS will do, and what of it fails first."""
    context = shared.frame(request, row, "overview")
    context |= shared.what_ends(row, sees=context["sees"])
    context["trusted_on"] = overlaps.trusted_on(trust.certificates_of(row))
    if last := row.reports.defer("details", "steps").first():
        context["last"] = Reading(last, sees=context["sees"], now=timezone.now())
    return render(request, "providers/provider.html", context)


@guarded(Action.CHANGE)
def new(request: HttpRequest, team: Team) -> HttpResponse:
    return shared.edit(request, ProviderForm, Provider(team=team), "providers/provider_form.html")


@guarded(Action.CHANGE, Provider)
def edit(request: HttpRequest, row: Provider) -> HttpResponse:
    return shared.edit(request, ProviderForm, row, "providers/provider_form.html")


@guarded(Action.DELETE, Provider)
def delete(request: HttpRequest, row: Provider) -> HttpResponse:
    """Asks once, naming what will happen; then deletes."""
    if request.method != "POST":
        return render(request, "providers/delete.html", {"row": row, "kind": "provider"})
    name = str(row)
    services.delete_provider(provider=row, actor=actor_of(request))
    messages.success(
        request, f"The provider “{name}” is deleted. Its certificates and stores are still here."
    )
    return redirect("providers:providers")


@guarded(Action.CHANGE, Team)
def preview(request: HttpRequest, team: Team) -> HttpResponse:
    """In plain words, what the half-filled form would make: the summary and the catalogue's address."""
    form = ProviderForm(request.GET, team=team, instance=Provider(team=team))
    form.full_clean()
    wrong = [
        (form[name].label, form.errors[name][0])
        for name in PREVIEWED
        if request.GET.get(name) and name in form.errors
    ]
    context = {"provider": form.instance, "sees": True, "wrong": wrong}
    context["trusted_on"] = overlaps.trusted_on(trust.certificates_of(form.instance))
    return render(request, "providers/preview.html", context)
