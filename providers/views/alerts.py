"""What can be done about an alert: going back to the version before, or dismissing it."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from portal.audit import actor_of
from portal.permissions import Action, guarded
from providers import alerts
from providers.models import Alert


@guarded(Action.CHANGE, Alert)
@require_POST
def restore(request: HttpRequest, alert: Alert) -> HttpResponse:
    """Makes the version before active again."""
    version = alerts.restore(alert=alert, actor=actor_of(request), now=timezone.now())
    messages.success(
        request,
        f"Version {version.number} of {version.certificate} is active again. Its providers are tested now.",
    )
    return redirect(alert.provider)


@guarded(Action.CHANGE, Alert)
@require_POST
def dismiss(request: HttpRequest, alert: Alert) -> HttpResponse:
    """Closes the alert, whatever the connection does."""
    alerts.dismiss(alert=alert, actor=actor_of(request), now=timezone.now())
    messages.success(request, f"The alert about {alert.provider} is dismissed.")
    return redirect(alert.provider)
