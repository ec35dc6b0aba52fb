"""The page of one case, and what people do there: take, hand over, note, snooze, wake."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from django.contrib import messages
from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST

from portal.audit import actor_of
from portal.errors import PortalError
from portal.models import User
from portal.paging import page
from portal.permissions import Action, allowed, guarded
from portal.templatetags.portal_tags import local
from stores import case_work, casebook
from stores.forms_cases import CaseForm, HandForm, NoteForm, SnoozeForm, TakeForm
from stores.models import Case, Version

REFUSED = 422
EVENTS = 30
FORMS: Mapping[str, type[CaseForm]] = {
    "take": TakeForm, "hand": HandForm, "note": NoteForm, "snooze": SnoozeForm, "wake": CaseForm,
}  # fmt: skip


@guarded(Action.SEE, Case)
def case(request: HttpRequest, row: Case) -> HttpResponse:
    """What fails, when and why; who has it; what was done, and what is still missing."""
    return _show(request, row)


@guarded(Action.CHANGE, Case)
@require_POST
def take(request: HttpRequest, row: Case) -> HttpResponse:
    """The user has it from now on."""

    def do(wanted: dict[str, Any]) -> str:
        case_work.take(case=row, seen=wanted["seen"], actor=actor_of(request), now=timezone.now())
        return "It is yours."

    return _done(request, row, "take", do)


@guarded(Action.CHANGE, Case)
@require_POST
def hand(request: HttpRequest, row: Case) -> HttpResponse:
    """Gives it to a teammate."""

    def do(wanted: dict[str, Any]) -> str:
        case_work.hand(case=row, actor=actor_of(request), now=timezone.now(), **wanted)
        return f"{wanted['to']} has it now, and is told."

    return _done(request, row, "hand", do)


@guarded(Action.CHANGE, Case)
@require_POST
def note(request: HttpRequest, row: Case) -> HttpResponse:
    """Writes something down."""

    def do(wanted: dict[str, Any]) -> str:
        case_work.note(case=row, actor=actor_of(request), now=timezone.now(), **wanted)
        return "Noted."

    return _done(request, row, "note", do)


@guarded(Action.CHANGE, Case)
@require_POST
def snooze(request: HttpRequest, row: Case) -> HttpResponse:
    """Lets it wait."""

    def do(wanted: dict[str, Any]) -> str:
        case_work.snooze(case=row, actor=actor_of(request), now=timezone.now(), **wanted)
        return f"It waits until {local(wanted['until'], request).partition(',')[0]}; a later stage wakes it before."

    return _done(request, row, "snooze", do)


@guarded(Action.CHANGE, Case)
@require_POST
def wake(request: HttpRequest, row: Case) -> HttpResponse:
    """Ends the snooze."""

    def do(wanted: dict[str, Any]) -> str:
        case_work.wake(case=row, actor=actor_of(request), now=timezone.now())
        return "It is awake again."

    return _done(request, row, "wake", do)


def _done(request: HttpRequest, row: Case, name: str, do: Callable[[dict[str, Any]], str]) -> HttpResponse:
    """Does what a form asks for, and goes back to the page; what is refused stands there beside its field."""
    form = FORMS[name](request.POST, case=row, user=cast(User, request.user))
    status = REFUSED
    if form.is_valid():
        try:
            said = do(form.cleaned_data)
        except PortalError as error:
            form.add_error(error.field, error.sentence)
            status = error.status if error.status != PortalError.status else REFUSED
        else:
            messages.success(request, said)
            return redirect(row)
    return _show(request, row, refused=(name, form), status=status)


def _show(
    request: HttpRequest, row: Case, refused: tuple[str, CaseForm] | None = None, status: int = 200
) -> HttpResponse:
    now, user = timezone.now(), cast(User, request.user)
    if not Case.objects.filter(pk=row.pk).exists():
        return redirect("stores:cases")
    listed, ahead = casebook.explained(row, now)
    shown, certificate = listed.case, listed.case.certificate
    events = page(
        row.events.all(), F("at"), descending=True, cursor=request.GET.get("cursor", ""), size=EVENTS
    )
    may = allowed(user, Action.CHANGE, row.team)
    context: dict[str, Any] = {
        "case": shown, "row": listed, "prompt": listed.prompt, "certificate": certificate, "ahead": ahead, "may": may,
        "asleep": shown.is_asleep(now), "holding": case_work.holding(shown), "evidence": casebook.evidence(shown),
        "page": events, "events": casebook.told(events.rows), "form": refused[1] if refused else None,
        "staged": _staged(shown) if not shown.closed_at else [], "opened": refused[0] if refused else "",
    }  # fmt: skip
    if may and not shown.closed_at:
        context |= {
            name: refused[1] if refused and refused[0] == name else form(case=shown, user=user)
            for name, form in FORMS.items()
        }
    return render(request, "stores/case.html", context, status=status)


def _staged(case: Case) -> list[Version]:
    """What is under way: versions that wait for a rehearsal, for their instant, or for somebody."""
    rows = Version.objects.filter(certificate=case.certificate_id, state=Version.State.STAGED)
    return list(rows.select_related("certificate__store").defer("sealed_key").order_by("-number"))
