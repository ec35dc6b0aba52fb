"""What the pages of providers and hosts have in common."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone

from portal import resume
from portal.audit import actor_of
from portal.csv import csv_response
from portal.errors import Conflict, PortalError
from portal.models import Team
from portal.outbound import Policy
from portal.permissions import Action, allowed
from providers import testing
from providers.endings import ends_of, first_ends
from providers.forms import UserForm
from providers.listing import csv_header, csv_rows, listing
from providers.models import Host, Provider
from providers.wording import headline
from stores.models import Certificate
from stores.prompts import Prompt

REFUSED = 422
UPLOADS = {"key_certificate": "key", "trust_store": "trust"}
"""Fields beside which a certificate can be uploaded, and the kind of store it goes to."""


MOST_ENDS = 6
"""Certificates named on the page of a provider or host; the store's own page has them all."""


def sees_addresses(request: HttpRequest, team: Team) -> bool:
    return allowed(request.user, Action.SEE_ADDRESSES, team)


def show_list(request: HttpRequest, team: Team, model: type[Provider | Host], template: str) -> HttpResponse:
    """One page of a list."""
    sees, now = sees_addresses(request, team), timezone.now()
    listed = listing(model, team, request.GET, now, addresses=sees)
    shown = listed.page(request.GET.get("cursor", ""))
    ends = first_ends(shown.rows, now, addresses=sees)
    context = {
        "page": shown,
        "rows": [(row, ends[row.pk]) for row in shown.rows],
        "form": listed.form,
        "is_filtered": listed.is_filtered,
        "sees": sees,
        "may": allowed(request.user, Action.CHANGE, team),
    }
    return render(request, template, context)


def send_list(request: HttpRequest, team: Team, model: type[Provider | Host]) -> HttpResponseBase:
    """The whole list as CSV, as searched and filtered."""
    sees, now = sees_addresses(request, team), timezone.now()
    listed = listing(model, team, request.GET, now, addresses=sees)
    rows = csv_rows(listed, now, addresses=sees)
    return csv_response(f"{model._meta.verbose_name_plural}.csv", csv_header(model, addresses=sees), rows)


def frame(request: HttpRequest, provider: Provider, tab: str) -> dict[str, Any]:
    """What every page about one provider needs (`providers/provider_frame.html`)."""
    sees = sees_addresses(request, provider.team)
    return {"provider": provider, "sees": sees, "tab": tab, "untestable": _untestable(provider, sees)}


def _untestable(provider: Provider, sees: bool) -> str:
    """Why it cannot be tested from here, without its address for those who may not see it."""
    why = testing.unreachable(provider, Policy.from_settings())
    if not why or sees or provider.type == Provider.Type.ON_PREMISE:
        return why
    return f"{headline('blocked_by_policy')}."


def what_ends(row: Provider | Host, *, sees: bool) -> dict[str, Any]:
    """For its page: what it depends on, the first to fail in front, and what of it is missing."""
    ends = ends_of(row, timezone.now(), MOST_ENDS + 1, addresses=sees)
    own = [end.certificate for end in ends if isinstance(end, Prompt)]
    shown = next((one for one in own if one.pk == row.key_certificate_id), row.key_certificate)
    if shown:
        row.key_certificate = shown
    trusted = [one.store for one in own if one.store_id == row.trust_store_id]
    if trusted:
        row.trust_store = trusted[0]
    return {
        "ends": ends[:MOST_ENDS],
        "has_more": len(ends) > MOST_ENDS,
        "shows_nothing": shown and not any(one is shown for one in own) and not shown.active,
        "trusts_nothing": row.trust_store_id and not trusted,
    }


def edit(request: HttpRequest, form_class: type[UserForm], row: Any, template: str) -> HttpResponse:
    """The form of a new or a present provider or host, and its saving."""
    heading = "" if row._state.adding else str(row)
    if request.method != "POST":
        form = form_class(team=row.team, instance=row, initial=_initial(request, form_class, row.team))
        return render(request, template, {"form": form, "heading": heading})
    field = request.POST.get("do", "").removeprefix("upload:")
    if field in UPLOADS and field in form_class.base_fields:
        return _leave_for_upload(request, field)
    form = form_class(request.POST, team=row.team, instance=row)
    status = _save(request, form)
    if status == 200:
        return redirect(row)
    if request.POST.get("password") and "password" in form.fields and "password" not in form.errors:
        form.add_error("password", "Type it again: a password is never sent back to the page.")
    return render(request, template, {"form": form, "heading": heading}, status=status)


def _save(request: HttpRequest, form: UserForm) -> int:
    """Saves, or notes in the form why not; the HTTP status of the answer."""
    if not form.is_valid():
        return REFUSED
    try:
        saved = form.keep(actor_of(request))
    except PortalError as error:
        form.add_error(error.field if error.field in form.fields else None, error.sentence)
        if isinstance(error, Conflict):
            form.look_again()
        return error.status if isinstance(error, Conflict) else REFUSED
    messages.success(request, f"“{saved}” is saved.")
    if left_out := form.left_out():
        messages.warning(
            request, f"It uses no such stores as it is now, so this was left out: {', '.join(left_out)}."
        )
    return 200


def _leave_for_upload(request: HttpRequest, field: str) -> HttpResponse:
    resume.leave(request, f"{request.path}?for={field}")
    messages.info(request, "What you typed is kept, passwords aside. After the upload you come back to it.")
    return redirect(f"{reverse('stores:upload')}?kind={UPLOADS[field]}")


def _initial(request: HttpRequest, form_class: type[UserForm], team: Team) -> dict[str, Any]:
    """What was typed here before, and the certificate that was just uploaded or that a link asks for."""
    kept = resume.typed(request)
    resume.way_back(request)  # who is here has come back
    initial: dict[str, Any] = {name: kept.get(name, "") for name in form_class.base_fields} if kept else {}
    field, one = request.GET.get("for", ""), _asked_for(request, team)
    if one and one.store.kind == UPLOADS.get(field):
        initial[field] = one if field == "key_certificate" else one.store
    return initial


def _asked_for(request: HttpRequest, team: Team) -> Certificate | None:
    asked = request.GET.get("certificate", "")
    return Certificate.objects.select_related("store").filter(team=team, pk=asked).first() if asked else None
