"""Who belongs to a team. Each function is one transaction with its audit; a team never loses its last owner."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.conf import settings
from django.db import IntegrityError, transaction

from portal import audit, one_time
from portal.accounts import vouch
from portal.audit import Actor
from portal.errors import Conflict, PortalError
from portal.letters import send_on_commit
from portal.models import Membership, Role, Team, User


@dataclass(frozen=True)
class Invitation:
    """A member and how they get in: `link` signs them in once and may be shown, None when it may not or need not be."""

    membership: Membership
    link: str | None = None


@transaction.atomic
def add(*, team: Team, email: str, role: Role, actor: Actor, now: dt.datetime) -> Invitation:
    """Adds the person of this address, who gets an account if they have none; a mail tells them. Conflict when they are in already."""
    address = User.objects.normalize_email(email)
    user = User.objects.filter(email__iexact=address).first() or _make_account(address)
    try:
        with transaction.atomic():
            membership = Membership.objects.create(team=team, user=user, role=role)
    except IntegrityError:
        raise Conflict(
            "already_member",
            f"{address} is in the team already. Change their role in the list.",
            field="email",
        ) from None
    audit.record(actor, "member.added", user, team=team, member=user.email, role=role.value)
    return _invite(membership, actor, now)


@transaction.atomic
def invite_again(*, membership: Membership, actor: Actor, now: dt.datetime) -> Invitation:
    """A fresh link for a member who has never signed in; the one before stops working."""
    if membership.user.last_login:
        raise PortalError(
            "signed_in_already",
            f"{membership.user} signs in with a password. Who has forgotten it asks for a new one on the sign-in page.",
        )
    audit.record(
        actor, "member.invited_again", membership.user, team=membership.team, member=membership.user.email
    )
    return _invite(membership, actor, now)


@transaction.atomic
def change_role(*, membership: Membership, role: Role, actor: Actor) -> None:
    """Conflict when the team would be left without an owner."""
    _lock(membership.team)
    if role != Role.OWNER:
        _require_other_owner(membership)
    if not Membership.objects.filter(pk=membership.pk).exclude(role=role).update(role=role):
        return
    membership.role = role
    audit.record(
        actor,
        "member.role_changed",
        membership.user,
        team=membership.team,
        member=membership.user.email,
        role=role.value,
    )


@transaction.atomic
def remove(*, membership: Membership, actor: Actor) -> None:
    """Takes a person out of the team; the account stays. Conflict when the team would be left without an owner."""
    _lock(membership.team)
    _require_other_owner(membership)
    audit.record(actor, "member.removed", membership.user, team=membership.team, member=membership.user.email)
    membership.delete()


def _make_account(email: str) -> User:
    user = User.objects.create_user(email=email)
    vouch(user)
    return user


def _invite(membership: Membership, actor: Actor, now: dt.datetime) -> Invitation:
    user, team = membership.user, membership.team
    by = actor.label
    if user.last_login or not user.is_active:
        text = f"{by} has added you to the team {team.name}.\n\n{settings.STOREKEEPER_URL}/"
        send_on_commit(f"You are in the team {team.name}", text, user.email)
        return Invitation(membership)
    link = one_time.link(user, now)
    hours = one_time.LIFETIME // dt.timedelta(hours=1)
    text = (
        f"{by} has added you to the team {team.name} in Storekeeper, which keeps the certificates behind your APIs. "
        f"Choose a password here; the link works once and for {hours} hours:\n\n{link}"
    )
    send_on_commit(f"Come into the team {team.name}", text, user.email)
    # Who has the link can sign in as that person: it is shown only where no mail leaves the portal, and never for
    # somebody on whom another team counts.
    elsewhere = user.memberships.exclude(team=team).exists() or user.is_staff
    return Invitation(membership, None if elsewhere or settings.EMAIL_HOST else link)


def _lock(team: Team) -> None:
    """One change at a time: two owners who remove each other at once must not both succeed."""
    Team.objects.select_for_update().get(pk=team.pk)


def _require_other_owner(membership: Membership) -> None:
    owners = Membership.objects.filter(team=membership.team, role=Role.OWNER, user__is_active=True)
    if owners.filter(pk=membership.pk).exists() and not owners.exclude(pk=membership.pk).exists():
        raise Conflict(
            "last_owner",
            f"{membership.user} is the only owner of {membership.team}. Make somebody else an owner first.",
        )
