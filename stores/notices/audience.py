"""Deciding whom to tell of certificates: the team's policy, who owns what, and who wants no mail (DESIGN section 10)."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from django.db.models import Q

from portal.models import Membership, Role, Team, User
from stores import policy
from stores.expiry import Stage
from stores.models import Case, Certificate, Notice, Preferences, Watcher, Webhook
from stores.policy import Audience, TeamPolicy
from stores.usage import uses_of

log = logging.getLogger("storekeeper")
Channel = Notice.Channel


@dataclass(frozen=True)
class Recipient:
    """Where one message goes: a person's inbox, an address, or a webhook."""

    channel: Channel
    address: str
    user: User | None = None
    webhook_id: str | None = None


class Directory:
    """Who can be told of some certificates, read with a constant number of queries for all of them.

    ValueError of a policy that cannot be read comes when that team is asked for, so that it harms no other.
    """

    def __init__(
        self, certificates: Collection[Certificate], policies: Mapping[str, TeamPolicy] | None = None
    ) -> None:
        """`policies` by id of the team stand in for what those teams have said."""
        self._certificates = certificates
        teams = {certificate.team_id for certificate in certificates}
        self._kept = dict(Team.objects.filter(pk__in=teams).values_list("pk", "policy"))
        self._policies: dict[str, TeamPolicy] = dict(policies or {})
        ids = [certificate.pk for certificate in certificates]
        self._cases: dict[str, tuple[int | None, int]] = {
            certificate: (owner, level)
            for certificate, owner, level in Case.objects.open()
            .filter(certificate__in=ids)
            .values_list("certificate", "owner", "level")
        }
        self._read_people(certificates, teams)
        self._watchers: defaultdict[str, list[str]] = defaultdict(list)
        for certificate, email in Watcher.objects.filter(certificate__in=ids).values_list(
            "certificate", "email"
        ):
            self._watchers[certificate].append(email)
        self._webhooks: defaultdict[str, list[str]] = defaultdict(list)
        for pk, team in Webhook.objects.filter(team__in=teams, is_enabled=True).values_list("pk", "team"):
            self._webhooks[team].append(pk)

    def _read_people(self, certificates: Collection[Certificate], teams: Collection[str]) -> None:
        wanted = {certificate.owner_id for certificate in certificates}
        wanted |= {owner for owner, _ in self._cases.values()}
        rows = Membership.objects.filter(
            Q(role=Role.OWNER) | Q(user__in=wanted - {None}), team__in=teams, user__is_active=True
        )
        self._members: defaultdict[str, dict[int, Membership]] = defaultdict(dict)
        for membership in rows.select_related("user").order_by("user"):
            self._members[membership.team_id][membership.user_id] = membership
        self._silent: dict[int, list[str]] = {}
        self._read_silent({user for members in self._members.values() for user in members})

    def _read_silent(self, people: Collection[int]) -> None:
        rows = Preferences.objects.filter(user__in=people).exclude(silent=[])
        self._silent |= dict(rows.values_list("user", "silent"))

    @cached_property
    def _providers(self) -> dict[str, list[User]]:
        """Certificate to the owners of providers that use it, while they are members of its team; read when a route first asks."""
        uses = [use for some in uses_of(self._certificates).values() for use in some if use.owner_id]
        rows = Membership.objects.filter(
            user__in={use.owner_id for use in uses}, team__in=self._kept, user__is_active=True
        )
        known = {(row.team_id, row.user_id): row.user for row in rows.select_related("user")}
        self._read_silent({user for _, user in known})
        teams = {certificate.pk: certificate.team_id for certificate in self._certificates}
        found: defaultdict[str, list[User]] = defaultdict(list)
        for use in uses:
            if person := known.get((teams[use.certificate_id], use.owner_id or 0)):
                found[use.certificate_id].append(person)
        return found

    def policy(self, team_id: str) -> TeamPolicy:
        """What the team has said; ValueError when it cannot be read."""
        if team_id not in self._policies:
            self._policies[team_id] = policy.read(self._kept[team_id])
        return self._policies[team_id]

    def can_read(self, team_id: str) -> bool:
        """Whether what the team has said makes sense; the log says where it does not."""
        try:
            self.policy(team_id)
        except ValueError:
            log.exception("the policy of team %s cannot be read", team_id)
            return False
        return True

    def go_up(self, levels: Mapping[str, int]) -> None:
        """The cases of these certificates, by id, have been woken: from this level on more people are told."""
        for certificate, level in levels.items():
            owner, _ = self._cases.get(certificate, (None, 0))
            self._cases[certificate] = owner, level

    def owner(self, certificate: Certificate) -> User | None:
        """The certificate's owner while a member of the team."""
        return self._person(certificate.team_id, certificate.owner_id)

    def told(self, certificate: Certificate, stage: Stage) -> list[Recipient]:
        """Everybody who is told that the certificate comes into a stage, each once per channel. No person among them: nobody is told."""
        route = self.policy(certificate.team_id).routes[stage]
        people = self._people(certificate, route.who)
        found = [Recipient(Channel.PORTAL, person.email, person) for person in people]
        if route.email:
            found += self._mails(certificate, stage, people, route.who)
        if route.webhook:
            hooks = self._webhooks[certificate.team_id]
            found += [Recipient(Channel.WEBHOOK, pk, webhook_id=pk) for pk in hooks]
        return found

    def _people(self, certificate: Certificate, who: Collection[Audience]) -> list[User]:
        """Each once."""
        owner, level = self._cases.get(certificate.pk, (None, 0))
        team = certificate.team_id
        found: list[User] = []
        if Audience.CERTIFICATE in who:
            responsible = self._person(team, owner) or self.owner(certificate)
            found += [responsible] if responsible else self._owners(team)
        if Audience.PROVIDERS in who:
            found += self._providers.get(certificate.pk, ())
        if Audience.TEAM in who or level or not found:
            found += self._owners(team)
        return list({person.pk: person for person in found}.values())

    def _mails(
        self, certificate: Certificate, stage: Stage, people: Collection[User], who: Collection[Audience]
    ) -> Iterator[Recipient]:
        known = {person.email.lower() for person in people}
        for person in people:
            if stage == Stage.EXPIRED or stage.value not in self._silent.get(person.pk, ()):
                yield Recipient(Channel.EMAIL, person.email, person)
        plain = [*self._watchers[certificate.pk]]
        if Audience.ADDRESSES in who:
            plain += self.policy(certificate.team_id).addresses
        for folded, address in {one.lower(): one for one in reversed(plain)}.items():
            if folded not in known:
                yield Recipient(Channel.EMAIL, address)

    def _person(self, team_id: str, user_id: int | None) -> User | None:
        member = self._members[team_id].get(user_id) if user_id else None
        return member.user if member else None

    def _owners(self, team_id: str) -> list[User]:
        return [one.user for one in self._members[team_id].values() if one.role == Role.OWNER]
