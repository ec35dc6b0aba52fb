"""How the team renews the certificates of each issuer: the list, and writing it down."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone

from portal.audit import actor_of
from portal.errors import PortalError
from portal.models import Team
from portal.permissions import Action, guarded
from stores import issuers
from stores.forms_cases import RenewalForm
from stores.models import Case, Certificate, IssuerNote

REFUSED = 422


@guarded(Action.SEE)
def notes(request: HttpRequest, team: Team) -> HttpResponse:
    """What is noted, and on which issuers nothing is."""
    rows = IssuerNote.objects.filter(team=team).select_related("updated_by").order_by("issuer", "pk")
    context = {"notes": rows, "without": issuers.without_note(team)}
    return render(request, "stores/renewal.html", context)


@guarded(Action.CHANGE, IssuerNote)
def note(request: HttpRequest, row: IssuerNote) -> HttpResponse:
    """Changes a note."""
    return _write(request, row.team, row.issuer, None)


@guarded(Action.CHANGE, Certificate)
def of_certificate(request: HttpRequest, certificate: Certificate) -> HttpResponse:
    """Writes or changes the note on who issued a certificate."""
    return _write(request, certificate.team, issuers.issuer_of(certificate), certificate)


def _write(request: HttpRequest, team: Team, issuer: str, certificate: Certificate | None) -> HttpResponse:
    known = issuers.note_of(team, issuer)
    initial = {"text": known.text if known else "", "seen": issuers.stamp(known)}
    form = RenewalForm(request.POST or None, initial=initial)
    status = REFUSED if form.errors else 200
    if request.method == "POST" and form.is_valid():
        try:
            issuers.write_note(
                team=team, issuer=issuer, actor=actor_of(request), now=timezone.now(), **form.cleaned_data
            )
        except PortalError as error:
            status = error.status
            form.data = dict(form.data.items()) | {"seen": issuers.stamp(known)}
            form.add_error(error.field, error.sentence)
        else:
            messages.success(request, "Saved.")
            return _back(certificate)
    context = {
        "form": form,
        "issuer": issuer,
        "certificate": certificate,
        "known": known if form.errors else None,
    }
    return render(request, "stores/renewal_note.html", context, status=status)


def _back(certificate: Certificate | None) -> HttpResponse:
    """To where the note was missed."""
    if certificate is None:
        return redirect("stores:renewal")
    case = Case.objects.open().filter(certificate=certificate).first()
    return redirect(case or certificate)
