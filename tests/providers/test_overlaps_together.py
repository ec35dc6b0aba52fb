"""What happens at the same instant to old trust and to the prompts of servers: once, and never halfway."""

from __future__ import annotations

import pytest

from portal.models import AuditEvent
from providers import expiring, overlaps
from providers.models import Overlap, OverlapProof, Provider
from stores.models import Notice
from tests.cast import Cast, kept
from tests.material import NOW, mint
from tests.providers.seen import seen
from tests.together import together

OLD, NEW = (mint(name, ca=True, end=2000) for name in ("Old CA", "New CA"))
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("now")]


def replaced(cast: Cast, *names: str) -> tuple[Overlap, list[Provider]]:
    """Providers of one trust store whose CA was replaced."""
    first = kept(cast, OLD, name="partner-ca", store="partners", kind="trust")
    store = first.certificate.store
    rows = [
        Provider.objects.create(team=cast.team, name=name, host=name, trust_store=store) for name in names
    ]
    kept(cast, NEW, name="partner-ca", store="partners", kind="trust")
    return Overlap.objects.get(), rows


@pytest.mark.parametrize("_", range(3))
def test_the_last_two_proofs_at_once_remove_the_old_one_once(cast: Cast, _: int) -> None:
    overlap, rows = replaced(cast, "one", "two")
    overlaps.let_remove_itself(overlap=overlap, wanted=True, actor=cast.actor, now=NOW)
    together(*(lambda row=row: seen(row, mint(row.name, NEW), anchor=NEW) for row in rows))
    overlap.refresh_from_db()
    assert overlap.closed_at == NOW
    assert OverlapProof.objects.count() == 2
    assert AuditEvent.objects.filter(action="overlap.closed").count() == 1


def test_several_people_who_remove_it_at_once_remove_it_once(cast: Cast) -> None:
    overlap, _ = replaced(cast, "one")
    together(
        *[lambda: overlaps.close(overlap=overlap, actor=cast.actor, now=NOW, despite=True) for _ in range(4)]
    )
    assert AuditEvent.objects.filter(action="overlap.closed").count() == 1


def test_several_runs_at_once_tell_each_stage_once(cast: Cast) -> None:
    for number in range(5):
        row = Provider.objects.create(team=cast.team, name=f"p{number}", host="h")
        seen(row, mint(f"p{number}", begin=-200, end=5))
    found = together(*[lambda: expiring.find_due(NOW) for _ in range(4)])
    assert sum(one.providers for one in found) == 5
    assert Notice.objects.filter(key__startswith="server:", channel="portal").count() == 5
