"""The upload flow (DESIGN section 8): choose, review, save."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any, cast

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django_htmx.http import HttpResponseClientRedirect

from portal.audit import actor_of
from portal.errors import Conflict, PortalError, Unavailable
from portal.models import Team, User
from portal.permissions import Action, guarded
from portal.resume import typed, way_back
from stores import drafts, sandbox, saving, switching, watch
from stores.comparison import compare
from stores.expiry import fails_at, stage_at, watched
from stores.formats.parsed import Inspection
from stores.forms import ConfirmForm, UploadForm
from stores.inspection import inspect
from stores.models import Certificate, Draft, Store, Version
from stores.usage import uses_of_one
from stores.views.certificate import trusted_holder
from stores.warning import warnings

log = logging.getLogger("storekeeper")
REFUSED = 422


@guarded(Action.CHANGE)
def new(request: HttpRequest, team: Team) -> HttpResponse:
    """Step 1 for any certificate."""
    return _choose(request, team, None)


@guarded(Action.CHANGE, Certificate)
def replace(request: HttpRequest, certificate: Certificate) -> HttpResponse:
    """Step 1 for the next version of a certificate, all names filled in."""
    return _choose(request, certificate.team, certificate)


def _choose(request: HttpRequest, team: Team, certificate: Certificate | None) -> HttpResponse:
    if request.method != "POST":
        sandbox.warm()  # ready by the time that a file is chosen
        form = UploadForm(team=team, certificate=certificate, initial=_initial(request, team))
        return _show_choose(request, form, certificate)
    form = UploadForm(request.POST, request.FILES, team=team, certificate=certificate)
    if not form.is_valid():
        return _show_choose(request, form, certificate, status=REFUSED)
    try:
        draft = _read(request, team, form)
    except Unavailable as error:
        form.add_error(None, error.sentence)
        return _show_choose(request, form, certificate, status=error.status)
    if draft is None:
        return _show_choose(request, form, certificate, status=REFUSED)
    return _go(request, reverse("stores:review", args=[draft.pk]))


def _initial(request: HttpRequest, team: Team) -> dict[str, Any]:
    """What was typed before the session expired, else what a link asks for."""
    known = typed(request)
    if known:
        return known
    store = Store.objects.filter(team=team, pk=request.GET.get("store", "")).first()
    first = (
        store
        or Store.objects.filter(team=team, kind=request.GET.get("kind", "key"))
        .order_by("folded_name")
        .first()
    )
    kind = store.kind if store else request.GET.get("kind", "key")
    return {"kind": kind, "store": first, "name": request.GET.get("name", "")}


def _read(request: HttpRequest, team: Team, form: UploadForm) -> Draft | None:
    """Reads the file; None when it is refused, and the form says why.

    A trust store file with unusable certificates is read once more without them, for review.
    """
    upload, now = form.upload(), timezone.now()
    inspection = first = inspect(upload, now)
    if not inspection.accepted and inspection.unusable:
        inspection = inspect(dataclasses.replace(upload, leave_out=True), now)
    codes = ", ".join(finding.code for finding in inspection.findings) or "nothing to remark"
    if not inspection.accepted:
        log.info("team %s: an upload is refused: %s", team.pk, codes)
        form.add_refusal(first)
        return None
    inspection = dataclasses.replace(inspection, unusable=first.unusable)
    target = form.target(suggested=_suggested_name(inspection))
    draft = drafts.propose(
        team=team, user=cast(User, request.user), upload=upload, inspection=inspection, target=target, now=now
    )
    log.info("team %s: upload %s is under review: %s", team.pk, draft.pk, codes)
    return draft


def _suggested_name(inspection: Inspection) -> str:
    """The common name, without what a name cannot hold."""
    return (
        " ".join(
            "".join(c if c.isprintable() else " " for c in inspection.certificates[0].common_name).split()
        )[:100]
        or "certificate"
    )


def _show_choose(
    request: HttpRequest, form: UploadForm, certificate: Certificate | None, status: int = 200
) -> HttpResponse:
    return render(
        request,
        "stores/upload.html",
        {"form": form, "certificate": certificate, "refused": form.refused},
        status=status,
    )


def _go(request: HttpRequest, address: str) -> HttpResponse:
    """On to another page, for a plain form and for htmx alike."""
    if getattr(request, "htmx", False):
        return HttpResponseClientRedirect(address)
    return HttpResponseRedirect(address)


@guarded(Action.CHANGE, Draft)
def review(request: HttpRequest, draft: Draft) -> HttpResponse:
    """Step 2: what was found, where it goes, what changes. Step 3 is its form."""
    if draft.is_spent:
        raise Http404
    if draft.version:
        return redirect(draft.version.certificate)
    if request.method == "POST" and request.POST.get("do") == "compare":
        _retarget(draft, request.POST.get("destination", ""))
        return redirect("stores:review", id=draft.pk)
    if request.method != "POST":
        return _show_review(request, draft, _confirm_form(draft, kept=typed(request)))
    form = _confirm_form(draft, request.POST)
    if not form.is_valid():
        return _show_review(request, draft, form, status=REFUSED)
    return _save(request, draft, form)


def _save(request: HttpRequest, draft: Draft, form: ConfirmForm) -> HttpResponse:
    data = form.cleaned_data
    _retarget(draft, data["destination"], data["name"])
    activate_at = data["activate_at"] if data["timing"] == "at" else None
    try:
        version = saving.confirm(
            draft=draft,
            actor=actor_of(request),
            now=timezone.now(),
            seen=data["seen"],
            at_once=data["timing"] not in ("staged", "rehearse"),
            activate_at=activate_at,
        )
    except PortalError as error:
        return _show_again(request, draft, error)
    if data["timing"] == "rehearse":
        return _rehearse(request, version)
    messages.success(request, _saved(version))
    back = way_back(request)
    return redirect(f"{back}&certificate={version.certificate_id}" if back else version.certificate)


def _rehearse(request: HttpRequest, version: Version) -> HttpResponse:
    """On to the page of the rehearsal; where nothing can be tried after all, the version is kept staged all the same."""
    messages.success(request, f"Version {version.number} of {version.certificate.name} is kept staged.")
    try:
        return redirect(switching.rehearse(version, actor_of(request), timezone.now()))
    except PortalError as error:
        messages.warning(request, error.sentence)
        return redirect(version.certificate)


def _show_again(request: HttpRequest, draft: Draft, error: PortalError) -> HttpResponse:
    """The review of what is there now, with all that was typed, and why it is not saved.

    Raises the error when there is no upload any more.
    """
    if error.code == "upload_gone":
        raise error
    existing, data = drafts.existing(draft), request.POST.copy()
    data["seen"] = existing.active.pk if existing and existing.active else ""
    fresh = _confirm_form(draft, data)
    fresh.add_error(error.field if error.field in fresh.fields else None, error.sentence)
    return _show_review(
        request, draft, fresh, status=error.status if isinstance(error, Conflict) else REFUSED
    )


def _saved(version: Version) -> str:
    """One sentence on what has happened."""
    name = f"Version {version.number} of {version.certificate.name}"
    if version.state == Version.State.ACTIVE:
        return f"{name} is active."
    if version.activate_at:
        return f"{name} is kept staged and becomes active on {version.activate_at:%d %B %Y, %H:%M} UTC."
    return f"{name} is kept staged until somebody activates it."


def _retarget(draft: Draft, destination: str, name: str = "") -> None:
    """Notes the destination chosen on the review page: `new`, or the id of the certificate that is replaced."""
    target = drafts.target_of(draft)
    if destination == "new":
        drafts.retarget(draft, dataclasses.replace(target, certificate=None, name=name or target.name))
        return
    certificate = next((one for one in drafts.candidates(draft) if one.pk == destination), None)
    if certificate:
        drafts.retarget(draft, dataclasses.replace(target, certificate=certificate.pk))


def _confirm_form(draft: Draft, data: Any = None, kept: dict[str, str] | None = None) -> ConfirmForm:
    """The form of step 3; `kept` is what it held before the session expired."""
    existing, target = drafts.existing(draft), drafts.target_of(draft)
    initial = {
        "destination": existing.pk if existing else "new",
        "name": "" if existing else target.name,
        **(kept or {}),
        "seen": existing.active.pk if existing and existing.active else "",
    }
    inspection = drafts.inspection_of(draft)
    return ConfirmForm(
        data,
        destinations=lambda: _destinations(draft),
        must_leave_out=bool(inspection.unusable),
        can_rehearse=_can_rehearse(existing, inspection, data),
        initial=initial,
    )


def _can_rehearse(existing: Certificate | None, inspection: Inspection, data: Any) -> bool:
    """Whether it can be tried first; what was offered stays a choice, whatever has changed since."""
    if data and data.get("timing") == "rehearse":
        return True
    has_begun = inspection.certificates[0].not_before <= timezone.now()
    return existing is not None and has_begun and switching.can_rehearse(existing)


def _destinations(draft: Draft) -> list[tuple[str, str]]:
    """What the upload may replace, and at the end a new certificate."""
    choices = [
        (one.pk, f"The next version of “{one.name}” in {one.store.name}") for one in drafts.candidates(draft)
    ]
    return [*choices, ("new", f"A new certificate in {drafts.target_of(draft).store_name or 'the store'}")]


def _show_review(request: HttpRequest, draft: Draft, form: ConfirmForm, status: int = 200) -> HttpResponse:
    drafts.forget_what_is_gone(draft)
    inspection, existing, now = drafts.inspection_of(draft), drafts.existing(draft), timezone.now()
    kind = drafts.target_of(draft).kind
    ending = fails_at(watched(inspection.certificates, kind), now)
    old = existing.active if existing else None
    context = {
        "draft": draft,
        "inspection": inspection,
        "target": drafts.target_of(draft),
        "store": drafts.store_of(draft),
        "existing": existing,
        "old": old,
        "comparison": compare(old, inspection.certificates, kind, now) if old else None,
        "uses": uses_of_one(existing) if existing else [],
        "warnings": warnings(existing, inspection.certificates) if existing else [],
        "form": form,
        "ending": ending,
        "stage": stage_at(ending.not_before, ending.not_after, now, watch.policy_of(draft.team))
        if ending
        else "expired",
        "first_sha256": ending.sha256 if ending else "",
        "missing_kept": trusted_holder(draft.team_id, inspection.missing_issuer),
        "candidates": form.destinations()[:-1],
    }
    return render(request, "stores/review.html", context, status=status)
