"""What certificates are made for."""

from __future__ import annotations

import pytest
from cryptography.x509 import ObjectIdentifier
from cryptography.x509.oid import ExtendedKeyUsageOID as Usage

from tests.material import mint
from tests.rules.offers import codes, offer_key, offer_trust, text_of

ROOT = mint("Root", ca=True, end=3650)


@pytest.mark.parametrize(
    ("usages", "found"),
    [
        ([Usage.SERVER_AUTH], ["not_for_client_auth"]),
        ([Usage.EMAIL_PROTECTION, ObjectIdentifier("1.2.3.4")], ["not_for_client_auth"]),
        ([Usage.CLIENT_AUTH], []),
        ([Usage.EMAIL_PROTECTION, Usage.CLIENT_AUTH], []),
        ([Usage.ANY_EXTENDED_KEY_USAGE], []),
        ([], []),
    ],
)
def test_a_leaf_must_be_for_client_authentication_if_it_names_its_uses(
    usages: list[ObjectIdentifier], found: list[str]
) -> None:
    assert codes(offer_key(mint("Usage Client", ROOT, usages=usages), ROOT)) == found


def test_key_usage_alone_names_no_uses() -> None:
    assert codes(offer_key(mint("Signing Client", ROOT, usages=[], key_usage=True), ROOT)) == []


def test_the_uses_that_it_has_are_named() -> None:
    answer = offer_key(mint("Web Server", ROOT, usages=[Usage.SERVER_AUTH]), ROOT)
    assert "“Web Server” is made for server authentication only" in text_of(answer, "not_for_client_auth")


def test_a_self_signed_leaf_is_told() -> None:
    assert codes(offer_key(mint("Own"))) == ["self_signed"]


def test_a_root_above_a_leaf_is_not_self_signed_in_that_sense() -> None:
    assert codes(offer_key(mint("Client", ROOT), ROOT)) == []


def test_a_trust_store_tells_each_certificate_that_is_no_authority() -> None:
    one, two = mint("One"), mint("Two", ROOT)
    answer = offer_trust(ROOT, one, two)
    assert answer.accepted
    assert [(f.code, f.certificate) for f in answer.findings] == [
        ("trusts_one_certificate", one.sha256), ("trusts_one_certificate", two.sha256),
    ]  # fmt: skip
