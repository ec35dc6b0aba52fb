"""In more than a year with outages of all kinds, every stage of every certificate reaches those who are to know of it, once per channel."""

from __future__ import annotations

import datetime as dt
import os
from typing import Any

import pytest
from django.db import transaction
from pytest_django.fixtures import Settings

from portal.settings import SQLITE
from stores import proof
from stores.models import Case, Flag, Notice
from stores.notices import delivery
from tests.stores.simulation.checker import Checker, Row, Seen
from tests.stores.simulation.expected import Key, Told
from tests.stores.simulation.history import History
from tests.stores.simulation.weather import MailServer
from tests.stores.simulation.world import World, bare

HOUR = dt.timedelta(hours=1)
BIGGER = int(os.environ.get("STOREKEEPER_SIMULATION", "1"))
"""So many times more seeds of each kind."""
KINDS: dict[str, dict[str, Any]] = {
    "to the ten minutes": {
        "certificates": 100, "days": 120, "spacing": 12 * HOUR, "is_prompt": True, "is_bare": False,
    },
    "six runs a day": {
        "certificates": 150, "days": 400, "spacing": 4 * HOUR, "is_prompt": False, "is_bare": True,
    },
    "many certificates": {
        "certificates": 2000, "days": 400, "spacing": 24 * HOUR, "is_prompt": False, "is_bare": True,
    },
}  # fmt: skip
"""How many for how long, at which intervals; what is not bare puts each mail into words, and reads them."""
SEEDS = {"to the ten minutes": 2, "six runs a day": 2, "many certificates": 1}
if BIGGER == 1 and not SQLITE:
    # Each question takes longer there: what many seeds show of the rules need not be shown twice.
    SEEDS = {"to the ten minutes": 1, "six runs a day": 1, "many certificates": 0}


def simulate(settings: Settings, monkeypatch: pytest.MonkeyPatch, seed: int, kind: dict[str, Any]) -> History:
    """A whole life of a portal of this seed."""
    world = World(seed, **kind)
    monkeypatch.setattr(MailServer, "weather", world.weather, raising=False)
    settings.EMAIL_BACKEND = f"{MailServer.__module__}.{MailServer.__qualname__}"
    # Evidence from handshakes has tests of its own: here a replacement is proven at once.
    monkeypatch.setattr(proof, "_provers", [])
    channels = dict(delivery.CHANNELS)
    pauses = channels["email"].pauses
    channels["webhook"] = delivery.Channel(world.post, pauses)
    if world.is_bare:
        channels["email"] = delivery.Channel(world.mail, pauses)
        monkeypatch.setattr(delivery, "digest_of", bare)
    monkeypatch.setattr(delivery, "CHANNELS", channels)
    return world.run()


def look() -> Seen:
    """What the portal has written."""
    flags = Flag.objects.values_list("version", "ends_sha256", "stage", "flagged_at", "told")
    cases = Case.objects.open().values_list("certificate__name", "stage", "owner__email", "level")
    return Seen(
        {Key(*fact[:3]): (fact[3], fact[4]) for fact in flags},
        [
            _row(notice)
            for notice in Notice.objects.exclude(recipient="")
            .select_related("flag", "webhook__team")
            .order_by("pk")
        ],
        {name: (stage, owner, level) for name, stage, owner, level in cases},
    )


def _row(notice: Notice) -> Row:
    assert notice.flag
    key = Key(notice.flag.version_id, notice.flag.ends_sha256, notice.flag.stage)
    recipient = notice.webhook.team.name if notice.webhook else notice.recipient
    return Row(
        notice.pk, Told(key, notice.channel, recipient), notice.user_id is not None, notice.state, notice.created_at, notice.attempted_at,
        notice.sent_at,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("kind", "turn"), [(kind, turn) for kind in KINDS for turn in range(SEEDS[kind] * BIGGER)]
)
def test_everybody_is_told_once_and_nobody_else(
    db: None, settings: Settings, monkeypatch: pytest.MonkeyPatch, kind: str, turn: int
) -> None:
    seed = 1000 * list(KINDS).index(kind) + turn
    history = simulate(settings, monkeypatch, seed, KINDS[kind])
    seen = look()
    faults = Checker(history, seen).faults()
    told = f"seed {seed}: {len(seen.flags)} flags, {len(seen.rows)} notices, {len(history.mails)} mails, {len(history.scans)} runs"
    print(told, dict(history.counts))
    assert not faults, f"{told}; {len(faults)} faults, the first ones:\n" + "\n".join(faults[:20])
    assert len(seen.rows) > 400
    assert len({row.told.channel for row in seen.rows}) == 3


def test_the_checker_sees_a_notice_that_is_missing_or_too_much(
    db: None, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it finds when an entry of the inbox is taken away, one is sent to somebody else, and a flag comes late."""
    kind = KINDS["many certificates"] | {"certificates": 60, "days": 30}
    history = simulate(settings, monkeypatch, 7, kind)
    assert Checker(history, look()).faults() == []
    for damage, word in ((_lose, "not told"), (_misdirect, "nobody was to be told"), (_delay, "flag Key")):
        with transaction.atomic():
            damage()
            faults = Checker(history, look()).faults()
            transaction.set_rollback(True)
        assert any(fault.startswith(word) for fault in faults), (word, faults)


def _lose() -> None:
    Notice.objects.filter(channel="portal", recipient__contains="@")[0].delete()


def _misdirect() -> None:
    notice = Notice.objects.filter(channel="email")[0]
    Notice.objects.filter(pk=notice.pk).update(recipient="stranger@example.org")


def _delay() -> None:
    flag = Flag.objects.latest("flagged_at")
    Flag.objects.filter(pk=flag.pk).update(flagged_at=flag.flagged_at + HOUR)
