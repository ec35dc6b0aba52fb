"""The way out that every mail offers: a signed address that stops such mails for its recipient, and does nothing else (RFC 8058)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core import signing
from django.urls import reverse

from portal.audit import Actor
from portal.models import Team, User
from stores.models import Certificate
from stores.notices import preferences, watchers
from stores.notices.digest import Digest
from stores.notices.items import Summary

SALT = "stores.notices.unsubscribe"
MOST_TEAMS = 20


@dataclass(frozen=True)
class Leaving:
    """What one token stops. For a person: the summaries, else all but what has expired. For a plain address: of a certificate or teams."""

    address: str
    user: User | None = None
    summaries: bool = False
    teams: tuple[Team, ...] = ()
    certificate_id: str = ""
    certificate: Certificate | None = None
    """None as well when it was deleted meanwhile: then nothing watches it."""

    @property
    def is_done(self) -> bool:
        """Whether a person has stopped these already."""
        if self.user is None:
            return False
        said = preferences.of(self.user)
        return not said.summary if self.summaries else set(preferences.SILENCEABLE) <= set(said.silent)


def address_of(digest: Digest) -> str:
    """The whole address that stops mails like this one."""
    token = signing.dumps(_facts(digest), salt=SALT, compress=True)
    return settings.STOREKEEPER_URL + reverse("stores:unsubscribe", args=[token])


def _facts(digest: Digest) -> dict[str, Any]:
    """What the token says; it holds for ever, since mails lie about for long."""
    if digest.user:
        only_summaries = all(isinstance(item, Summary) for item in digest.items)
        return {"summary" if only_summaries else "user": digest.user.pk}
    teams, certificates = {row.team_id for row in digest.rows}, {row.certificate for row in digest.rows}
    facts: dict[str, Any] = {"address": digest.recipient, "teams": sorted(teams)[:MOST_TEAMS]}
    if len(certificates) == 1 and None not in certificates:
        facts["certificate"] = certificates.pop()
    return facts


def read(token: str) -> Leaving | None:
    """What a token stops; None when it is not ours, or what it speaks of is gone."""
    try:
        facts = signing.loads(token, salt=SALT)
    except signing.BadSignature:
        return None
    if "address" in facts:
        return _of_address(facts)
    user = User.objects.filter(pk=facts.get("user") or facts["summary"]).first()
    return Leaving(user.email, user, "summary" in facts) if user else None


def _of_address(facts: dict[str, Any]) -> Leaving | None:
    teams = tuple(Team.objects.filter(pk__in=facts["teams"]).order_by("folded_name"))
    wanted = facts.get("certificate", "")
    certificate = Certificate.objects.filter(pk=wanted).defer("search_text").first() if wanted else None
    if not teams:
        return None
    return Leaving(facts["address"], teams=teams, certificate_id=wanted, certificate=certificate)


def act(leaving: Leaving, ip: str | None) -> None:
    """Stops them, for the one recipient alone. Safe to repeat."""
    if leaving.user is None:
        actor = Actor(address=ip, name=leaving.address)
        for team in leaving.teams:
            watchers.leave(
                team=team, certificate_id=leaving.certificate_id, email=leaving.address, actor=actor
            )
        return
    said, actor = preferences.of(leaving.user), Actor(leaving.user, ip)
    silent = said.silent if leaving.summaries else preferences.SILENCEABLE
    preferences.save(
        user=leaving.user, silent=silent, summary=said.summary and not leaving.summaries, actor=actor
    )
