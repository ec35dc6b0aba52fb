"""What a person is asked to do about one certificate, in words: shared by the dashboard, the cases, the inbox and the mails."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from django.db.models import Case as Choice
from django.db.models import (
    Count,
    F,
    FilteredRelation,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    TextField,
    Value,
    When,
)
from django.db.models.functions import Coalesce
from django.urls import reverse

from portal.templatetags.portal_tags import STATES, in_words, visible
from stores import issuers
from stores.expiry import Stage
from stores.models import Case, Certificate, ChainCertificate, Flag, Notice, Version
from stores.querysets import CaseQuerySet
from stores.usage import Use, uses_of

Part = Literal["itself", "link", "bundle", "anchor"]
HEAVY = ("sealed_key", "findings")


@dataclass(frozen=True)
class Prompt:
    """One certificate and the end that is spoken of, as seen at `now`."""

    certificate: Certificate
    stage: str
    ends_at: dt.datetime
    ends_name: str
    part: Part
    """What ends: the certificate itself, a link above it in its chain, one of a bundle, or the one entry in which a server's chain ends."""
    links: int
    own_end: dt.datetime | None
    uses: Sequence[Use]
    now: dt.datetime
    case: Case | None = None
    also: Sequence[Prompt] = ()
    """Later ends of the same certificate, where they are told together."""
    issuer: str = ""
    """Who issued the leaf of a key store; empty for a trust store."""
    renewal: str = ""
    """The team's own words on how to renew certificates of that issuer, where they were asked for."""

    @property
    def ended(self) -> bool:
        return self.ends_at <= self.now

    @property
    def stage_words(self) -> str:
        """The stage as the portal's pages call it."""
        return STATES[self.stage][1]

    @property
    def headline(self) -> str:
        """As "orders-client fails in 6 days"."""
        name, words = visible(self.certificate.name), in_words(self.ends_at, self.now)
        if words == "never":
            return f"{name} does not end"
        if self.part == "anchor":
            return f"{visible(self.ends_name)} {'ended' if self.ended else 'ends'} {words}"
        if self.part == "bundle":
            return f"{name}: 1 of {self.links:,} {'ended' if self.ended else 'ends'} {words}"
        return f"{name} {'failed' if self.ended else 'fails'} {words}"

    @property
    def reason(self) -> str:
        """Goes on after the instant: "because Example Issuing CA 2, a link of its chain, ends"."""
        name, ends = visible(self.ends_name), "ended" if self.ended else "ends"
        if self.part == "itself":
            return f"when the certificate itself {ends}"
        if self.part == "anchor":
            return f"because {name}, in which the server's chain ends, {ends}"
        what = "a link of its chain" if self.part == "link" else f"1 of {self.links:,} certificates in it"
        return f"because {name}, {what}, {ends}"

    @property
    def aside(self) -> str:
        """Told beside an earlier end: "Root B ends in 25 days"."""
        verb = "ended" if self.ended else "ends"
        return f"{visible(self.ends_name)} {verb} {in_words(self.ends_at, self.now)}"

    @property
    def because(self) -> str:
        """The same in a table's cell."""
        if self.part == "itself":
            return "itself"
        name = visible(self.ends_name)
        return name if self.part in ("link", "anchor") else f"1 of {self.links:,}: {name}"

    @property
    def url(self) -> str:
        return self.certificate.get_absolute_url()

    @property
    def label(self) -> str:
        """Store and name of the certificate."""
        return f"{self.certificate.store.name} / {self.certificate.name}"

    @property
    def replace_url(self) -> str:
        return reverse("stores:replace", args=[self.certificate.pk])


Row = Case | Version | Notice | Certificate
"""What a prompt can be made of, once it is explained."""


def explained_cases(cases: CaseQuerySet) -> QuerySet[Case]:
    """Cases with all that `prompts_of` says of them, and who has them, still one query."""
    flag = Flag.objects.filter(version=OuterRef("version"), ends_at=OuterRef("fails_at")).order_by("pk")
    # What ends no later than the version before it is not flagged yet, but named already.
    same_end = {"version__fails_at": F("fails_at")}
    named = {
        f"ends_{name}": Coalesce(
            Subquery(flag.values(f"ends_{name}")[:1]),
            Choice(When(**same_end, then=F(f"version__fails_{name}"))),
            Value(""),
            output_field=TextField(),
        )
        for name in ("name", "sha256")
    }
    numbers = {"successor_number": F("successor__number"), "successor_since": F("successor__activated_at")}
    related = cases.with_holders().select_related("certificate__store").defer("certificate__search_text")
    return _explained(related.annotate(**named, **numbers), "version")


