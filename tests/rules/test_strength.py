"""Weak keys and signatures, critical extensions, uncommon keys: where they count and where not."""

from __future__ import annotations

import pytest

from stores.formats.parsed import Finding
from stores.rules import check
from tests.material import NOW, Minted, mint
from tests.rules.offers import codes, offer_key, offer_trust, parsed, upload

ROOT = mint("Root", ca=True, end=3650)
ISSUING = mint("Issuing CA", ROOT, ca=True)


def signed_weakly(*certificates: Minted) -> list[Finding]:
    """What reading finds of certificates signed with SHA-1, which nothing here will sign with any more."""
    return [
        Finding("weak_signature", "error", "is signed with SHA-1", minted.sha256) for minted in certificates
    ]


@pytest.mark.parametrize("kind", ["rsa1024", "p192", "dsa"])
def test_a_weak_key_is_refused_in_either_store(kind: str) -> None:
    weak = mint("Weak Client", kind=kind)
    assert offer_key(weak).code == "weak_key"
    assert offer_trust(weak).code == "weak_key"


def test_a_weak_leaf_comes_with_the_request_for_a_new_one() -> None:
    answer = offer_key(mint("Weak Client", ROOT, kind="rsa1024"), ROOT)
    assert answer.findings[0].command.startswith("openssl req -new -newkey rsa:3072")


def test_a_weak_issuer_is_refused_without_a_request_that_would_not_help() -> None:
    weak = mint("Weak CA", ROOT, kind="rsa1024", ca=True)
    answer = offer_key(mint("Under Weak", weak), weak, ROOT)
    assert codes(answer) == ["weak_key"]
    assert answer.findings[0].command == ""


@pytest.mark.parametrize("name", ["leaf", "issuer"])
def test_a_weak_signature_in_the_chain_is_refused(name: str) -> None:
    leaf = mint("Client", ISSUING)
    weak = signed_weakly(leaf if name == "leaf" else ISSUING)
    answer = check(parsed([leaf, ISSUING, ROOT], [leaf], weaknesses=weak), upload("key"), NOW)
    assert codes(answer) == ["weak_signature"]


def test_the_signature_of_a_self_signed_certificate_does_not_count() -> None:
    own, leaf = mint("Own"), mint("Client", ROOT)
    with_root = parsed([leaf, ROOT], [leaf], weaknesses=signed_weakly(ROOT))
    assert codes(check(with_root, upload("key"), NOW)) == []
    assert codes(check(parsed([own], [own], weaknesses=signed_weakly(own)), upload("key"), NOW)) == [
        "self_signed"
    ]
    assert codes(check(parsed([ROOT], weaknesses=signed_weakly(ROOT)), upload("trust"), NOW)) == []


def test_a_weakness_of_what_is_not_kept_does_not_count() -> None:
    leaf, stranger = mint("Client", ROOT), mint("Stranger", ISSUING)
    read = parsed([leaf, ROOT, stranger], [leaf], weaknesses=signed_weakly(stranger))
    assert codes(check(read, upload("key"), NOW)) == ["chain_unrelated"]


def test_the_stronger_of_two_certificates_of_an_issuer_is_taken() -> None:
    weak = mint("Issuing CA", ROOT, ca=True)
    leaf = mint("Client", ISSUING)
    read = parsed([leaf, weak, ISSUING, ROOT], [leaf], weaknesses=signed_weakly(weak))
    answer = check(read, upload("key"), NOW)
    assert answer.certificates[1].sha256 == ISSUING.sha256
    assert codes(answer) == ["chain_unrelated"]


def test_a_weakness_of_a_certificate_that_is_there_twice_is_told_once() -> None:
    leaf = mint("Weak Client", ROOT, kind="rsa1024")
    assert codes(offer_key(leaf, ROOT, leaf)) == ["weak_key", "duplicate_certificates"]


def test_an_unknown_critical_extension_is_refused_wherever_it_counts() -> None:
    odd = mint("Odd CA", ROOT, ca=True, critical="1.3.6.1.4.1.99999.1")
    assert codes(offer_key(mint("Under Odd", odd), odd, ROOT)) == ["unknown_critical_extension"]
    assert codes(offer_trust(odd)) == ["unknown_critical_extension"]


@pytest.mark.parametrize(("kind", "name"), [("ed25519", "Ed25519"), ("ed448", "Ed448")])
def test_edwards_keys_are_accepted_with_a_warning(kind: str, name: str) -> None:
    answer = offer_key(mint("Edwards Client", ROOT, kind=kind), ROOT)
    assert answer.accepted
    assert codes(answer) == ["uncommon_key"]
    assert name in answer.findings[0].text


@pytest.mark.parametrize("kind", ["rsa2048", "p256", "p384"])
def test_usual_keys_are_accepted_without_a_word(kind: str) -> None:
    assert codes(offer_key(mint("Strong Client", ROOT, kind=kind), ROOT)) == []
