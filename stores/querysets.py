"""Questions to the tables, in the words of the domain."""

from __future__ import annotations

import datetime as dt
import functools
import operator
import re
from typing import TYPE_CHECKING, Self

from django.db import models
from django.db.models import Exists, OuterRef, Q

from portal.models import Membership, Team, User
from portal.names import fold

if TYPE_CHECKING:
    from stores.models import Case, Certificate, Flag, Notice, Store, Version  # noqa: F401

HEX = re.compile(r"(?:0x)?([0-9a-f]{1,2}(?:[:\s-]?[0-9a-f]{2})+)")
MOST_WORDS = 10
LONG_SERIAL = 8


def normalise_search(text: str) -> str:
    """Folded; a serial number or fingerprint with colons, blanks or dashes becomes bare hex.

    Serials are kept without leading zeros, and other tools write them with some; so they go, but not from short digits that may be
    part of a name.
    """
    text = " ".join(fold(text).split())
    found = HEX.fullmatch(text)
    if not found:
        return text
    bare = re.sub(r"[:\s-]", "", found[1])
    short = bare.lstrip("0")
    return short if len(short) >= LONG_SERIAL or (short and bare != text) else bare


class StoreQuerySet(models.QuerySet["Store"]):
    def visible_to(self, user: User) -> Self:
        return self.filter(team__memberships__user=user)

    def named(self, team: Team, name: str) -> Self:
        """The store of this name, letter case ignored."""
        return self.filter(team=team, folded_name=fold(name.strip()))


class CertificateQuerySet(models.QuerySet["Certificate"]):
    def visible_to(self, user: User) -> Self:
        return self.filter(team__memberships__user=user)

    def named(self, store: Store, name: str) -> Self:
        """The certificate of this name, letter case ignored."""
        return self.filter(store=store, folded_name=fold(name.strip()))

    def search(self, text: str) -> Self:
        """Name, subject, alternative name, serial number or fingerprint contains the text, or all words of it."""
        words, whole = fold(text).split()[:MOST_WORDS], normalise_search(text)
        if not words:
            return self
        every_word = functools.reduce(operator.and_, (Q(search_text__contains=word) for word in words))
        return self.filter(
            every_word if whole == " ".join(words) else every_word | Q(search_text__contains=whole)
        )

    def failing_before(self, instant: dt.datetime) -> Self:
        return self.filter(fails_at__lt=instant)

    def holding(self, subject: str) -> Self:
        """Those whose active version holds a certificate of this subject."""
        return self.filter(versions__state="active", versions__chain__subject=subject)

    def flagged(self) -> Self:
        return self.exclude(stage="")


class VersionQuerySet(models.QuerySet["Version"]):
    def current(self) -> Self:
        return self.filter(state="active")

    def due(self, now: dt.datetime) -> Self:
        """Active versions whose next stage has come; read from a partial index."""
        return self.filter(state="active", next_stage_at__isnull=False, next_stage_at__lte=now).order_by(
            "next_stage_at", "id"
        )

    def to_activate(self, now: dt.datetime) -> Self:
        """Staged versions whose instant has come."""
        return self.filter(state="staged", activate_at__lte=now)


class FlagQuerySet(models.QuerySet["Flag"]):
    def open(self) -> Self:
        return self.filter(resolved_at__isnull=True)


class CaseQuerySet(models.QuerySet["Case"]):
    def open(self) -> Self:
        return self.filter(closed_at__isnull=True)

    def awake(self, now: dt.datetime) -> Self:
        """Open and not snoozed."""
        return self.open().filter(Q(snoozed_until__isnull=True) | Q(snoozed_until__lte=now))

    def asleep(self, now: dt.datetime) -> Self:
        """Open and snoozed."""
        return self.open().filter(snoozed_until__gt=now)

    def to_wake(self, now: dt.datetime) -> Self:
        """Those whose snooze is over, with those who have them; read from a partial index."""
        due = self.open().filter(snoozed_until__isnull=False, snoozed_until__lte=now)
        return due.with_holders().select_related("team").order_by("snoozed_until", "pk")

    def with_holders(self) -> Self:
        """With all that `Case.holder` reads."""
        return self.select_related("owner", "certificate__owner").annotate(
            owner_belongs=_belongs("owner"), certificate_owner_belongs=_belongs("certificate__owner")
        )

    def held_by(self, user: User) -> Self:
        """Those that the user has, a member of the team: as `Case.holder`."""
        return self.filter(Q(owner=user) | Q(certificate__owner=user) & ~_belongs("owner"))


def _belongs(who: str) -> Exists:
    """Whether this one is a member of the row's team, and active."""
    members = Membership.objects.filter(team=OuterRef("team"), user=OuterRef(who), user__is_active=True)
    return Exists(members)


class NoticeQuerySet(models.QuerySet["Notice"]):
    def inbox(self, user: User) -> Self:
        return self.filter(user=user, channel="portal")

    def unread(self) -> Self:
        return self.filter(read_at__isnull=True)

    def for_nobody(self) -> Self:
        """Rows that stand for what could be told to nobody; read from a partial index."""
        return self.filter(recipient="", state="failed")

    def unsent(self) -> Self:
        """Waiting, or on their way."""
        return self.filter(state__in=("waiting", "sending"))

    def due(self, now: dt.datetime) -> Self:
        """To be sent by now: waiting ones, and ones whose sender has died (their `due_at` was set ahead when they were claimed)."""
        return self.unsent().filter(due_at__lte=now).exclude(channel="portal")
