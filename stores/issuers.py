"""How a team renews the certificates of an issuer, in its own words: one note per issuer and team."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from stores.models import IssuerNote

if TYPE_CHECKING:
    from stores.prompts import Prompt


def digest(issuer: str) -> str:
    """What notes are found by; names have no bound that an index could hold."""
    return hashlib.sha256(issuer.encode("utf-8", "surrogatepass")).hexdigest()


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
