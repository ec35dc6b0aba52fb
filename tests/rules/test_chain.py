"""Which certificates belong together, in which order, and what is missing, twice or too much."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stores.formats.parsed import Certificate
from stores.rules import chain, check
from tests.material import NOW, Minted, mint
from tests.rules.offers import codes, kept, offer_key, offer_trust, parsed, private_key, text_of, upload

ROOT = mint("Root", ca=True, end=3650)
POLICY = mint("Policy CA", ROOT, ca=True, end=1825)
ISSUING = mint("Issuing CA", POLICY, ca=True, end=1000)
LEAF = mint("Orders Client", ISSUING)
FULL = [LEAF, ISSUING, POLICY, ROOT]
NAMES = ["Orders Client", "Issuing CA", "Policy CA", "Root"]
OTHER_ROOT = mint("Other Root", ca=True, end=3650)


@settings(max_examples=24, deadline=None)
@given(st.permutations(FULL))
def test_any_order_is_put_right(order: list[Minted]) -> None:
    answer = offer_key(*order, key=LEAF)
    assert kept(answer) == NAMES
    assert codes(answer) == ([] if order == FULL else ["chain_reordered"])


def test_the_text_of_a_reordered_chain_names_the_order() -> None:
    text = text_of(offer_key(*reversed(FULL), key=LEAF), "chain_reordered")
    assert "“Orders Client”, “Issuing CA”, “Policy CA” and “Root”" in text


def test_the_root_may_be_absent() -> None:
    answer = offer_key(LEAF, ISSUING, POLICY)
    assert codes(answer) == []
    assert answer.missing_issuer == "CN=Root"


def test_nothing_is_missing_above_a_root() -> None:
    assert offer_key(*FULL).missing_issuer == ""


def test_a_leaf_alone_names_what_is_missing_and_where_it_can_be_had() -> None:
    leaf = mint("Public Client", ISSUING, issuer_url="http://pki.example.org/issuing.crt")
    answer = offer_key(leaf)
    text = text_of(answer, "chain_incomplete")
    assert answer.accepted
    assert answer.missing_issuer == "CN=Issuing CA"
    assert "“CN=Issuing CA”" in text
    assert "http://pki.example.org/issuing.crt" in text
    assert "If that issuer is a root which the other side has, nothing is missing" in text


def test_what_is_above_a_gap_is_left_out_and_named() -> None:
    answer = offer_key(LEAF, ISSUING, ROOT)
    assert kept(answer) == ["Orders Client", "Issuing CA"]
    assert codes(answer) == ["chain_unrelated"]
    assert "“Root”" in text_of(answer, "chain_unrelated")


def test_a_gap_below_leaves_the_leaf_alone() -> None:
    answer = offer_key(LEAF, ROOT)
    assert kept(answer) == ["Orders Client"]
    assert codes(answer) == ["chain_incomplete", "chain_unrelated"]


def test_strangers_are_left_out_whatever_is_wrong_with_them() -> None:
    gone = mint("Gone Stranger", ca=True, end=-5)
    weak = mint("Weak Stranger", kind="rsa1024", ca=True)
    answer = offer_key(*FULL, gone, weak)
    assert answer.accepted
    assert kept(answer) == NAMES
    assert codes(answer) == ["chain_unrelated"]
    assert "2 certificates" in text_of(answer, "chain_unrelated")


def test_many_strangers_are_counted_not_listed() -> None:
    strangers = [mint(f"Stranger {number}", key_name="strangers", ca=True) for number in range(30)]
    text = text_of(offer_key(*FULL, *strangers), "chain_unrelated")
    assert "30 certificates" in text
    assert "and 22 more" in text
    assert len(text) < 600


def test_a_namesake_with_another_key_is_no_issuer() -> None:
    namesake = mint("Issuing CA", POLICY, key_name="renewed issuing", ca=True)
    assert kept(offer_key(LEAF, namesake, POLICY, ROOT)) == ["Orders Client"]
    assert [c.sha256 for c in offer_key(LEAF, namesake, *FULL[1:]).certificates] == [c.sha256 for c in FULL]


def test_names_are_compared_without_letter_case_and_spaces() -> None:
    leaf = mint("Shouting Client", ISSUING, issuer_name="ISSUING  ca")
    assert kept(offer_key(leaf, ISSUING, POLICY, ROOT)) == ["Shouting Client", *NAMES[1:]]


def test_duplicates_are_kept_once_and_named() -> None:
    answer = offer_key(LEAF, ISSUING, ISSUING, POLICY, ROOT, LEAF)
    assert kept(answer) == NAMES
    assert codes(answer) == ["duplicate_certificates"]
    assert "“Orders Client” and “Issuing CA”" in text_of(answer, "duplicate_certificates")


def test_what_the_chains_of_two_entries_share_is_no_duplicate() -> None:
    other = mint("Billing Client", ISSUING)
    keys = [private_key(LEAF, "orders", FULL), private_key(other, "billing", [other, *FULL[1:]])]
    twice = [*FULL, other, *FULL[1:]]
    chosen = upload("key", "two.jks", alias="orders")
    assert codes(check(parsed(twice, keys, "jks"), chosen, NOW)) == ["chain_unrelated"]
    thrice = parsed([*twice, ROOT], keys, "jks")
    assert text_of(check(thrice, chosen, NOW), "duplicate_certificates").endswith("kept once: “Root”.")


def test_a_trust_store_keeps_the_order_of_the_file_and_duplicates_once() -> None:
    answer = offer_trust(OTHER_ROOT, ROOT, OTHER_ROOT, POLICY)
    assert kept(answer) == ["Other Root", "Root", "Policy CA"]
    assert codes(answer) == ["duplicate_certificates"]


CROSSED = mint("Root", OTHER_ROOT, ca=True, end=900)
"""The key of Root under Other Root."""


def test_a_cross_signed_root_leads_to_the_other_root() -> None:
    answer = offer_key(LEAF, ISSUING, POLICY, CROSSED, OTHER_ROOT)
    assert kept(answer) == [*NAMES, "Other Root"]
    assert codes(answer) == []


def test_a_cross_signed_root_may_be_the_last() -> None:
    answer = offer_key(LEAF, ISSUING, POLICY, CROSSED)
    assert kept(answer) == NAMES
    assert answer.missing_issuer == "CN=Other Root"


@pytest.mark.parametrize("crossed_first", [True, False])
def test_of_two_ways_to_a_root_the_order_of_the_file_decides(crossed_first: bool) -> None:
    pair = [CROSSED, ROOT] if crossed_first else [ROOT, CROSSED]
    answer = offer_key(LEAF, ISSUING, POLICY, *pair, OTHER_ROOT)
    assert kept(answer) == ([*NAMES, "Other Root"] if crossed_first else NAMES)
    assert codes(answer) == ["chain_unrelated"]


def test_a_way_that_ends_in_a_root_is_better_than_one_that_does_not() -> None:
    elsewhere = mint("Policy CA", OTHER_ROOT, ca=True, end=900)
    answer = offer_key(LEAF, ISSUING, elsewhere, POLICY, ROOT)
    assert [c.sha256 for c in answer.certificates] == [c.sha256 for c in FULL]


@pytest.mark.parametrize("old_first", [True, False])
def test_the_renewed_certificate_of_an_issuer_is_taken_for_the_ended_one(old_first: bool) -> None:
    old = mint("Issuing CA", POLICY, ca=True, begin=-900, end=-1)
    pair = [old, ISSUING] if old_first else [ISSUING, old]
    answer = offer_key(LEAF, *pair, POLICY, ROOT)
    assert answer.accepted
    assert [c.sha256 for c in answer.certificates] == [c.sha256 for c in FULL]


def test_an_ended_link_is_not_hidden_by_cutting_the_chain_there() -> None:
    old = mint("Policy CA", ROOT, ca=True, begin=-900, end=-1)
    answer = offer_key(LEAF, ISSUING, old, ROOT)
    assert answer.code == "chain_expired"
    assert kept(answer) == NAMES


def test_a_sound_way_round_an_ended_link_is_found() -> None:
    """Both ways meet above; the shorter or earlier one is not the sound one."""
    old = mint("Issuing CA", POLICY, ca=True, begin=-900, end=-1)
    detour = mint("Issuing CA", OTHER_ROOT, ca=True)
    answer = offer_key(LEAF, old, POLICY, ROOT, detour, OTHER_ROOT)
    assert kept(answer) == ["Orders Client", "Issuing CA", "Other Root"]


def test_a_certificate_that_begins_later_is_taken_last() -> None:
    early = mint("Issuing CA", POLICY, ca=True, begin=5)
    answer = offer_key(LEAF, early, ISSUING, POLICY, ROOT)
    assert answer.certificates[1].sha256 == ISSUING.sha256


def test_of_two_ways_to_one_certificate_the_lighter_is_taken() -> None:
    ended = mint("Policy CA", ROOT, ca=True, begin=-900, end=-1)
    early = mint("Issuing CA", POLICY, ca=True, begin=5)
    answer = offer_key(LEAF, early, ISSUING, ended)
    assert [c.sha256 for c in answer.certificates] == [c.sha256 for c in (LEAF, ISSUING, ended)]


def test_a_sound_cross_certificate_is_taken_for_an_ended_root() -> None:
    ended = mint("Root", ca=True, begin=-4000, end=-1)
    answer = offer_key(LEAF, ISSUING, POLICY, ended, CROSSED)
    assert answer.certificates[-1].sha256 == CROSSED.sha256
    assert offer_key(LEAF, ISSUING, POLICY, ended).certificates[-1].sha256 == ended.sha256


def test_two_issuers_that_issued_each_other_end_the_chain() -> None:
    first = mint("A", mint("B", key_name="b", ca=True), key_name="a", ca=True)
    second = mint("B", mint("A", key_name="a", ca=True), key_name="b", ca=True)
    answer = offer_key(mint("In A Loop", first), first, second)
    assert answer.accepted
    assert kept(answer) == ["In A Loop", "A", "B"]
    assert answer.missing_issuer == ""


def test_self_issued_is_not_self_signed() -> None:
    issuer = mint("Same Name", key_name="first key", ca=True)
    leaf = mint("Same Name", issuer, key_name="second key")
    assert kept(offer_key(leaf, issuer)) == ["Same Name", "Same Name"]


def line(count: int) -> list[Minted]:
    """A chain of so many certificates, leaf first."""
    links = [mint("Level 1", key_name="line", ca=True)]
    for level in range(2, count):
        links.insert(0, mint(f"Level {level}", links[0], key_name="line", ca=True))
    return [mint("Line Client", links[0]), *links]


def test_a_hundred_links_are_a_chain_and_one_more_is_too_large() -> None:
    links = line(101)
    shuffled = random.Random(1).sample(links[:-1], 100)
    full = offer_key(*shuffled, key=links[0])
    assert full.accepted
    assert len(full.certificates) == 100
    answer = offer_key(*links)
    assert answer.code == "too_large"
    assert "101" in answer.message
    assert "100" in answer.message


def test_many_ways_do_not_multiply(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four certificates for each of twelve CAs: 4^12 ways, and each signature is looked at once per key."""
    above = mint("Layer 12", ca=True)
    layers: list[Minted] = []
    for level in range(11, -1, -1):
        twins = [mint(f"Layer {level}", above, ca=True) for _ in range(4)]
        layers += twins
        above = twins[0]
    checked = []
    original = chain._signs

    def counting(issuer: Certificate, certificate: Certificate) -> bool:
        checked.append(certificate.sha256)
        return original(issuer, certificate)

    monkeypatch.setattr(chain, "_signs", counting)
    answer = offer_key(mint("Client", above), *layers)
    assert len(answer.certificates) == 13
    assert len(checked) <= 1 + 12 * 4


