"""Java key stores: what keytool writes, what it would never write, and passwords."""

from __future__ import annotations

import pytest

from stores.formats import asn1
from stores.formats.parsed import Parsed
from tests.formats import jks_writer as w
from tests.formats.tools import PASSWORD, keytool, read, refused, run
from tests.material import Minted, mint

ROOT = mint("JKS Root", ca=True)
ISSUER = mint("JKS Issuer", ROOT, ca=True)
LEAF = mint("JKS Leaf", ISSUER)
OTHER = mint("JKS Other", ISSUER)
CHAIN = [LEAF, ISSUER, ROOT]


def digests(parsed: Parsed) -> list[str]:
    return [certificate.sha256 for certificate in parsed.certificates]


def sums(*minted: Minted) -> list[str]:
    return [one.sha256 for one in minted]


def test_what_keytool_writes_is_read() -> None:
    pair = ("-genkeypair", "-alias", "Orders", "-dname", "CN=orders", "-keyalg", "RSA", "-keysize", "2048")
    parsed = read(keytool(*pair, "-storetype", "JKS", out="o.jks"), "o.jks")
    (key,), (leaf,) = parsed.keys, parsed.certificates
    assert (parsed.format, key.alias, key.key_type) == ("jks", "orders", "RSA 2048")
    assert (leaf.subject, leaf.spki_sha256, leaf.sha256) == ("CN=orders", key.spki_sha256, *key.chain)


def test_keytool_reads_what_the_tests_write() -> None:
    """Else the tests below would only show that reader and writer share a mistake."""
    given = w.store(w.key("first", CHAIN), w.trusted("second", OTHER))
    change = ("-importkeystore", "-srckeystore", "given", "-srcstorepass", PASSWORD, "-deststoretype", "JKS")
    command = (*change, "-destkeystore", "o.jks", "-deststorepass", PASSWORD, "-noprompt")
    written = run("keytool", *command, files={"given": given}, out="o.jks")
    assert sorted(digests(read(written, "o.jks"))) == sorted(sums(*CHAIN, OTHER))


def test_keys_come_with_their_alias_and_chain_in_the_order_of_the_file() -> None:
    parsed = read(w.store(w.key("one", CHAIN), w.trusted("ca", OTHER), w.key("two", [OTHER])), "a.jks")
    assert [(key.alias, key.chain) for key in parsed.keys] == [
        ("one", tuple(sums(*CHAIN))),
        ("two", (OTHER.sha256,)),
    ]
    assert [key.pkcs8 for key in parsed.keys] == [LEAF.key_der, OTHER.key_der]
    assert digests(parsed) == sums(*CHAIN, OTHER)


def test_a_chain_that_two_keys_share_is_no_duplicate_but_the_same_trusted_certificate_twice_is() -> None:
    shared = read(w.store(w.key("one", CHAIN), w.key("two", [OTHER, ISSUER, ROOT])), "a.jks")
    assert digests(shared) == sums(*CHAIN, OTHER)
    twice = read(w.store(w.trusted("a", ROOT), w.trusted("b", ROOT)), "a.jks", "trust")
    assert digests(twice) == sums(ROOT, ROOT)


def test_version_1_has_no_certificate_types() -> None:
    parsed = read(
        w.store(w.key("one", CHAIN, version=1), w.trusted("ca", OTHER, version=1), version=1), "a.jks"
    )
    assert digests(parsed) == sums(*CHAIN, OTHER)


@pytest.mark.parametrize(
    ("octets", "shown"),
    [
        ("größe".encode(), "größe"),
        (b"\xed\xa0\xbd\xed\xb4\x91", "🔑"),
        (b"a\xc0\x80b", "a\\u0000b"),
        ("a\u202eb".encode(), "a\\u202eb"),
    ],
)
def test_aliases_are_modified_utf8_and_are_shown_without_invisible_characters(
    octets: bytes, shown: str
) -> None:
    assert read(w.store(w.key(octets, [LEAF])), "a.jks").keys[0].alias == shown


@pytest.mark.parametrize("password", ["größe🔑", "p@ss:word", " ", ""])
def test_passwords_may_hold_anything(password: str) -> None:
    content = w.store(w.key("one", CHAIN, password), password=password)
    assert read(content, "a.jks", password=password).keys[0].pkcs8 == LEAF.key_der


def test_without_a_password_the_empty_one_is_tried() -> None:
    assert read(w.store(w.key("one", CHAIN, ""), password=""), "a.jks", password=None).keys
    with refused("password_required", "a.jks"):
        read(w.store(w.key("one", CHAIN)), "a.jks", password=None)


