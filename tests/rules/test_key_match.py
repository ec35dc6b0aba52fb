"""Which private key is meant, and which certificate belongs to it."""

from __future__ import annotations

import dataclasses

import pytest

from stores.formats.parsed import Format, Inspection
from stores.rules import check
from tests.material import NOW, Minted, mint
from tests.rules.offers import codes, kept, offer_key, parsed, private_key, upload

ROOT = mint("Root", ca=True, end=3650)
ONE, TWO = mint("Client One", ROOT), mint("Client Two", ROOT)


def two_keys(alias: str | None = None, file_format: Format = "jks") -> Inspection:
    keys = [private_key(ONE, "First", [ONE, ROOT]), private_key(TWO, "second", [TWO, ROOT])]
    return check(parsed([ONE, ROOT, TWO], keys, file_format), upload("key", "two.jks", alias=alias), NOW)


def test_a_certificate_without_its_key_is_refused_beside_the_key_field() -> None:
    answer = check(parsed([ONE, ROOT]), upload("key"), NOW)
    assert answer.code == "key_missing"
    assert answer.field == "key_file"
    assert "orders.pem, but a key store needs the one of “Client One”" in answer.message
    assert answer.findings[0].command == (
        "openssl pkcs12 -export -in orders.pem -inkey orders.key -out orders.p12"
    )


@pytest.mark.parametrize(
    ("file_format", "command"), [("pkcs12", "keytool -list -keystore"), ("jks", "keytool -list"), ("jar", "")]
)
def test_where_the_key_belongs_into_the_file_the_file_is_at_fault(file_format: Format, command: str) -> None:
    answer = check(parsed([ONE], file_format=file_format), upload("key", "orders.bin"), NOW)
    assert answer.code == "key_missing"
    assert answer.field == "file"
    assert answer.findings[0].command.startswith(command)


def test_both_files_are_named_when_neither_has_a_key() -> None:
    answer = check(parsed([ONE]), upload("key", key_name="orders.key", key_content=b""), NOW)
    assert "no private key in orders.pem and orders.key" in answer.message


def test_what_is_wrong_beside_the_missing_key_is_told_at_once() -> None:
    answer = check(parsed([mint("Gone", ROOT, end=-3)]), upload("key"), NOW)
    assert codes(answer) == ["key_missing", "expired"]


def test_a_key_alone_is_no_certificate() -> None:
    answer = check(parsed([], [ONE]), upload("key", "orders.key"), NOW)
    assert codes(answer) == ["no_certificate"]
    assert "orders.key" in answer.message


def test_the_key_of_another_certificate_is_a_mismatch() -> None:
    answer = offer_key(ONE, ROOT, key=TWO)
    assert answer.code == "key_mismatch"
    assert "the private key is not that of “Client One” or of any other certificate." in answer.message
    assert answer.key is None
    assert answer.findings[0].command == (
        "openssl x509 -in orders.pem -noout -pubkey | openssl sha256; "
        "openssl pkey -in orders.pem -pubout | openssl sha256"
    )


def test_a_mismatch_of_two_files_is_the_fault_of_the_key_file() -> None:
    answer = offer_key(ONE, key=TWO, key_name="orders.key", key_content=b"")
    assert answer.field == "key_file"
    assert "-in orders.key" in answer.findings[0].command


def test_a_mismatch_of_kinds_says_so() -> None:
    answer = offer_key(mint("RSA Client", ROOT, kind="rsa2048"), key=ONE)
    assert "(it is EC P-256, the certificate's is RSA 2048)" in answer.message


def test_several_keys_are_refused_with_their_names() -> None:
    answer = two_keys()
    assert answer.code == "several_keys"
    assert answer.field == "alias"
    assert answer.aliases == ("First", "second")
    assert "2 different private keys" in answer.message
    assert "“First” and “second”" in answer.message
    assert answer.key is None


@pytest.mark.parametrize(
    ("alias", "leaf"), [("First", "Client One"), ("first", "Client One"), (" SECOND ", "Client Two")]
)
def test_the_alias_chooses_key_and_leaf(alias: str, leaf: str) -> None:
    answer = two_keys(alias)
    assert answer.accepted
    assert kept(answer) == [leaf, "Root"]
    assert answer.aliases == ("First", "second")
    assert answer.key is not None


def test_an_alias_that_is_not_there_is_refused_with_those_that_are() -> None:
    answer = two_keys("third")
    assert answer.code == "several_keys"
    assert (
        answer.message == "No private key is named “third” in two.jks. Those inside are “First” and “second”."
    )


def test_an_alias_that_is_not_there_is_refused_even_for_one_key() -> None:
    answer = check(parsed([ONE], [private_key(ONE, "orders")], "jks"), upload("key", alias="other"), NOW)
    assert answer.code == "several_keys"


def test_one_alias_for_two_keys_does_not_choose() -> None:
    keys = [private_key(ONE, "same"), private_key(TWO, "same")]
    answer = check(parsed([ONE, TWO], keys, "jks"), upload("key", alias="same"), NOW)
    assert answer.code == "several_keys"
    assert answer.message.startswith("2 different private keys are named “same”")


def test_keys_without_alias_are_called_by_their_certificates_or_number() -> None:
    stray = mint("Not In The File")
    answer = check(parsed([ONE, TWO], [TWO, stray, ONE]), upload("key"), NOW)
    assert answer.aliases == ("Client Two", "key 2", "Client One")
    chosen = check(parsed([ONE, TWO], [TWO, stray, ONE]), upload("key", alias="Client One"), NOW)
    assert kept(chosen) == ["Client One"]


def test_thousands_of_keys_are_not_all_listed() -> None:
    key = private_key(ONE)
    keys = [
        dataclasses.replace(key, spki_sha256=f"{number:064x}", alias=f"entry {number}")
        for number in range(3000)
    ]
    answer = check(parsed([ONE], keys, "jks"), upload("key"), NOW)
    assert "3,000 different private keys" in answer.message
    assert len(answer.message) < 500


def test_the_same_key_twice_is_one_key() -> None:
    answer = check(parsed([ONE, ROOT], [private_key(ONE, "a"), private_key(ONE, "b")]), upload("key"), NOW)
    assert answer.accepted
    assert answer.aliases == ()


OLD = mint("Client One", ROOT, begin=-1, end=20)
"""The same key, certified before."""


@pytest.mark.parametrize("order", [(OLD, ONE), (ONE, OLD)])
def test_of_several_certificates_for_a_key_the_one_that_ends_last_is_the_leaf(
    order: tuple[Minted, ...],
) -> None:
    answer = offer_key(*order, ROOT, key=ONE)
    assert answer.certificates[0].sha256 == ONE.sha256
    assert codes(answer) == ["chain_unrelated"]


def test_an_alias_chooses_the_certificate_of_its_entry() -> None:
    keys = [private_key(ONE, "old", [OLD, ROOT]), private_key(ONE, "new", [ONE, ROOT])]
    for alias, leaf in (("old", OLD), ("new", ONE), (None, ONE)):
        answer = check(parsed([OLD, ROOT, ONE], keys, "jks"), upload("key", alias=alias), NOW)
        assert answer.certificates[0].sha256 == leaf.sha256
