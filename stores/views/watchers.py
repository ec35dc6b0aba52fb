"""The plain addresses that are told of a certificate."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST

from portal.audit import actor_of
from portal.errors import Conflict
from portal.permissions import Action, guarded
from stores.forms_told import WatcherForm
from stores.locking import Gone
from stores.models import Certificate, Watcher
from stores.notices import watchers as watching

REFUSED = 422


@guarded(Action.CHANGE, Certificate)
def watchers(request: HttpRequest, certificate: Certificate) -> HttpResponse:
    """Who is told beside the owner; another address can be added."""
    form = WatcherForm(request.POST or None)
    if request.method == "POST":
        form = WatcherForm(request.POST)
        if form.is_valid() and _add(request, certificate, form):
            return redirect("stores:watchers", id=certificate.pk)
    context = {
        "certificate": Certificate.objects.select_related("store").get(pk=certificate.pk),
        "form": form,
        "watchers": certificate.watchers.select_related("added_by"),
        "most": watching.MOST,
    }
    return render(request, "stores/watchers.html", context, status=REFUSED if form.errors else 200)


def _add(request: HttpRequest, certificate: Certificate, form: WatcherForm) -> bool:
    """Whether it could be done; if not, the form says why."""
    email, now = form.cleaned_data["email"], timezone.now()
    try:
        watcher = watching.add(certificate=certificate, email=email, actor=actor_of(request), now=now)
    except Gone:
        raise
    except Conflict as error:
        form.add_error(error.field, error.sentence)
        return False
    messages.success(request, f"{watcher.email} is told of {certificate.name} from now on.")
    return True


@guarded(Action.CHANGE, Watcher)
@require_POST
def remove(request: HttpRequest, watcher: Watcher) -> HttpResponse:
    """The address is told no longer."""
    watching.remove(watcher=watcher, actor=actor_of(request))
    messages.success(request, f"{watcher.email} is told no longer.")
    return redirect("stores:watchers", id=watcher.certificate_id)
