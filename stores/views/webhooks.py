"""The webhooks of a team: who of it sees addresses reads them, owners change them."""

from __future__ import annotations

import datetime as dt
import json

from django.contrib import messages
from django.db.models import F, OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from portal.audit import actor_of
from portal.errors import PortalError
from portal.models import Team
from portal.paging import page
from portal.permissions import Action, guarded
from stores import webhooks as services
from stores.forms_webhooks import WebhookEditForm, WebhookForm
from stores.models import Webhook, WebhookAttempt
from stores.notices import webhook as channel

REFUSED = 422


@guarded(Action.SEE_ADDRESSES)
def webhooks(request: HttpRequest, team: Team) -> HttpResponse:
    """All webhooks of the team, each with how its last message went."""
    last = WebhookAttempt.objects.filter(webhook=OuterRef("pk"))
    named = {f"last_{name}": Subquery(last.values(name)[:1]) for name in ("at", "status", "error")}
    rows = Webhook.objects.filter(team=team).annotate(**named).order_by("folded_name")
    return render(request, "stores/webhooks.html", {"rows": rows, "since": _since()})


@guarded(Action.MANAGE_TEAM)
@never_cache
@sensitive_post_parameters("url")
def new(request: HttpRequest, team: Team) -> HttpResponse:
    """Makes a webhook; the answer shows its secret, once."""
    form = WebhookForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        wanted = form.cleaned_data
        try:
            made, secret = services.make(
                team=team, name=wanted["name"], url=wanted["url"], shape=wanted["format"], actor=actor_of(request),
                now=timezone.now(),
            )  # fmt: skip
        except PortalError as error:
            form.add_error(error.field, error.sentence)
        else:
            return _show(request, made, secret)
    return render(request, "stores/webhook_edit.html", {"form": form}, status=REFUSED if form.errors else 200)


@guarded(Action.SEE_ADDRESSES, Webhook)
def webhook(request: HttpRequest, webhook: Webhook) -> HttpResponse:
    """One webhook, and what was sent to it."""
    return _show(request, webhook)


def _show(request: HttpRequest, webhook: Webhook, secret: str = "") -> HttpResponse:
    shown = page(_attempts(webhook), F("at"), descending=True, cursor=request.GET.get("cursor", ""))
    context = {"webhook": webhook, "secret": secret, "page": shown, "now": timezone.now(), "since": _since()}
    return render(request, "stores/webhook.html", context)


def _attempts(webhook: Webhook) -> QuerySet[WebhookAttempt]:
    return webhook.attempts.defer("body", "answer")


@guarded(Action.MANAGE_TEAM, Webhook)
@never_cache
@sensitive_post_parameters("url")
def edit(request: HttpRequest, webhook: Webhook) -> HttpResponse:
    """Another name, address or format."""
    form = WebhookEditForm(request.POST or None, webhook=webhook)
    if request.method == "POST" and form.is_valid():
        wanted = form.cleaned_data
        try:
            services.edit(
                webhook=webhook, name=wanted["name"], url=wanted["url"], shape=wanted["format"], actor=actor_of(request)
            )  # fmt: skip
        except PortalError as error:
            form.add_error(error.field, error.sentence)
        else:
            messages.success(request, "Saved.")
            return redirect(webhook)
    context = {"form": form, "webhook": webhook}
    return render(request, "stores/webhook_edit.html", context, status=REFUSED if form.errors else 200)


@guarded(Action.MANAGE_TEAM, Webhook)
@require_POST
def switch(request: HttpRequest, webhook: Webhook) -> HttpResponse:
    """On or off."""
    on = request.POST.get("on") == "yes"
    services.switch(webhook=webhook, on=on, actor=actor_of(request))
    words = "is told again from now on" if on else "is told nothing any more. What waited for it is dropped"
    messages.success(request, f"{webhook.name} {words}.")
    return redirect(webhook)


@guarded(Action.MANAGE_TEAM, Webhook)
@never_cache
def rotate(request: HttpRequest, webhook: Webhook) -> HttpResponse:
    """Asks once, then makes a new secret; the answer shows it, once."""
    if request.method != "POST":
        return render(request, "stores/webhook_rotate.html", {"webhook": webhook})
    secret = services.rotate_secret(webhook=webhook, actor=actor_of(request), now=timezone.now())
    webhook.refresh_from_db()
    return _show(request, webhook, secret)


@guarded(Action.MANAGE_TEAM, Webhook)
@require_POST
def send_test(request: HttpRequest, webhook: Webhook) -> HttpResponse:
    """Sends a test message and shows what was answered."""
    return redirect("stores:webhook_attempt", id=channel.send_test(webhook, timezone.now()).pk)


@guarded(Action.SEE_ADDRESSES, WebhookAttempt)
def attempt(request: HttpRequest, attempt: WebhookAttempt) -> HttpResponse:
    """One attempt: what was sent, and what was answered."""
    tries = attempt.webhook.attempts.filter(message_id=attempt.message_id).count()
    context = {"attempt": attempt, "body": _indented(attempt.body), "tries": tries, "since": _since()}
    return render(request, "stores/webhook_attempt.html", context)


def _indented(body: str) -> str:
    return json.dumps(json.loads(body), ensure_ascii=False, indent=2)


def _since() -> dt.datetime:
    """What began later may still be under way."""
    return timezone.now() - channel.UNDER_WAY


@guarded(Action.MANAGE_TEAM, WebhookAttempt)
@require_POST
def redeliver(request: HttpRequest, attempt: WebhookAttempt) -> HttpResponse:
    """Sends a message once more, and shows what was answered."""
    again = channel.redeliver(attempt, actor_of(request), timezone.now())
    return redirect("stores:webhook_attempt", id=again.pk)


@guarded(Action.MANAGE_TEAM, Webhook)
def delete(request: HttpRequest, webhook: Webhook) -> HttpResponse:
    """Asks once, naming what goes."""
    if request.method != "POST":
        context = {"webhook": webhook, "waiting": services.waiting(webhook).count()}
        return render(request, "stores/webhook_delete.html", context)
    services.delete(webhook=webhook, actor=actor_of(request))
    messages.success(request, f"{webhook.name} was deleted.")
    return redirect("stores:webhooks")
