"""The pages of a team: members, tokens, audit."""

from __future__ import annotations

import json

from django.contrib import messages
from django.db.models import F
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from portal import members, tokens
from portal.audit import actor_of
from portal.csv import csv_response
from portal.errors import PortalError
from portal.models import ApiToken, AuditEvent, Membership, Role, Team
from portal.paging import chunks, page
from portal.permissions import Action, guarded
from portal.team_forms import AuditFilter, MemberForm, RoleForm, TokenForm

REFUSED = 422
COLUMNS = ("at", "who", "from", "action", "object_type", "object_id", "object", "facts")


@guarded(Action.SEE)
def team(request: HttpRequest, team: Team) -> HttpResponse:
    """Who is in the team; owners change it here."""
    return _show_members(request, team, MemberForm())


def _show_members(
    request: HttpRequest, team: Team, form: MemberForm, invitation: members.Invitation | None = None
) -> HttpResponse:
    rows = list(Membership.objects.filter(team=team).select_related("user").order_by("user__email"))
    context = {
        "rows": [(row, RoleForm(initial={"role": row.role}, auto_id=f"role-{row.pk}-%s")) for row in rows],
        "form": form,
        "invitation": invitation,
    }
    return render(request, "portal/team.html", context, status=REFUSED if form.errors else 200)


@guarded(Action.MANAGE_TEAM)
@require_POST
@never_cache
def add_member(request: HttpRequest, team: Team) -> HttpResponse:
    """Adds a person; the answer shows the link that signs them in, once."""
    form = MemberForm(request.POST)
    if form.is_valid():
        wanted = form.cleaned_data
        try:
            invitation = members.add(
                team=team,
                email=wanted["email"],
                role=Role(wanted["role"]),
                actor=actor_of(request),
                now=timezone.now(),
            )
        except PortalError as error:
            form.add_error(error.field, error.sentence)
        else:
            return _show_members(request, team, MemberForm(), invitation)
    return _show_members(request, team, form)


@guarded(Action.MANAGE_TEAM, Membership)
@require_POST
@never_cache
def invite_again(request: HttpRequest, membership: Membership) -> HttpResponse:
    """A fresh link for somebody who has never signed in."""
    invitation = members.invite_again(membership=membership, actor=actor_of(request), now=timezone.now())
    return _show_members(request, membership.team, MemberForm(), invitation)


@guarded(Action.MANAGE_TEAM, Membership)
@require_POST
def change_role(request: HttpRequest, membership: Membership) -> HttpResponse:
    """Gives a member another role."""
    form = RoleForm(request.POST)
    if form.is_valid():
        role = Role(form.cleaned_data["role"])
        members.change_role(membership=membership, role=role, actor=actor_of(request))
        messages.success(request, f"{membership.user} is now {role.label.lower()}.")
    return redirect("portal:team")


@guarded(Action.MANAGE_TEAM, Membership)
def remove_member(request: HttpRequest, membership: Membership) -> HttpResponse:
    """Asks once, then takes a person out of the team."""
    if request.method != "POST":
        return render(request, "portal/member_remove.html", {"membership": membership})
    members.remove(membership=membership, actor=actor_of(request))
    messages.success(request, f"{membership.user} is no longer in the team.")
    return redirect("portal:team")


@guarded(Action.MANAGE_TEAM)
@never_cache
def api_tokens(request: HttpRequest, team: Team) -> HttpResponse:
    """The tokens of the team; the answer to making one shows it, once."""
    form, made = TokenForm(request.POST or None), None
    if form.is_valid():
        wanted = form.cleaned_data
        try:
            made = tokens.make(
                team=team, name=wanted["name"], role=Role(wanted["role"]), actor=actor_of(request)
            )
        except PortalError as error:
            form.add_error(error.field, error.sentence)
        else:
            form = TokenForm()
    rows = (
        ApiToken.objects.filter(team=team)
        .select_related("created_by")
        .order_by(F("revoked_at").desc(nulls_first=True), "folded_name")
    )
    context = {"form": form, "made": made, "rows": [(row, tokens.effective_role(row)) for row in rows]}
    return render(request, "portal/tokens.html", context, status=REFUSED if form.errors else 200)


@guarded(Action.MANAGE_TEAM, ApiToken)
@require_POST
def revoke_token(request: HttpRequest, token: ApiToken) -> HttpResponse:
    """The token stops working at once."""
    tokens.revoke(token=token, actor=actor_of(request), now=timezone.now())
    messages.success(request, f"The token {token.name} works no longer.")
    return redirect("portal:tokens")


@guarded(Action.MANAGE_TEAM)
def audit(request: HttpRequest, team: Team) -> HttpResponse:
    """Who did what, the latest first."""
    form = AuditFilter(request.GET)
    shown = page(form.rows(team), F("at"), descending=True, cursor=request.GET.get("cursor", ""))
    return render(
        request, "portal/audit.html", {"form": form, "page": shown}, status=REFUSED if form.errors else 200
    )


@guarded(Action.MANAGE_TEAM)
def audit_csv(request: HttpRequest, team: Team) -> HttpResponseBase:
    """Every event of the filter, streamed."""
    pages = chunks(AuditFilter(request.GET).rows(team), F("at"), descending=True)
    name = f"audit-{team.name}-{timezone.now():%Y-%m-%d}.csv"
    return csv_response(name, COLUMNS, (_line(event) for events in pages for event in events))


def _line(event: AuditEvent) -> tuple[object, ...]:
    facts = json.dumps(event.facts, ensure_ascii=False) if event.facts else ""
    about = (event.object_type, event.object_id, event.object_name)
    return (event.at, event.actor_name, event.address, event.action, *about, facts)
