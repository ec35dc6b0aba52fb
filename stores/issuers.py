"""How a team renews the certificates of an issuer, in its own words: one note per issuer and team."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction
from django.db.models import Count, Min

from portal import audit
from portal.audit import Actor
from portal.errors import Conflict, PortalError
from portal.ids import digest
from portal.models import Team
from stores.models import Certificate, ChainCertificate, IssuerNote, Version

if TYPE_CHECKING:
    from stores.prompts import Prompt

LONGEST = 4000
MOST_LISTED = 200


@dataclass(frozen=True)
class Issuer:
    """One that has issued certificates of a team which are in use, without a note so far."""

    name: str
    certificates: int
    example: str
    """Id of one of these certificates: through it the note is written."""


def noted(prompts: Sequence[Prompt]) -> list[Prompt]:
    """The prompts with what their teams have noted on their issuers; one query."""
    wanted = {(prompt.certificate.team_id, digest(prompt.issuer)) for prompt in prompts if prompt.issuer}
    rows = IssuerNote.objects.filter(
        team__in={team for team, _ in wanted}, issuer_sha256__in={sha256 for _, sha256 in wanted}
    )
    known = {(row.team_id, row.issuer_sha256): row.text for row in rows} if wanted else {}
    return [
        replace(prompt, renewal=known.get((prompt.certificate.team_id, digest(prompt.issuer)), ""))
        for prompt in prompts
    ]


def issuer_of(certificate: Certificate) -> str:
    """Who issued the leaf that is in use, or else the one that was uploaded last; empty for a trust store."""
    if certificate.store.kind != "key":
        return ""
    leaves = ChainCertificate.objects.filter(version__certificate=certificate, position=0)
    rows = leaves.order_by("version__state", "-version__number")  # "active" comes first
    return rows.values_list("issuer", flat=True).first() or ""


def note_of(team: Team, issuer: str) -> IssuerNote | None:
    """What the team has noted on the issuer."""
    rows = IssuerNote.objects.filter(team=team, issuer_sha256=digest(issuer)).select_related("updated_by")
    return rows.first() if issuer else None


def without_note(team: Team) -> list[Issuer]:
    """Issuers of the key stores' certificates in use on which the team has noted nothing, those with the most certificates first."""
    leaves = ChainCertificate.objects.filter(
        version__state=Version.State.ACTIVE, version__certificate__team=team, version__certificate__store__kind="key",
        position=0, is_self_signed=False,
    ).exclude(issuer="").order_by()  # fmt: skip
    noted = IssuerNote.objects.filter(team=team).values("issuer")
    rows = leaves.exclude(issuer__in=noted).values("issuer")
    counted = rows.annotate(count=Count("pk"), example=Min("version__certificate")).order_by(
        "-count", "issuer"
    )
    return [Issuer(row["issuer"], row["count"], row["example"]) for row in counted[:MOST_LISTED]]


def stamp(note: IssuerNote | None) -> str:
    """What tells that a note is still as it was when a form was shown."""
    return note.updated_at.isoformat() if note else ""


@transaction.atomic
def write_note(
    *, team: Team, issuer: str, text: str, seen: str, actor: Actor, now: dt.datetime
) -> IssuerNote | None:
    """Keeps what the team says of the issuer; an empty text removes it.

    `seen` is the `stamp` when the form was shown; Conflict when somebody else has written meanwhile.
    """
    if not issuer:
        raise PortalError(
            "no_issuer", "Only certificates of key stores are renewed by their issuer.", field="text"
        )
    text = text.strip()
    if len(text) > LONGEST:
        raise PortalError("too_long", f"At most {LONGEST:,} characters are kept; shorten it.", field="text")
    rows = IssuerNote.objects.select_for_update(of=("self",)).filter(team=team, issuer_sha256=digest(issuer))
    note = rows.first()
    if stamp(note) != seen:
        raise _written_meanwhile(note)
    if note and not text:
        audit.record(actor, "issuer_note.removed", note, team=team)
        note.delete()
        return None
    if not text or (note and note.text == text):
        return note
    note = note or IssuerNote(team=team, issuer=issuer, issuer_sha256=digest(issuer))
    note.text, note.updated_at, note.updated_by = text, now, actor.user
    try:
        with transaction.atomic():
            note.save()
    except IntegrityError:
        raise _written_meanwhile(rows.first()) from None
    audit.record(actor, "issuer_note.written", note, team=team)
    return note


def _written_meanwhile(note: IssuerNote | None) -> Conflict:
    who = (note.updated_by if note else None) or "Somebody"
    return Conflict(
        "written_meanwhile",
        f"{who} changed this note while you wrote. Yours is still in the form: look at theirs below, then save what should stand.",
        field="text",
    )
