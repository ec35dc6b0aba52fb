"""What differs between two reports: pure, in words, and without the address of the server."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from providers.connection.report import Report
from providers.differences import NONE_NAMED, NOT_ASKED, Difference, differences, facts_of, text, title
from providers.wording import WORKS
from tests.material import Minted, mint
from tests.providers.reported import certificates as sent

ROOT = mint("Example Root", ca=True, end=3000)
ISSUING = mint("Issuing CA 2", ROOT, ca=True, end=2000)
OTHER = mint("Other CA", ca=True, end=3000)
GOOD = Report(
    ok=True, code="ok", message="", protocol="TLSv1.3", client_certificate_requested=True,
    acceptable_cas=("CN=Client CA 1", "CN=Client CA 2"), server_chain=sent(mint("orders.example.org", ISSUING, end=90), ISSUING),
)  # fmt: skip


def now_with(**changes: Any) -> list[Difference]:
    return differences(facts_of(GOOD), facts_of(dataclasses.replace(GOOD, **changes)))


def leaf(issuer: Minted, key: str = "orders.example.org", end: float = 200) -> Minted:
    return mint("orders.example.org", issuer, end=end, key_name=key)


def test_the_same_again_is_no_difference() -> None:
    assert now_with(message="Another sentence.", acceptable_cas=("CN=Client CA 2", "CN=Client CA 1")) == []


def test_a_renewal_by_the_same_issuer_is_told_calmly() -> None:
    found = now_with(server_chain=sent(leaf(ISSUING), ISSUING))
    assert [one.kind for one in found] == ["chain"]
    assert title(found) == "the server shows a new certificate"
    assert text(found) == "The server shows a new certificate of the same issuer, until 18 Dec 2026."


def test_with_a_new_key_both_are_said_in_one() -> None:
    found = now_with(server_chain=sent(leaf(ISSUING, key="another"), ISSUING))
    assert [one.kind for one in found] == ["chain", "key"]
    assert text(found).endswith("until 18 Dec 2026. Its key is a new one.")


def test_another_issuer_is_said() -> None:
    assert "of another issuer, until" in text(now_with(server_chain=sent(leaf(OTHER), OTHER)))


def test_other_intermediates_alone_are_no_new_certificate() -> None:
    found = now_with(server_chain=(GOOD.server_chain[0],))
    assert title(found) == "the server sends other certificates"
    assert "own certificate is the same" in text(found)


def test_another_protocol() -> None:
    found = now_with(protocol="TLSv1.2")
    assert (title(found), text(found)) == (
        "the server speaks TLSv1.2",
        "It speaks TLSv1.2, and spoke TLSv1.3.",
    )


def test_other_client_cas() -> None:
    found = now_with(acceptable_cas=("CN=Client CA 2", "CN=Client CA 3"))
    assert title(found) == "the server names other client CAs"
    assert text(found) == "About client certificates it says now: CN=Client CA 3. No longer: CN=Client CA 1."


@pytest.mark.parametrize(
    ("changes", "after"),
    [
        ({"acceptable_cas": ()}, NONE_NAMED),
        ({"acceptable_cas": (), "client_certificate_requested": False}, NOT_ASKED),
    ],
)
def test_to_ask_for_no_certificate_or_to_name_no_ca_is_a_difference(
    changes: dict[str, Any], after: str
) -> None:
    assert [one.after for one in now_with(**changes)] == [after]


def test_many_names_are_cut() -> None:
    found = now_with(acceptable_cas=tuple(f"CN=New {number}" for number in range(9)))
    assert "CN=New 0, CN=New 1, CN=New 2 and 6 more" in text(found)


class TestReachability:
    def test_a_fall_comes_first_and_says_how(self) -> None:
        found = now_with(ok=False, code="untrusted_issuer", server_chain=sent(leaf(OTHER)))
        assert [one.kind for one in found] == ["reachability", "chain"]
        assert title(found) == "the connection fails"
        assert text(found).startswith(
            "The server's chain does not end in the trust store. It passed before. The server shows a new certificate of another"
        )

    def test_what_could_not_be_seen_has_not_changed(self) -> None:
        gone = Report(ok=False, code="connection_refused", message="")
        assert [one.kind for one in differences(facts_of(GOOD), facts_of(gone))] == ["reachability"]

    def test_another_way_to_fail_is_no_difference(self) -> None:
        first, second = (
            Report(ok=False, code=code, message="") for code in ("timeout", "connection_refused")
        )
        assert differences(facts_of(first), facts_of(second)) == []

    def test_a_return_says_what_it_was(self) -> None:
        gone = facts_of(Report(ok=False, code="timeout", message=""))
        found = differences(gone, facts_of(GOOD))
        assert found == [Difference("reachability", "The server is too slow", WORKS)]
        assert (title(found), text(found)) == (
            "the connection works again",
            "Before: The server is too slow.",
        )


def test_no_fact_says_where_the_server_is() -> None:
    own = mint("orders.example.org", end=90)
    for chain in (GOOD.server_chain, sent(own), sent(leaf(ISSUING), own)):
        facts = facts_of(dataclasses.replace(GOOD, server_chain=chain, message="at orders.example.org"))
        assert "example.org" not in str(facts)


def test_a_name_cannot_forge_a_line() -> None:
    evil = mint("Evil\nSecond line", ca=True, end=900)
    chain = facts_of(dataclasses.replace(GOOD, server_chain=sent(leaf(evil), evil)))["chain"]
    assert len(chain.split("\n")) == 2
