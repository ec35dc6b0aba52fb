"""The answer as a whole: order of errors, trust stores, leaving out, messages and commands that are safe."""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
import shlex

import pytest

from stores.formats.parsed import Finding, Format
from stores.rules import check
from stores.rules import codes as known
from tests.material import NOW, mint
from tests.rules.offers import codes, kept, offer_key, offer_trust, parsed, private_key, text_of, upload

ROOT = mint("Root", ca=True, end=3650)
ISSUING = mint("Issuing CA", ROOT, ca=True, end=200)
LEAF = mint("Orders Client", ISSUING)
DEAD, WEAK = mint("Dead Root", ca=True, begin=-4000, end=-1), mint("Weak Root", ca=True, kind="rsa1024")


def test_an_accepted_key_store_says_what_it_is_and_when_it_fails() -> None:
    answer = offer_key(LEAF, ISSUING, ROOT)
    assert answer.accepted
    assert answer.code is None
    assert answer.key is not None
    assert answer.message == (
        "“Orders Client” with its private key and the chain “Issuing CA” and “Root”; "
        "it fails on 18 Dec 2026, 12:00 UTC because of “Issuing CA”."
    )


def test_an_accepted_trust_store_says_which_certificate_ends_first() -> None:
    answer = offer_trust(ROOT, ISSUING)
    assert (
        answer.message
        == "2 trusted certificates; the first to end is “Issuing CA”, on 18 Dec 2026, 12:00 UTC."
    )
    assert answer.key is None


def test_a_single_trusted_certificate_is_named() -> None:
    assert (
        offer_trust(ISSUING).message
        == "1 trusted certificate, “Issuing CA”, which ends on 18 Dec 2026, 12:00 UTC."
    )


@pytest.mark.parametrize(
    ("file_format", "words"), [("pem", "as its key file"), ("pkcs12", "Export"), ("jar", "certFile")]
)
def test_the_advice_for_a_missing_certificate_fits_the_format(file_format: Format, words: str) -> None:
    assert words in check(parsed([], [LEAF], file_format), upload("key"), NOW).message


def test_the_first_error_is_chosen_in_the_order_of_the_codes() -> None:
    weak = mint("Weak And Gone", DEAD, kind="rsa1024", begin=-90, end=-1, critical="1.3.6.1.4.1.99999.1")
    answer = offer_key(weak, DEAD)
    assert codes(answer)[:3] == ["expired", "weak_key", "unknown_critical_extension"]
    assert answer.code == "expired"
    assert answer.message.endswith("(2 more errors)")


def test_what_reading_noticed_is_told_in_its_place() -> None:
    read = dataclasses.replace(
        parsed([LEAF], [LEAF]),
        findings=(
            Finding("extension_mismatch", "info", "another name"),
            Finding("restricted_password", "warning", "a symbol"),
        ),
    )
    answer = check(read, upload("key"), NOW)
    assert answer.accepted
    assert codes(answer) == ["restricted_password", "chain_incomplete", "extension_mismatch"]
    refused = check(read, upload("key"), NOW + dt.timedelta(days=400))
    assert codes(refused)[:2] == ["expired", "restricted_password"]
    assert refused.key is None


@pytest.mark.parametrize(
    ("file_format", "command"),
    [("pem", "openssl crl2pkcs7"), ("pkcs12", "openssl pkcs12"), ("jks", "keytool")],
)
def test_a_private_key_in_a_trust_store_is_refused_as_exposed(file_format: Format, command: str) -> None:
    answer = check(parsed([ROOT], [LEAF], file_format), upload("trust"), NOW)
    assert codes(answer) == ["key_in_trust_store"]
    assert "exposed" in answer.message
    assert answer.findings[0].command.startswith(command)


def test_a_key_alone_in_a_trust_store_is_no_certificate_first() -> None:
    answer = check(parsed([], [LEAF]), upload("trust"), NOW)
    assert codes(answer) == ["no_certificate", "key_in_trust_store"]


def test_unusable_certificates_of_a_trust_store_can_be_left_out() -> None:
    answer = offer_trust(ROOT, DEAD, WEAK, ISSUING)
    assert answer.code == "expired"
    assert [finding.certificate for finding in answer.unusable] == [DEAD.sha256, WEAK.sha256]
    assert "2 of 4 certificates cannot be used" in answer.message
    assert kept(answer) == ["Root", "Dead Root", "Weak Root", "Issuing CA"]


