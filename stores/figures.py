"""Counts that stay cheap however much is kept: each stops at a limit, and all are read in one query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import IntegerField, QuerySet, Subquery

from portal.models import Team


@dataclass(frozen=True)
class Figure:
    """A count, exact up to `most`; shown as "12" or "99+"."""

    count: int
    most: int

    def __str__(self) -> str:
        return f"{self.count:,}" if self.count <= self.most else f"{self.most:,}+"

    def __bool__(self) -> bool:
        return self.count > 0


class _Count(Subquery):
    """How many rows the subquery gives."""

    template = "(SELECT COUNT(*) FROM (%(subquery)s) counted)"
    output_field = IntegerField()


def counted(rows: QuerySet[Any], most: int) -> Subquery:
    """How many rows there are, `most` + 1 when there are more; `rows` may refer to the query around by OuterRef."""
    return _Count(rows.order_by().values("pk")[: most + 1])


def figures(team: Team, rows: dict[str, tuple[QuerySet[Any], int]]) -> dict[str, Figure]:
    """Name to (rows, limit) becomes name to figure; one query, which reads at most limit + 1 rows of each."""
    counts = {name: counted(found, most) for name, (found, most) in rows.items()}
    values = Team.objects.filter(pk=team.pk).values_list(*counts.values()).get()
    return {name: Figure(count, rows[name][1]) for name, count in zip(rows, values, strict=True)}
