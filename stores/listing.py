"""Which certificates a list shows, in which order, and what it says of each."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from django import forms
from django.db.models import CharField, Exists, F, OuterRef, Q, QuerySet, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast
from django.http import QueryDict

from portal.forms import StyledForm
from portal.models import Team, User
from portal.names import fold
from portal.paging import Page, chunks, page
from stores.models import Certificate, Store, Version
from stores.prompts import Prompt, explained_certificates, prompts_of
from stores.usage import Use, is_used, uses_of

ANY = ""
MOST_CHOICES = 400
"""More members and stores than this are not offered in the filters; a store's own page lists what it holds."""
ME, NOBODY = "me", "nobody"
STATES = {
    "flagged": ("To be replaced", ~Q(stage="")),
    "expired": ("Expired", Q(stage="expired")),
    "urgent": ("Urgent", Q(stage="urgent")),
    "warning": ("Warning", Q(stage="warning")),
    "notice": ("Expires soon", Q(stage="notice")),
    "valid": ("Valid", Q(stage="", fails_at__isnull=False)),
    "staged": (
        "A version is staged",
        Q(pk__in=Version.objects.filter(state=Version.State.STAGED).values("certificate")),
    ),
    "inactive": ("Nothing active", Q(fails_at__isnull=True)),
}


@dataclass(frozen=True)
class Order:
    """One way to sort the list; an index serves it."""

    label: str
    by: Combinable
    descending: bool = False
    nullable: bool = False

    def page(self, rows: QuerySet[Certificate], cursor: str) -> Page[Certificate]:
        return page(rows, self.by, descending=self.descending, nullable=self.nullable, cursor=cursor)

    def chunks(self, rows: QuerySet[Certificate]) -> Iterator[list[Certificate]]:
        return chunks(rows, self.by, descending=self.descending, nullable=self.nullable)


ORDERS = {
    "fails": Order("Fails first", F("fails_at"), nullable=True),
    "name": Order("Name", F("folded_name")),
    "newest": Order("Newest", F("created_at"), descending=True),
}


class _Span(forms.Form):
    """Days of UTC, the last one included; a word of Python's own is the name of the first."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, label in (("from", "Fails from"), ("until", "Fails until")):
            widget = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
            self.fields[name] = forms.DateField(label=label, required=False, widget=widget)


class CertificateFilter(StyledForm, _Span):
    """The filters of the list; they stand in the address, so that a list can be kept and passed on."""

    q = forms.CharField(label="Search", required=False, max_length=500, strip=True)
    state = forms.ChoiceField(label="State", required=False)
    kind = forms.ChoiceField(label="Kind", required=False, choices=((ANY, "Any"), *Store.Kind.choices))
    store = forms.ChoiceField(label="Store", required=False)
    owner = forms.ChoiceField(label="Owner", required=False)
    used = forms.ChoiceField(
        label="Used", required=False, choices=((ANY, "Any"), ("yes", "Used"), ("no", "Used by nothing"))
    )
    sort = forms.ChoiceField(
        label="Sort by", required=False, choices=[(name, order.label) for name, order in ORDERS.items()]
    )

    def __init__(self, data: QueryDict, *, team: Team, user: User) -> None:
        super().__init__(data, auto_id="filter_%s")
        self.team, self.user = team, user
        owners, self.stores = _choices(team)
        self.has_all_stores = len(owners) + len(self.stores) < MOST_CHOICES
        self.order_fields([name for name in self.fields if name != "sort"])
        self._offer("state", [(name, label) for name, (label, _) in STATES.items()])
        self._offer("store", self.stores)
        self._offer("owner", [(ME, "Me"), (NOBODY, "Nobody"), *owners])
        self.full_clean()

    def _offer(self, name: str, choices: Sequence[tuple[str, str]]) -> None:
        cast(forms.ChoiceField, self.fields[name]).choices = [(ANY, "Any"), *choices]

    @property
    def order(self) -> Order:
        return ORDERS[self.cleaned_data.get("sort") or "fails"]

    @property
    def is_set(self) -> bool:
        """Whether anything is filtered at all."""
        return any(value for name, value in self.cleaned_data.items() if name != "sort")

    def rows(self) -> QuerySet[Certificate]:
        """The certificates of the team that the address asks for; none while it asks for something that is not there."""
        if not self.is_valid():
            return Certificate.objects.none()
        rows = Certificate.objects.filter(team=self.team).search(self.cleaned_data["q"])
        return with_what_is_shown(rows.filter(*self._conditions(self.cleaned_data)))

    def _conditions(self, wanted: dict[str, Any]) -> list[Q]:
        conditions = []
        if wanted["state"]:
            conditions.append(STATES[wanted["state"]][1])
        if wanted["kind"]:
            conditions.append(Q(store__kind=wanted["kind"]))
        if wanted["store"]:
            conditions.append(Q(store=wanted["store"]))
        if wanted["owner"]:
            conditions.append(self._owned(wanted["owner"]))
        if wanted["used"]:
            conditions.append(is_used() if wanted["used"] == "yes" else ~is_used())
        if wanted["from"]:
            conditions.append(Q(fails_at__gte=dt.datetime.combine(wanted["from"], dt.time(), dt.UTC)))
        if wanted["until"]:
            conditions.append(Q(fails_at__lte=dt.datetime.combine(wanted["until"], dt.time.max, dt.UTC)))
        return conditions

    def _owned(self, owner: str) -> Q:
        if owner == NOBODY:
            return Q(owner__isnull=True)
        return Q(owner=self.user.pk if owner == ME else owner)


def with_what_is_shown(rows: QuerySet[Certificate]) -> QuerySet[Certificate]:
    """Certificates with all that a list says of them, still one query."""
    staged = Version.objects.filter(certificate=OuterRef("pk"), state=Version.State.STAGED)
    return explained_certificates(rows).annotate(has_staged=Exists(staged))


Choices = list[tuple[str, str]]


def _choices(team: Team) -> tuple[Choices, Choices]:
    """Members and stores of the team, by name, in one query; of very many the first ones."""
    members = User.objects.filter(memberships__team=team).annotate(
        of=Value("member"), choice=Cast("pk", CharField()), label=F("email")
    )
    stores = Store.objects.filter(team=team).annotate(of=Value("store"), choice=F("pk"), label=F("name"))
    columns = ("of", "choice", "label")
    both = members.order_by().values_list(*columns).union(stores.order_by().values_list(*columns), all=True)
    rows = sorted(both.order_by("of", "label")[:MOST_CHOICES], key=lambda row: fold(row[2]))
    owners = [(choice, label) for of, choice, label in rows if of == "member"]
    return owners, [(choice, label) for of, choice, label in rows if of == "store"]


@dataclass(frozen=True)
class Listed:
    """One row of a list: the certificate, its active version in words (None while there is none), and who uses it."""

    certificate: Certificate
    prompt: Prompt | None
    uses: Sequence[Use]

    @property
    def state(self) -> str:
        """The stage it is in, `valid`, `staged`, or `inactive` where there is nothing to use."""
        if self.prompt:
            return self.prompt.stage or "valid"
        return "staged" if getattr(self.certificate, "has_staged", False) else "inactive"


def listed(certificates: Sequence[Certificate], now: dt.datetime) -> list[Listed]:
    """What a list says of these certificates, which were read `with_what_is_shown`."""
    uses = uses_of(certificates)
    active = [one for one in certificates if one.fails_at]
    prompts = {prompt.certificate.pk: prompt for prompt in prompts_of(active, now, with_uses=False)}
    return [Listed(one, prompts.get(one.pk), uses.get(one.pk, ())) for one in certificates]