def test_leaving_out_keeps_the_rest_and_names_what_is_gone() -> None:
    answer = offer_trust(ROOT, DEAD, WEAK, ISSUING, leave_out=True)
    assert answer.accepted
    assert kept(answer) == ["Root", "Issuing CA"]
    assert codes(answer) == ["left_out", "left_out"]
    assert [finding.certificate for finding in answer.findings] == [DEAD.sha256, WEAK.sha256]
    assert answer.unusable == ()


def test_one_certificate_with_two_faults_is_left_out_once() -> None:
    both = mint("Both Root", ca=True, kind="rsa1024", begin=-90, end=-1)
    text = text_of(offer_trust(ROOT, both, leave_out=True), "left_out")
    assert (
        text
        == "The certificate “Both Root” was left out by choice: it ended on 31 May 2026, 12:00 UTC and its key is too weak."
    )


def test_nothing_is_said_of_what_is_left_out_beside_that() -> None:
    alone = mint("Alone", end=-2)
    assert codes(offer_trust(ROOT, alone, leave_out=True)) == ["left_out"]


def test_leaving_out_where_all_is_usable_changes_nothing() -> None:
    assert codes(offer_trust(ROOT, ISSUING, leave_out=True)) == []


def test_where_nothing_would_remain_nothing_can_be_left_out() -> None:
    for leave_out in (False, True):
        answer = offer_trust(DEAD, WEAK, leave_out=leave_out)
        assert answer.code == "expired"
        assert answer.unusable == ()


def test_leaving_out_does_not_excuse_a_private_key() -> None:
    answer = check(parsed([ROOT, DEAD], [LEAF]), upload("trust", leave_out=True), NOW)
    assert answer.code == "key_in_trust_store"
    assert answer.unusable == ()
    assert check(parsed([ROOT, DEAD], [LEAF]), upload("trust"), NOW).unusable == ()


def test_leaving_out_means_nothing_to_a_key_store() -> None:
    assert offer_key(mint("Gone", ROOT, end=-1), ROOT, leave_out=True).code == "expired"


def test_codes_have_one_severity_each_and_unknown_ones_are_refused() -> None:
    assert len(known.ALL) == len(set(known.ALL)) == 14 + 10 + 9 + 4
    assert [known.severity_of(code) for code in ("malformed", "expired", "left_out", "self_signed")] == [
        "error", "error", "warning", "info",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="unknown code"):
        known.said("nonsense", "text")


NASTY = [
    "$(touch pwned)",
    "`id`",
    "x; rm -rf /",
    "a'b",
    'a"b',
    "-rf",
    "x\ny",
    "x\u202ey",
    "\x1b[2J",
    "n" * 500,
    "",
    "..",
    "/",
]


@pytest.mark.parametrize("text", NASTY)
def test_hostile_names_do_no_harm_in_texts_and_commands(text: str) -> None:
    """As file name, alias and key file name; what a person pastes into a shell is words, not code."""
    name = f"{text}.pem"
    gone = mint("Gone Client", ROOT, end=-2)
    keys = [private_key(LEAF, text), private_key(gone, "b")]
    answers = [
        check(parsed([LEAF, DEAD], keys, "jks"), upload("key", name, alias=text or "?"), NOW),
        check(parsed([LEAF, DEAD], keys, "jks"), upload("key", name), NOW),
        check(parsed([gone], [LEAF]), upload("key", name, key_name=text, key_content=b""), NOW),
        check(parsed([gone]), upload("key", name), NOW),
        check(parsed([ROOT], keys, "jks"), upload("trust", name), NOW),
    ]
    for finding in (finding for answer in answers for finding in answer.findings):
        assert finding.text.isprintable()
        assert len(finding.text) < 1000
        assert finding.command.isprintable()
        words = shlex.split(finding.command)
        assert not any(re.search(r"[`$\n]|rm -rf", word) for word in words if word != "/CN=Gone Client")


@pytest.mark.parametrize("name", ["$(touch pwned)", "`id`; rm -rf / #", "a/CN=b", "x'y", "-config"])
def test_hostile_common_names_do_not_reach_the_shell(name: str) -> None:
    command = offer_key(mint(name, ROOT, end=-1), ROOT).findings[0].command
    assert "-subj" not in command


def test_an_issuers_address_is_quoted_in_the_command() -> None:
    leaf = mint("Public Client", ROOT, issuer_url="http://pki.example.org/ca?a=1&b=$(id)")
    (finding,) = offer_key(leaf).findings
    assert finding.command == "curl -s 'http://pki.example.org/ca?a=1&b=$(id)' | openssl x509 >> orders.pem"
