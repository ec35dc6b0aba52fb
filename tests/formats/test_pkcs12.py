"""PKCS#12: what openssl and keytool write, several keys, passwords, and what it may cost."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from unittest import mock

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from stores.formats.asn1 import BMP_STRING, OCTET_STRING, SEQUENCE, SET, encode, parse
from stores.formats.errors import ReadingError
from stores.formats.parsed import Parsed
from stores.rules.password import SYMBOLS
from tests.formats import p12_writer as w
from tests.formats.tools import PASSWORD, keytool, read, refused, run
from tests.material import Minted, mint

ROOT = mint("P12 Root", ca=True)
ISSUER = mint("P12 Issuer", ROOT, ca=True)
LEAF = mint("P12 Leaf", ISSUER)
RSA = mint("P12 RSA", ISSUER, kind="rsa2048")
OTHER = mint("P12 Other", ROOT)


def digests(parsed: Parsed) -> list[str]:
    return [certificate.sha256 for certificate in parsed.certificates]


def sums(*minted: Minted) -> list[str]:
    return [one.sha256 for one in minted]


def by_pyca(leaf: Minted, *chain: Minted, password: str = PASSWORD) -> bytes:
    lock = (
        serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
    )
    above = [one.certificate for one in chain]
    return pkcs12.serialize_key_and_certificates(b"orders", leaf.key, leaf.certificate, above, lock)


@cache
def by_openssl(*options: str, password: str = PASSWORD) -> bytes:
    files = {"k": RSA.key_pem, "c": RSA.pem, "ca": ISSUER.pem + ROOT.pem, "p": password.encode() + b"\n"}
    command = (
        "openssl",
        "pkcs12",
        "-export",
        "-inkey",
        "k",
        "-in",
        "c",
        "-certfile",
        "ca",
        "-name",
        "orders",
    )
    return run(*command, "-passout", "file:p", "-out", "o", *options, files=files, out="o")


LOCKS = {
    "AES-256 and PBKDF2": "",
    "RC2 and 3DES": "-legacy",
    "RC4": "-legacy -certpbe PBE-SHA1-RC4-40 -keypbe PBE-SHA1-RC4-128",
    "RC2 with 128 bits and two-key 3DES": "-legacy -certpbe PBE-SHA1-RC2-128 -keypbe PBE-SHA1-2DES",
    "MD5 and DES": "-legacy -certpbe PBE-MD5-DES -keypbe PBE-SHA1-DES",
    "RC2 by PBES2": "-legacy -certpbe RC2-CBC -keypbe DES-EDE3-CBC",
    "certificates in the clear": "-certpbe NONE",
    "nothing encrypted, a MAC": "-certpbe NONE -keypbe NONE",
    "no MAC": "-nomac",
    "MAC with SHA-1": "-macalg sha1",
    "MAC with SHA-384": "-macalg sha384",
    "MAC with MD5": "-macalg md5",
    "one round": "-noiter -nomaciter",
}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_lock_of_openssl_opens_with_its_password_only(lock: str) -> None:
    content = by_openssl(*LOCKS[lock].split())
    parsed = read(content, "o.p12")
    assert digests(parsed) == sums(RSA, ISSUER, ROOT)
    assert [(key.alias, key.pkcs8, key.chain) for key in parsed.keys] == [
        ("orders", RSA.key_der, (RSA.sha256,))
    ]
    with refused("wrong_password", "o.p12"):
        read(content, "o.p12", password="change-it")
    with refused("password_required", "o.p12"):
        read(content, "o.p12", password=None)


def test_nothing_locked_needs_no_password() -> None:
    content = by_openssl("-certpbe", "NONE", "-keypbe", "NONE", "-nomac")
    assert not read(content, "o.p12", password=None).findings
    assert [finding.code for finding in read(content, "o.p12").findings] == ["password_not_needed"]


@pytest.mark.parametrize("options", ["", "-legacy", "-nomac", "-legacy -nomac"])
def test_an_empty_password_is_tried_first_where_none_is_given_and_last_where_a_needless_one_is(
    options: str,
) -> None:
    content = by_openssl(*options.split(), password="")
    assert read(content, "o.p12", password=None).findings == ()
    assert read(content, "o.p12", password="").findings == ()
    assert [finding.code for finding in read(content, "o.p12").findings] == ["password_not_needed"]


@pytest.mark.parametrize("octets", [b"\0\0", b""])
def test_an_empty_password_has_two_forms(octets: bytes) -> None:
    safe = w.open_safe(w.certificate(ROOT))
    content = w.pfx(safe, mac_data=w.mac(encode(SEQUENCE, safe), octets))
    assert digests(read(content, "o.p12", "trust", None)) == sums(ROOT)


@pytest.mark.parametrize(
    "password", ["größe", "пароль", "schlüssel🔑", " blanks ", "with-dash_under.dot~tilde", "x" * 200]
)
def test_passwords_may_hold_any_letter(password: str) -> None:
    for content in (by_pyca(RSA, password=password), by_openssl("-legacy", password=password)):
        assert read(content, "o.p12", password=password).keys[0].pkcs8 == RSA.key_der


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_a_restricted_symbol_is_said_before_anything_is_derived(symbol: str) -> None:
    content = by_pyca(LEAF)
    with (
        mock.patch("hashlib.pbkdf2_hmac") as derive,
        refused("restricted_password", symbol, "Export it again"),
    ):
        read(content, "o.p12", password=f"secret{symbol}word")
    derive.assert_not_called()


def test_restricted_symbols_can_be_warned_of_and_the_file_be_read() -> None:
    content = by_pyca(LEAF, password="a@b!")
    parsed = read(content, "o.p12", password="a@b!", symbols="warn")
    assert parsed.keys
    (finding,) = parsed.findings
    assert (finding.code, finding.severity, finding.field) == ("restricted_password", "warning", "password")
    assert "! @" in finding.text
    assert "a@b!" not in finding.text


def test_keytool_stores_with_two_keys_and_a_trusted_certificate_are_read_whole() -> None:
    pair = ("-dname", "CN=one", "-keyalg", "EC", "-groupname", "secp256r1", "-storetype", "PKCS12")
    one = keytool("-genkeypair", "-alias", "first", *pair, out="o")
    two = keytool("-genkeypair", "-alias", "Second", *pair, out="o", o=one)
    parsed = read(keytool("-importcert", "-alias", "ca", "-file", "c", out="o", o=two, c=ROOT.pem), "o.p12")
    assert [key.alias for key in parsed.keys] == ["first", "second"]
    facts = {certificate.sha256: certificate.spki_sha256 for certificate in parsed.certificates}
    assert [facts[key.chain[0]] for key in parsed.keys] == [key.spki_sha256 for key in parsed.keys]
    assert ROOT.sha256 in facts
    assert len(facts) == 3


def test_old_java_stores_are_read() -> None:
    pair = ("-genkeypair", "-alias", "one", "-dname", "CN=one", "-keyalg", "RSA", "-storetype", "PKCS12")
    assert read(keytool(*pair, "-J-Dkeystore.pkcs12.legacy", out="o"), "o.p12").keys[0].alias == "one"


def test_java_trust_stores_without_password_are_read() -> None:
    bare = [f"-J-Dkeystore.pkcs12.{part}=NONE" for part in ("certProtectionAlgorithm", "macAlgorithm")]
    content = keytool(
        "-importcert", "-alias", "ca", "-file", "c", "-storetype", "PKCS12", *bare, out="o", c=ROOT.pem
    )
    assert digests(read(content, "o.p12", "trust", None)) == sums(ROOT)


def test_a_key_is_called_by_its_name_else_by_its_certificates_else_by_its_number() -> None:
    first, second = w.local_id(b"1"), w.local_id(b"2")
    certificates = (
        w.certificate(LEAF, first, w.name("leaf")),
        w.certificate(OTHER, second),
        w.certificate(RSA),
    )
    keys = (
        w.key(LEAF, first),
        w.key(OTHER, second, w.name("Größe 🔑")),
        w.key(RSA),
        w.key(ISSUER, w.name("leaf")),
    )
    parsed = read(w.pfx(w.sealed_safe(*certificates), w.open_safe(*keys)), "o.p12")
    assert [(key.alias, key.chain) for key in parsed.keys] == [
        ("leaf", (LEAF.sha256,)), ("Größe 🔑", (OTHER.sha256,)), ("3", ()), ("leaf (2)", ()),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a\0\x1b[31m", "a\\u0000\\u001b[31m"), ("half \ud83d pair", "half � pair"), ("", "1")],
)
def test_names_are_shown_without_what_cannot_be_seen(text: str, shown: str) -> None:
    assert read(w.pfx(w.open_safe(w.key(LEAF, w.name(text)))), "o.p12").keys[0].alias == shown


def test_odd_but_allowed_bags_are_read() -> None:
    empty = encode(SEQUENCE, w.oid("1.2.840.113549.1.9.20"), encode(SET))
    plain = w.bag(w.PLAIN_KEY, LEAF.key_der, empty)
    nested = w.bag(w.NESTED, encode(SEQUENCE, w.certificate(LEAF), w.bag(w.NESTED, encode(SEQUENCE, plain))))
    passed_over = w.bag(w.CRL, encode(SEQUENCE)), w.bag(w.SECRET, encode(SEQUENCE))
    parsed = read(w.pfx(w.open_safe(nested, *passed_over), mac_data=b""), "o.p12", password=None)
    assert (digests(parsed), parsed.keys[0].pkcs8) == (sums(LEAF), LEAF.key_der)


def indefinite(element: bytes, levels: int) -> bytes:
    """BER as NSS and older Java libraries write it: no lengths outside, octet strings in pieces."""
    node = parse(element)
    if not levels:
        return element
    if node.constructed:
        parts = b"".join(indefinite(child.raw, levels - 1) for child in node.children())
        return bytes([node.tag, 0x80]) + parts + b"\0\0"
    if node.tag in (0x04, 0x80) and len(node.content) > 50:
        pieces = (encode(OCTET_STRING, node.content[at : at + 50]) for at in range(0, len(node.content), 50))
        return bytes([node.tag | 0x20, 0x80]) + b"".join(pieces) + b"\0\0"
    return element


def test_ber_is_read_outside_and_inside() -> None:
    bags = indefinite(encode(SEQUENCE, w.certificate(LEAF), w.key(LEAF)), 9)
    open_safe = indefinite(w.content(w.DATA, encode(OCTET_STRING, bags)), 4)
    sealed = indefinite(
        w.sealed_octets(w.encrypted(indefinite(encode(SEQUENCE, w.certificate(ROOT)), 9)), 2), 9
    )
    contents = bytes([SEQUENCE, 0x80]) + open_safe + sealed + b"\0\0"
    whole = encode(SEQUENCE, b"\2\1\3", w.content(w.DATA, encode(OCTET_STRING, contents)), w.mac(contents))
    parsed = read(indefinite(whole, 5), "o.p12")
    assert (digests(parsed), len(parsed.keys)) == (sums(LEAF, ROOT), 1)


@pytest.mark.parametrize("size", [20, 32, 64])
def test_pbmac1_shows_whether_the_password_is_right(size: int) -> None:
    safe = w.open_safe(w.certificate(ROOT))
    content = w.pfx(safe, mac_data=w.pbmac1(encode(SEQUENCE, safe), size=size))
    assert digests(read(content, "o.p12", "trust")) == sums(ROOT)
    with refused("wrong_password"):
        read(content, "o.p12", "trust", "guessed")


def test_a_wrong_password_is_told_from_damage() -> None:
    content = w.pfx(w.sealed_safe(w.certificate(LEAF)), w.open_safe(w.key(LEAF)))
    with refused("wrong_password"):
        read(content, "o.p12", password="guessed")
    with refused("malformed", "changed after it was written"):
        read(content[:-20] + bytes([content[-20] ^ 1]) + content[-19:], "o.p12")


def test_a_part_with_another_password_is_named() -> None:
    with refused("wrong_password", "encrypted part of o.p12"):
        read(w.pfx(w.sealed_safe(w.certificate(LEAF), password="its own")), "o.p12")
    with refused("wrong_password", "“inner”"):
        read(w.pfx(w.open_safe(w.key(LEAF, w.name("inner"), password="its own"))), "o.p12")


COSTLY = {
    "in the MAC": w.pfx(w.open_safe(w.certificate(LEAF)), mac_data=w.claimed_mac(10_000_001)),
    "in a safe": w.pfx(w.sealed_octets(bytes(32), 10_000_001)),
    "in a key": w.pfx(w.open_safe(w.costly_key(10_000_001))),
    "in a key inside a safe": w.pfx(w.sealed_safe(w.costly_key(9_999_999))),
    "in all together": w.pfx(
        w.sealed_octets(bytes(32), 4_000_000),
        w.open_safe(w.costly_key(4_000_000)),
        mac_data=w.claimed_mac(2_000_001),
    ),
    "in many keys": w.pfx(w.open_safe(*[w.costly_key(100_001)] * 100), mac_data=w.claimed_mac(1)),
    "in PBMAC1": w.pfx(w.open_safe(), mac_data=w.pbmac1(b"", rounds=1, said=65)),
}


@pytest.mark.parametrize("where", COSTLY)
def test_what_costs_too_much_is_refused_before_the_work_is_done(where: str) -> None:
    done: list[int] = []

    def derive(name: str, password: bytes, salt: bytes, rounds: int, size: int | None = None) -> bytes:
        done.append(rounds)
        return real(name, password, salt, rounds, size)

    real = hashlib.pbkdf2_hmac
    with mock.patch("hashlib.pbkdf2_hmac", derive), refused("too_costly", "o.p12"):
        read(COSTLY[where], "o.p12")
    assert sum(done) <= 2


def unsigned(*safes: bytes) -> bytes:
    return w.pfx(*safes, mac_data=b"")


BROKEN = {
    "version 2": (w.pfx(w.open_safe(), version=2), "malformed"),
    "a signature in place of a MAC": (
        encode(SEQUENCE, b"\2\1\3", w.content(w.SIGNED, encode(SEQUENCE))), "unsupported_format",
    ),
    "encrypted for a certificate": (unsigned(w.content(w.ENVELOPED, encode(SEQUENCE))), "unsupported_format"),
    "a part of no known type": (unsigned(w.content("1.2.840.113549.1.7.9", encode(SEQUENCE))), "malformed"),
    "a bag of no known type": (unsigned(w.open_safe(w.bag("1.2.3", encode(SEQUENCE)))), "unsupported_format"),
    "a certificate of another kind": (unsigned(w.open_safe(w.certificate(LEAF, kind="1.2.3"))), "unsupported_format"),
    "an element behind a bag": (unsigned(w.open_safe(w.certificate(LEAF) + b"\5\0")), "malformed"),
    "a safe that is no list": (unsigned(w.content(w.DATA, encode(OCTET_STRING, b"\5\0"))), "malformed"),
    "a MAC without rounds": (w.pfx(w.open_safe(), mac_data=w.claimed_mac(0)), "malformed"),
    "a MAC of one octet": (w.pfx(w.open_safe(), mac_data=w.claimed_mac(1, b"x")), "malformed"),
    "a MAC with a huge salt": (w.pfx(w.open_safe(), mac_data=w.claimed_mac(1, salt=bytes(1025))), "malformed"),
    "a MAC by an unknown digest": (w.pfx(w.open_safe(), mac_data=w.claimed_mac(1, kind="1.2.3")), "unsupported_format"),
    "a MAC key of no octets": (w.pfx(w.open_safe(), mac_data=w.pbmac1(b"", said=0)), "malformed"),
    "a MAC over other octets": (w.pfx(w.open_safe(), mac_data=w.mac(b"other")), "wrong_password"),
    "a name that is a number": (
        unsigned(w.open_safe(w.certificate(LEAF, encode(SEQUENCE, w.oid("1.2.3"), encode(BMP_STRING))))), "malformed",
    ),
    "1,001 certificates": (unsigned(w.open_safe(*[w.certificate(ROOT)] * 1001)), "too_large"),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_what_no_tool_writes_is_refused(what: str) -> None:
    content, code = BROKEN[what]
    with refused(code):
        read(content, "o.p12")


def test_a_file_that_ends_early_is_damaged_wherever_it_ends() -> None:
    content = by_pyca(LEAF, ISSUER)
    for size in range(20, len(content), 13):
        with refused("malformed"):
            read(content[:size], "o.p12")


def test_no_octet_can_be_changed_unnoticed_under_a_mac() -> None:
    content = w.pfx(w.sealed_safe(w.certificate(LEAF)), w.open_safe(w.key(LEAF)))
    for at in range(0, len(content), 11):
        changed = content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :]
        with pytest.raises(ReadingError) as caught:
            read(changed, "o.p12")
        assert not re.search(PASSWORD, caught.value.sentence)
