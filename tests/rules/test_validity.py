"""What has ended, ends soon or has not begun."""

from __future__ import annotations

import datetime as dt

import pytest

from tests.material import NOW, mint
from tests.rules.offers import codes, offer_key, offer_trust, text_of

ROOT = mint("Root", ca=True, end=3650)
SECOND = dt.timedelta(seconds=1)


def test_an_ended_leaf_is_refused_with_name_date_and_request() -> None:
    answer = offer_key(mint("Gone Client", ROOT, begin=-400, end=-2), ROOT)
    assert codes(answer) == ["expired"]
    assert answer.message.startswith("The certificate “Gone Client” ended on 30 May 2026, 12:00 UTC.")
    assert "openssl req -new" in answer.findings[0].command
    assert "/CN=Gone Client" in answer.findings[0].command


@pytest.mark.parametrize(
    ("left", "found"), [(-SECOND, ["expired"]), (0 * SECOND, ["expired"]), (SECOND, ["expires_soon"])]
)
def test_a_certificate_has_ended_from_its_last_second_on(left: dt.timedelta, found: list[str]) -> None:
    assert codes(offer_key(mint("Edge Client", ROOT, end=NOW + left), ROOT)) == found


def test_an_ended_certificate_above_the_leaf_is_chain_expired() -> None:
    dead = mint("Dead CA", ROOT, ca=True, begin=-900, end=-1)
    answer = offer_key(
        mint("Orphan", mint("Living CA", dead, ca=True)), mint("Living CA", dead, ca=True), dead, ROOT
    )
    assert codes(answer) == ["chain_expired"]
    assert answer.message.startswith(
        "“Dead CA”, which stands above “Orphan” in the chain, ended on 31 May 2026"
    )
    assert answer.findings[0].certificate == dead.sha256


def test_leaf_and_issuer_ended_are_both_told_and_the_leaf_comes_first() -> None:
    dead = mint("Dead CA", ROOT, ca=True, begin=-900, end=-1)
    answer = offer_key(mint("Gone", dead, end=-3), dead, ROOT)
    assert codes(answer) == ["expired", "chain_expired"]
    assert answer.code == "expired"
    assert answer.message.endswith("(1 more error)")


@pytest.mark.parametrize("end", [-1, 5])
def test_the_root_of_a_key_store_may_end(end: int) -> None:
    root = mint("Old Root", ca=True, begin=-4000, end=end)
    assert codes(offer_key(mint("Rootless", root), root)) == []


def test_a_self_signed_leaf_may_not_end() -> None:
    assert codes(offer_key(mint("Own", begin=-400, end=-1))) == ["expired", "self_signed"]


def test_every_ended_certificate_of_a_trust_store_is_told() -> None:
    dead = mint("Dead Root", ca=True, begin=-4000, end=-1)
    deader = mint("Deader Root", ca=True, begin=-4000, end=-2)
    answer = offer_trust(ROOT, dead, deader)
    assert codes(answer) == ["expired", "expired"]
    assert [finding.certificate for finding in answer.findings] == [dead.sha256, deader.sha256]


@pytest.mark.parametrize(
    ("life", "left", "soon"),
    [
        (365, 62, False),
        (365, 58, True),
        (90, 32, False),
        (90, 28, True),
        (47, 17, False),
        (47, 14, True),
        (47, 46, False),
        (309, 9, True),
    ],
)
def test_soon_follows_the_lifetime(life: int, left: int, soon: bool) -> None:
    leaf = mint("Stage Client", ROOT, begin=left - life, end=left)
    assert codes(offer_key(leaf, ROOT)) == (["expires_soon"] if soon else [])


def test_soon_says_in_how_many_days_and_when() -> None:
    text = text_of(offer_key(mint("Soon Client", ROOT, begin=-300, end=9), ROOT), "expires_soon")
    assert "“Soon Client” ends in 9 days, on 10 Jun 2026, 12:00 UTC" in text


@pytest.mark.parametrize(
    ("days", "words"), [(0.5, "within a day"), (1, "in 1 day,"), (1.9, "in 1 day,"), (2, "in 2 days,")]
)
def test_the_last_days_are_counted(days: float, words: str) -> None:
    end = NOW + dt.timedelta(days=days)
    assert words in text_of(offer_key(mint("Last Days", ROOT, end=end), ROOT), "expires_soon")


def test_an_intermediate_that_ends_soon_is_told_by_name() -> None:
    ending = mint("Ending CA", ROOT, ca=True, begin=-1000, end=5)
    text = text_of(offer_key(mint("Above", ending), ending, ROOT), "expires_soon")
    assert text.startswith("“Ending CA”, which stands above “Above” in the chain, ends in 5 days")


def test_a_trusted_root_that_ends_soon_is_told() -> None:
    last = mint("Last Root", ca=True, begin=-3600, end=5)
    assert codes(offer_trust(ROOT, last)) == ["expires_soon"]


def test_a_leaf_that_begins_later_is_accepted_and_told() -> None:
    answer = offer_key(mint("Young Client", ROOT, begin=5), ROOT)
    assert answer.accepted
    assert codes(answer) == ["not_yet_valid"]
    assert "6 Jun 2026, 12:00 UTC" in text_of(answer, "not_yet_valid")


def test_a_trusted_certificate_that_begins_later_is_no_matter() -> None:
    assert codes(offer_trust(mint("Young Root", ca=True, begin=5))) == []


def test_the_end_of_time_is_far_and_can_be_said() -> None:
    never = dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC)
    answer = offer_trust(mint("Endless Root", ca=True, end=never))
    assert codes(answer) == []
    assert "31 Dec 9999, 23:59 UTC" in answer.message
