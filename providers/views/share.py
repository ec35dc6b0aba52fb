"""Links to share pages of a provider: made, listed, revoked by the team."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from portal.audit import actor_of
from portal.errors import Conflict
from portal.permissions import Action, guarded
from providers import sharing
from providers.forms_share import ShareForm
from providers.handover import offers
from providers.models import Provider, SharePage
from providers.views import shared

MOST_SHOWN = 50


@guarded(Action.SEE, Provider)
def pages(request: HttpRequest, provider: Provider) -> HttpResponse:
    """The links that were made, and the form for one more."""
    return _show(request, provider, ShareForm())


@guarded(Action.CHANGE, Provider)
@require_POST
@never_cache
def make(request: HttpRequest, provider: Provider) -> HttpResponse:
    """Makes a link; the answer shows it, once."""
    form = ShareForm(request.POST)
    if not form.is_valid():
        return _show(request, provider, form, status=shared.REFUSED)
    try:
        _, token = sharing.make(
            provider=provider, actor=actor_of(request), now=timezone.now(), **form.cleaned_data
        )
    except Conflict as error:
        form.add_error(None, error.sentence)
        return _show(request, provider, form, status=error.status)
    link = settings.STOREKEEPER_URL + reverse("providers:handover", args=[token])
    return _show(request, provider, ShareForm(), link=link)


@guarded(Action.CHANGE, SharePage)
@require_POST
def revoke(request: HttpRequest, page: SharePage) -> HttpResponse:
    """The link stops working."""
    sharing.revoke(page=page, actor=actor_of(request), now=timezone.now())
    messages.success(request, "The link is revoked: it opens nothing any more.")
    return redirect("providers:share", id=page.provider_id)


def _show(
    request: HttpRequest, provider: Provider, form: ShareForm, *, link: str = "", status: int = 200
) -> HttpResponse:
    rows = provider.share_pages.select_related("created_by").prefetch_related("confirmations")
    context = shared.frame(request, provider, "share") | {
        "form": form,
        "link": link,
        "rows": rows[:MOST_SHOWN],
        "offers": offers(provider),
        "now": timezone.now(),
    }
    return render(request, "providers/share.html", context, status=status)
