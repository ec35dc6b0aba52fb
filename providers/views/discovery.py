"""Where gateways fetch: no session and no page, a token and JSON."""

from __future__ import annotations

import ipaddress

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from portal.audit import Actor
from portal.errors import PortalError
from providers.gateway import discovery, tokens

UNCHANGED = 304


@login_not_required
@csrf_exempt
@never_cache
@require_POST
def secrets(request: HttpRequest) -> HttpResponse:
    """Envoy's `POST /v3/discovery:secrets`."""
    try:
        return _answer(request)
    except PortalError as error:
        return JsonResponse({"code": error.code, "message": error.sentence}, status=error.status)


def _answer(request: HttpRequest) -> HttpResponse:
    if not (request.is_secure() or _is_near(request)):
        sentence = "Private keys are served over TLS or on this machine only: ask by https. What a proxy passed on is not of this machine."
        raise PortalError("tls_needed", sentence, status=403)
    token = tokens.find(request.META.get("HTTP_AUTHORIZATION", ""))
    now, gateway = timezone.now(), token.gateway
    discovery.hear(token, now)
    actor = Actor(address=request.META.get("REMOTE_ADDR") or None, name=f"gateway {gateway}")
    answer = discovery.answer(
        gateway=gateway, asked=discovery.Asked.read(_body(request)), actor=actor, now=now
    )
    return HttpResponse(status=UNCHANGED) if answer is None else JsonResponse(answer)


def _body(request: HttpRequest) -> bytes:
    """Read no further than it may be long."""
    said = request.META.get("CONTENT_LENGTH") or "0"
    is_long = said.isdigit() and int(said) > discovery.MOST_OCTETS
    body = b"" if is_long else request.read(discovery.MOST_OCTETS + 1)
    if is_long or len(body) > discovery.MOST_OCTETS:
        most = f"{discovery.MOST_OCTETS // 1024} KiB"
        raise PortalError("too_long", f"The request is longer than {most}: ask for less at once.", status=413)
    return body


def _is_near(request: HttpRequest) -> bool:
    """Whether the caller is on this machine; what a proxy passed on says nothing unless the portal knows of the proxy."""
    if not settings.STOREKEEPER_PROXIES and {"HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED"} & request.META.keys():
        return False
    try:
        return ipaddress.ip_address(request.META.get("REMOTE_ADDR") or "").is_loopback
    except ValueError:
        return False
