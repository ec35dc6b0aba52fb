"""The share page itself: open to whoever has the link, without signing in."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import resolve
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from portal.csv import attachment
from portal.errors import Conflict
from providers import sharing
from providers.forms_share import InstalledForm
from providers.handover import confirmed, offers, to_trust
from providers.models import SharePage
from providers.views.shared import REFUSED
from stores.writing import CONTENT_TYPES, FileFormat, write

View = Callable[..., HttpResponse]
HEADERS = {
    "X-Robots-Tag": "noindex, nofollow",
    # Never says the path, which is the secret. With no-referrer browsers would send “Origin: null” with the form, and Django refuses that.
    "Referrer-Policy": "strict-origin",
}


def opened(view: View) -> View:
    """Gives the view the page that the secret in the address opens. What opens nothing, and what is not there, looks the same."""

    @login_not_required
    @never_cache
    @wraps(view)
    def guard(request: HttpRequest, token: str, **kwargs: Any) -> HttpResponse:
        page = sharing.find(token, timezone.now())
        try:
            answer = view(request, page, **kwargs) if page else _gone(request)
        except Http404:
            answer = _gone(request)
        for name, value in HEADERS.items():
            answer[name] = value
        return answer

    return guard


def _gone(request: HttpRequest) -> HttpResponse:
    return render(request, "share/gone.html", status=404)


@opened
@require_safe
def handover(request: HttpRequest, page: SharePage) -> HttpResponse:
    """Who asks, what is shown to them, what they should trust and by when."""
    return _show(request, page)


@opened
@require_safe
def certificate(request: HttpRequest, page: SharePage, sha256: str, form: FileFormat) -> HttpResponse:
    """A certificate that the page shows, with its chain; as DER its leaf alone."""
    offer = next((one for one in offers(page.provider) if one.leaf.sha256 == sha256), None)
    if offer is None:
        raise Http404
    name = f"{offer.version.certificate.name}-{sha256[:8]}"
    return _file(request, page, name, [bytes(one.der) for one in offer.chain], form)


@opened
@require_safe
def trust(request: HttpRequest, page: SharePage) -> HttpResponse:
    """All that their server should trust, as PEM."""
    found = to_trust(offers(page.provider))
    return _file(request, page, f"{page.team.name}-to-trust", [bytes(one.der) for one in found], "pem")


@opened
@require_POST
def installed(request: HttpRequest, page: SharePage) -> HttpResponse:
    """They say that they have installed a certificate."""
    form = InstalledForm(request.POST)
    if not form.is_valid():
        return _show(request, page, form, status=REFUSED)
    try:
        sharing.confirm(
            page=page,
            sha256=form.cleaned_data["sha256"],
            said_by=form.cleaned_data["name"],
            who=sharing.visitor(request.META.get("REMOTE_ADDR")),
            now=timezone.now(),
        )
    except Conflict as error:
        form.add_error(None, error.sentence)
        return _show(request, page, form, status=error.status)
    return redirect("providers:handover", token=_token(request))


def _token(request: HttpRequest) -> str:
    """The secret in the address."""
    return str(resolve(request.path_info).kwargs["token"])


def _show(
    request: HttpRequest, page: SharePage, form: InstalledForm | None = None, *, status: int = 200
) -> HttpResponse:
    _note(request, page, "share.viewed")
    shown, said = offers(page.provider), confirmed(page)
    context = {
        "page": page,
        "team": page.team,
        "token": _token(request),
        "offers": [
            (offer, said.get(offer.leaf.sha256), _form_of(offer.leaf.sha256, form)) for offer in shown
        ],
        "to_trust": to_trust(shown),
        "trust_by": min((offer.trust_by for offer in shown if offer.trust_by), default=None),
        "form": form,
    }
    return render(request, "share/page.html", context, status=status)


def _form_of(sha256: str, sent: InstalledForm | None) -> InstalledForm:
    """The one that was sent comes back beside its certificate; ids differ by certificate."""
    if sent is not None and sent.data.get("sha256") == sha256:
        return sent
    return InstalledForm(initial={"sha256": sha256}, auto_id=f"id_{sha256[:8]}_%s")


def _file(
    request: HttpRequest, page: SharePage, name: str, ders: list[bytes], form: FileFormat
) -> HttpResponse:
    if form not in CONTENT_TYPES or not ders:
        raise Http404
    _note(request, page, "share.downloaded")
    answer = HttpResponse(write(ders, form), content_type=CONTENT_TYPES[form])
    answer["Content-Disposition"] = attachment(f"{name}.{form}")
    return answer


def _note(request: HttpRequest, page: SharePage, action: str) -> None:
    who = sharing.visitor(request.META.get("REMOTE_ADDR"))
    sharing.note_visit(page=page, action=action, who=who, now=timezone.now())