def test_a_wrong_password_is_told_from_damage_by_the_digest_of_the_key() -> None:
    content = w.store(w.key("one", CHAIN))
    with refused("wrong_password", "a.jks"):
        read(content, "a.jks", password="guessed")
    with refused("malformed", "changed after it was written"):
        read(content.replace(ROOT.der, ROOT.der[:-1] + b"\0"), "a.jks")


def test_a_key_with_a_password_of_its_own_is_named_unless_another_one_was_asked_for() -> None:
    content = w.store(w.key("one", CHAIN), w.key("two", [OTHER], "its own"))
    with refused("wrong_password", "“two”", "keytool -keypasswd"):
        read(content, "a.jks")
    with refused("wrong_password", "“two”"):
        read(content, "a.jks", alias="TWO")
    assert [key.alias for key in read(content, "a.jks", alias="One").keys] == ["one"]


def test_a_store_that_ends_early_is_damaged_wherever_it_ends() -> None:
    content = w.store(w.key("one", CHAIN))
    for size in range(4, len(content), 3):
        with refused("malformed"):
            read(content[:size], "a.jks")


def test_no_changed_octet_passes() -> None:
    content = w.store(w.key("one", CHAIN))
    for at in range(0, len(content), 7):
        changed = content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :]
        with pytest.raises(Exception, match=r"a\.jks"):
            read(changed, "a.jks")


DAMAGED = {
    "octets behind it": (w.store(w.key("one", CHAIN)) + b"\0", "malformed"),
    "an entry too few": (w.store(w.key("one", CHAIN), count=2), "malformed"),
    "an entry too many": (w.store(w.key("one", CHAIN), w.trusted("b", ROOT), count=1), "malformed"),
    "a count of entries beyond sense": (w.store(count=0xFFFFFFFF), "malformed"),
    "one alias twice": (w.store(w.trusted("a", ROOT), w.trusted("a", OTHER)), "malformed"),
    "an entry of an unknown kind": (w.store(w.entry(9, b"a", b"")), "malformed"),
    "a serialised secret": (w.store(w.entry(3, b"a", b"\xac\xed")), "unsupported_format"),
    "an alias that is no UTF-8": (w.store(w.entry(2, b"\xff", w.certificate(ROOT.der))), "malformed"),
    "a certificate of another kind": (
        w.store(w.entry(2, b"a", w.certificate(ROOT.der, b"PGP"))),
        "unsupported_format",
    ),
    "an empty certificate": (w.store(w.entry(2, b"a", w.certificate(b""))), "malformed"),
    "version 3": (w.store(version=3), "unsupported_format"),
    "a key of nothing": (w.store(w.key("a", CHAIN, sealed=b"\x30\x00")), "malformed"),
    "a key protected otherwise": (
        w.store(w.key("a", CHAIN, sealed=w.protected(LEAF.key_der, PASSWORD, b"\x2a\x03"))),
        "unsupported_format",
    ),
    "a key too short for its salt": (
        w.store(w.key("a", CHAIN, sealed=w.protected(b"", PASSWORD)[:-30])),
        "malformed",
    ),
    "a key that is none": (w.store(w.key("a", CHAIN, sealed=w.protected(b"words", PASSWORD))), "malformed"),
    "1,001 certificates": (w.store(*(w.trusted(str(n), ROOT) for n in range(1001))), "too_large"),
    "a chain of 101": (w.store(w.key("a", [LEAF, *[ROOT] * 100])), "too_large"),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_what_no_java_writes_is_refused(what: str) -> None:
    content, code = DAMAGED[what]
    with refused(code, "a.jks"):
        read(content, "a.jks")


def test_limits_are_inclusive() -> None:
    assert (
        len(read(w.store(*(w.trusted(str(n), ROOT) for n in range(1000))), "a.jks", "trust").certificates)
        == 1000
    )
    assert len(read(w.store(w.key("a", [LEAF, *[ROOT] * 99])), "a.jks").certificates) == 100


@pytest.mark.parametrize(
    ("start", "words"),
    [
        ("cececece", ("JCEKS", "keytool -importkeystore")),
        ("aced0005", ("serialised Java object",)),
        ("0000000100000014", ("UBER",)),
        ("0000000200000014", ("BKS",)),
    ],
)
def test_other_stores_of_the_java_world_are_named(start: str, words: tuple[str, ...]) -> None:
    with refused("unsupported_format", "PKCS#12", *words):
        read(bytes.fromhex(start) + bytes(100), "a.jks")


def test_a_key_in_clear_is_no_protected_key() -> None:
    with refused("malformed"):
        read(w.store(w.key("a", CHAIN, sealed=asn1.encode(asn1.SEQUENCE, LEAF.key_der))), "a.jks")