def explained_versions(versions: QuerySet[Version]) -> QuerySet[Version]:
    """Versions with all that `prompts_of` says of them, still one query."""
    related = versions.select_related("certificate__store").defer("certificate__search_text", *HEAVY)
    return _explained(related, "pk")


def explained_certificates(certificates: QuerySet[Certificate]) -> QuerySet[Certificate]:
    """Certificates with all that `prompts_of` says of their active versions, still one query; those without one have no `fails_name`."""
    active = FilteredRelation("versions", condition=Q(versions__state=Version.State.ACTIVE))
    related = certificates.select_related("store", "owner").defer("search_text").annotate(in_use=active)
    named = related.annotate(fails_name=F("in_use__fails_name"), fails_sha256=F("in_use__fails_sha256"))
    return _explained(named, "in_use__pk")


def explained_notices(notices: QuerySet[Notice]) -> QuerySet[Notice]:
    """Notices with all that `items_of` says of them, still one query."""
    certificate = "flag__version__certificate"
    heavy = [f"{certificate}__search_text", *(f"flag__version__{name}" for name in HEAVY)]
    related = notices.select_related(f"{certificate}__store", f"{certificate}__team", "team", "user").defer(
        *heavy
    )
    return _explained(related, "flag__version")


def _explained(rows: QuerySet[Any], version: str) -> QuerySet[Any]:
    """Adds what is said of the version's chain: its leaf, and how many certificates it has."""
    chain = ChainCertificate.objects.filter(version=OuterRef(version)).order_by()
    leaf = chain.filter(position=0)
    added = {
        "leaf_sha256": Subquery(leaf.values("sha256")),
        "leaf_ends": Subquery(leaf.values("not_after")),
        "leaf_issuer": Subquery(leaf.values("issuer")),
        "links": Subquery(chain.values("version").annotate(links=Count("pk")).values("links")),
    }
    explained: QuerySet[Any] = rows.annotate(**added)
    return explained


def prompts_of(
    rows: Sequence[Row], now: dt.datetime, *, with_uses: bool = True, with_notes: bool = False
) -> list[Prompt]:
    """Prompts of explained rows, in their order; users of all certificates, and notes on issuers, are asked for at once, or not at all."""
    uses = uses_of([_certificate(row) for row in rows]) if with_uses else {}
    prompts = [_prompt(row, uses.get(_certificate(row).pk, ()), now) for row in rows]
    return issuers.noted(prompts) if with_notes else prompts


def _certificate(row: Row) -> Certificate:
    if isinstance(row, Certificate):
        return row
    return cast(Flag, row.flag).version.certificate if isinstance(row, Notice) else row.certificate


def _prompt(row: Any, uses: Sequence[Use], now: dt.datetime) -> Prompt:
    certificate = _certificate(row)
    stage, ends_at, name, sha256 = _end_of(row)
    part: Part = "bundle" if certificate.store.kind == "trust" else "link"
    if row.links == 1 or (part == "link" and sha256 == row.leaf_sha256):
        part = "itself"
    return Prompt(
        certificate=certificate, stage=stage, ends_at=ends_at, ends_name=name, part=part, links=row.links or 0,
        own_end=row.leaf_ends if part == "link" else None, uses=uses, now=now, case=row if isinstance(row, Case) else None,
        issuer=(row.leaf_issuer or "") if certificate.store.kind == "key" else "",
    )  # fmt: skip


def _end_of(row: Any) -> tuple[str, dt.datetime, str, str]:
    """Stage, instant, name and digest of the end that is spoken of."""
    if isinstance(row, Notice):
        flag = cast(Flag, row.flag)
        return flag.stage, flag.ends_at, flag.ends_name, flag.ends_sha256
    if isinstance(row, Case):
        return row.stage, row.fails_at, cast(Any, row).ends_name or "", cast(Any, row).ends_sha256 or ""
    return row.stage, row.fails_at, row.fails_name, row.fails_sha256


def first_to_end(prompts: Iterable[Prompt]) -> list[Prompt]:
    """Sorted by what ends first."""
    return sorted(prompts, key=lambda prompt: (prompt.ends_at, prompt.certificate.name))


def one_each(prompts: Iterable[Prompt]) -> list[Prompt]:
    """One prompt per certificate, about what ends first; what ends later stands in its `also`.

    Of several stages of one end only the farthest is said.
    """
    ends: dict[tuple[str, str, dt.datetime], Prompt] = {}
    for prompt in sorted(prompts, key=lambda prompt: Stage(prompt.stage).order):
        ends[prompt.certificate.pk, prompt.ends_name, prompt.ends_at] = prompt
    grouped: dict[str, list[Prompt]] = {}
    for prompt in first_to_end(ends.values()):
        grouped.setdefault(prompt.certificate.pk, []).append(prompt)
    return [replace(first, also=tuple(rest)) for first, *rest in grouped.values()]
