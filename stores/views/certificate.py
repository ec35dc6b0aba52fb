"""The page of one certificate: overview, versions, used by, history; and what may be changed of it."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import messages
from django.db.models import F, OuterRef, Subquery
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone

from portal.audit import actor_of
from portal.errors import Conflict
from portal.paging import page
from portal.permissions import Action, guarded
from stores import services
from stores.comparison import compare
from stores.drawing import Kind, first_to_end
from stores.figures import counted
from stores.forms_kept import CertificateForm
from stores.history import events_of, told
from stores.locking import Gone
from stores.models import Case, Certificate, Store, Version, Watcher
from stores.notices import watchers
from stores.prompts import explained_versions, prompts_of
from stores.running import running
from stores.trusted_on import trusted_on
from stores.usage import uses_of_one

REFUSED = 422
SIZE = 20
MOST_CASES = 20


@guarded(Action.SEE, Certificate)
def overview(request: HttpRequest, certificate: Certificate) -> HttpResponse:
    """When it fails and why, its chain, who uses it, and the facts."""
    context = frame(certificate, "overview", whole=True)
    if certificate.store.kind == Store.Kind.TRUST:
        context["trusted_on"] = trusted_on(Certificate.objects.filter(pk=certificate.pk))
    case = Case.objects.open().filter(certificate=certificate).with_holders()
    context["case"] = case.annotate(successor_number=F("successor__number")).first()
    shown = context["active"] or next(iter(context["staged"]), None)
    if shown:
        told_live = {"expires_soon"}
        findings = [finding for finding in shown.findings if finding["code"] not in told_live]
        context |= drawn(shown, certificate) | {"findings": findings}
    return render(request, "stores/certificate.html", context)


@guarded(Action.SEE, Certificate)
def versions(request: HttpRequest, certificate: Certificate) -> HttpResponse:
    """Every upload, the newest first, with what can be done with it."""
    rows = certificate.versions.select_related("created_by").defer("sealed_key", "findings")
    shown = page(rows, F("number"), descending=True, cursor=request.GET.get("cursor", ""), size=SIZE)
    return render(
        request, "stores/certificate_versions.html", frame(certificate, "versions") | {"page": shown}
    )


@guarded(Action.SEE, Certificate)
def used_by(request: HttpRequest, certificate: Certificate) -> HttpResponse:
    """Providers and hosts that follow a replacement by themselves."""
    context = frame(certificate, "used by") | {"running": running(certificate)}
    return render(request, "stores/certificate_used_by.html", context)


@guarded(Action.SEE, Certificate)
def history(request: HttpRequest, certificate: Certificate) -> HttpResponse:
    """Who did what to it, and when."""
    shown = page(
        events_of(certificate, certificate.team),
        F("at"),
        descending=True,
        cursor=request.GET.get("cursor", ""),
    )
    context = frame(certificate, "history") | {"page": shown, "happenings": [told(one) for one in shown.rows]}
    context["cases"] = certificate.cases.order_by("-opened_at", "pk")[:MOST_CASES]
    return render(request, "stores/certificate_history.html", context)


def frame(certificate: Certificate, tab: str, *, whole: bool = False) -> dict[str, Any]:
    """What every tab shows: the state above, and the counts on the tabs; `whole` with findings and the note on the issuer."""
    kept = _kept(certificate, whole)
    active = [one for one in kept if one.state == Version.State.ACTIVE]
    prompts = prompts_of(active, timezone.now(), with_notes=whole)
    return {
        "certificate": certificate,
        "tab": tab,
        "active": next(iter(active), None),
        "staged": [one for one in kept if one.state == Version.State.STAGED],
        "prompt": next(iter(prompts), None),
        "uses": prompts[0].uses if prompts else uses_of_one(certificate),
        "version_count": kept[0].latest if kept else certificate.versions.count(),
        "watching": kept[0].watching if kept else certificate.watchers.count(),
    }


def _kept(certificate: Certificate, whole: bool) -> list[Any]:
    """Active and staged versions, the newest first; store and owner of the certificate are read along."""
    latest = (
        Version.objects.filter(certificate=OuterRef("certificate")).order_by("-number").values("number")[:1]
    )
    rows = certificate.versions.filter(state__in=(Version.State.ACTIVE, Version.State.STAGED))
    explained = explained_versions(rows).select_related(
        "certificate__store", "certificate__owner", "created_by"
    )
    if whole:
        explained = explained.defer(None).defer("sealed_key", "certificate__search_text")
    watching = counted(Watcher.objects.filter(certificate=OuterRef("certificate")), watchers.MOST)
    kept = list(explained.annotate(latest=Subquery(latest), watching=watching).order_by("-number"))
    if kept:
        certificate.store, certificate.owner = kept[0].certificate.store, kept[0].certificate.owner
    return kept


def trusted_holder(team_id: str, subject: str) -> Certificate | None:
    """The trust store entry of the team that holds a certificate of this subject; None for none."""
    stores = Store.objects.filter(team=team_id, kind=Store.Kind.TRUST)
    rows = Certificate.objects.filter(store__in=stores).holding(subject).select_related("store")
    return rows.order_by("pk").first() if subject else None


def drawn(version: Version, certificate: Certificate) -> dict[str, Any]:
    """The chain of a version for `components/chain.html`, and where its missing issuer is kept."""
    kind = cast(Kind, certificate.store.kind)
    chain = list(version.chain.defer("der"))
    return {
        "shown": version,
        "chain": chain,
        "kind": kind,
        "first_sha256": first_to_end(chain, kind, timezone.now()),
        "missing_issuer": version.missing_issuer,
        "missing_kept": trusted_holder(certificate.team_id, version.missing_issuer),
    }


@guarded(Action.SEE, Certificate)
def compared(request: HttpRequest, certificate: Certificate) -> HttpResponse:
    """Two versions side by side: `?old=<number>&new=<number>`; without numbers the two newest."""
    known = {
        str(one.number): one
        for one in certificate.versions.defer("sealed_key", "findings").order_by("-number")
    }
    newest = [*known][:2]
    if len(newest) < 2:
        raise Http404
    old, new = known.get(request.GET.get("old", newest[1])), known.get(request.GET.get("new", newest[0]))
    if old is None or new is None:
        raise Http404
    rows = comparison(old, new, certificate)
    context = {
        "certificate": certificate,
        "versions": known.values(),
        "old": old,
        "new": new,
        "comparison": rows,
    }
    return render(request, "stores/certificate_compare.html", context)


def comparison(old: Version, new: Version, certificate: Certificate) -> Any:
    return compare(old, list(new.chain.defer("der")), cast(Kind, certificate.store.kind), timezone.now())


@guarded(Action.CHANGE, Certificate)
def edit(request: HttpRequest, certificate: Certificate) -> HttpResponse:
    """Another name, description or owner; what refers to the certificate keeps referring to it."""
    form = CertificateForm(
        request.POST or None, team=certificate.team, initial=CertificateForm.initial_of(certificate)
    )
    if request.method == "POST" and form.is_valid():
        try:
            services.edit_certificate(
                certificate=certificate, actor=actor_of(request), now=timezone.now(), **form.cleaned_data
            )
        except Gone:
            raise
        except Conflict as error:
            form.add_error(error.field, error.sentence)
        else:
            messages.success(request, "Saved.")
            return redirect(certificate)
    context = {
        "certificate": Certificate.objects.select_related("store").get(pk=certificate.pk),
        "form": form,
    }
    return render(request, "stores/certificate_edit.html", context, status=REFUSED if form.errors else 200)


@guarded(Action.DELETE, Certificate)
def delete(request: HttpRequest, certificate: Certificate) -> HttpResponse:
    """Asks once, naming what goes; refused with the list of users while there are any."""
    error: Conflict | None = None
    if request.method == "POST":
        store = certificate.store
        try:
            services.delete_certificate(certificate=certificate, actor=actor_of(request))
        except Conflict as refused:
            error = refused
        else:
            messages.success(request, f"{certificate.name} was deleted.")
            return redirect(store)
    uses = uses_of_one(certificate)
    context = {
        "certificate": certificate,
        "uses": uses,
        "error": error,
        "version_count": certificate.versions.count(),
    }
    return render(request, "stores/certificate_delete.html", context, status=error.status if error else 200)