def test_a_flood_of_namesakes_is_too_costly() -> None:
    maker = mint("Flood", key_name="maker", ca=True)
    flood = [mint("Flood", maker, key_name=f"flood {number}", ca=True) for number in range(40)]
    leaf = mint("Drowned Client", maker, key_name="drowned")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chain, "MOST_CHECKS", 30)
        answer = offer_key(leaf, *flood)
    assert answer.code == "too_costly"
    assert "same name" in answer.message


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_chain_is_linked_and_made_of_what_was_in_the_file(data: st.DataObject) -> None:
    crossed_policy = mint("Policy CA", OTHER_ROOT, ca=True, end=900)
    pool = [ISSUING, POLICY, ROOT, OTHER_ROOT, CROSSED, crossed_policy]
    chosen = data.draw(st.lists(st.sampled_from(pool), max_size=8))
    order = data.draw(st.permutations([LEAF, *chosen]))
    answer = offer_key(*order, key=LEAF)
    links = answer.certificates
    assert answer.accepted
    assert links[0].sha256 == LEAF.sha256
    assert len({link.sha256 for link in links}) == len(links)
    assert {link.sha256 for link in links} <= {minted.sha256 for minted in order}
    assert all(lower.issuer == upper.subject for lower, upper in pairwise(links))
    others = {minted.sha256 for minted in order} - {link.sha256 for link in links}
    assert ("chain_unrelated" in codes(answer)) == bool(others)
