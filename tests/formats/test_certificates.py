"""Facts and weaknesses of one certificate."""

from __future__ import annotations

import datetime as dt
import ipaddress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from stores.formats.asn1 import SEQUENCE, encode, parse
from stores.formats.certificates import read_certificate
from stores.formats.errors import ReadingError
from tests.material import NOW, Minted, key, mint

ROOT = mint("Root", ca=True, key_usage=True)


def test_facts_are_those_of_the_certificate() -> None:
    leaf = mint("orders.example", ROOT, key_usage=True, issuer_url="http://pki.example/ca.crt")
    facts, weaknesses = read_certificate(leaf.der, "orders.pem")
    assert weaknesses == ()
    assert facts.sha256 == leaf.sha256
    assert (facts.subject, facts.issuer, facts.common_name) == (
        "CN=orders.example",
        "CN=Root",
        "orders.example",
    )
    assert facts.serial == f"{leaf.certificate.serial_number:x}"
    assert (facts.not_before, facts.not_after) == (NOW - dt.timedelta(days=30), NOW + dt.timedelta(days=365))
    assert (facts.key_type, facts.signature) == ("EC P-256", "SHA-256 with ECDSA")
    assert facts.usages == ("digital signature", "client authentication", "server authentication")
    assert facts.issuer_urls == ("http://pki.example/ca.crt",)
    assert (facts.is_ca, facts.is_self_signed) == (False, False)


def test_a_root_is_a_ca_that_signed_itself() -> None:
    facts, _ = read_certificate(ROOT.der, "root.pem")
    assert (facts.is_ca, facts.is_self_signed) == (True, True)
    assert facts.usages == ("digital signature", "certificate signing", "CRL signing")


def test_a_namesake_of_its_issuer_did_not_sign_itself() -> None:
    facts, _ = read_certificate(mint("Root", ROOT, key_name="another").der, "root.pem")
    assert facts.subject == facts.issuer
    assert not facts.is_self_signed


@pytest.mark.parametrize(
    ("kind", "shown"),
    [("rsa2048", "RSA 2048"), ("p384", "EC P-384"), ("ed25519", "Ed25519"), ("ed448", "Ed448")],
)
def test_sound_keys_are_named(kind: str, shown: str) -> None:
    facts, weaknesses = read_certificate(mint(kind, kind=kind).der, "a.pem")
    assert facts.key_type == shown
    assert weaknesses == ()
    assert facts.is_self_signed


@pytest.mark.parametrize(("kind", "said"), [("rsa1024", "1024 bits"), ("p192", "P-192"), ("dsa", "DSA")])
def test_weak_keys_are_told_by_name(kind: str, said: str) -> None:
    weak = mint(f"Weak {kind}", kind=kind)
    _, weaknesses = read_certificate(weak.der, "a.pem")
    (finding,) = weaknesses
    assert (finding.code, finding.certificate) == ("weak_key", weak.sha256)
    assert said in finding.text
    assert f"Weak {kind}" in finding.text


def test_a_critical_extension_that_is_not_known_is_named() -> None:
    _, weaknesses = read_certificate(mint("Odd", critical="1.3.6.1.4.1.99999.1").der, "a.pem")
    assert [finding.code for finding in weaknesses] == ["unknown_critical_extension"]
    assert "1.3.6.1.4.1.99999.1" in weaknesses[0].text


def alternative(*names: x509.GeneralName, subject: x509.Name | None = None) -> Minted:
    own = key("alternative")
    name = subject or x509.Name([])
    builder = x509.CertificateBuilder(name, name, own.public_key(), 7, NOW, NOW + dt.timedelta(days=1))
    return Minted(
        builder.add_extension(x509.SubjectAlternativeName(names), critical=True).sign(own, hashes.SHA256()),
        own,
    )


def test_alternative_names_of_every_kind() -> None:
    relative = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example")])
    minted = alternative(
        x509.DNSName("a.example"), x509.IPAddress(ipaddress.ip_address("192.0.2.1")),
        x509.IPAddress(ipaddress.ip_address("2001:db8::1")), x509.RFC822Name("a@example.org"),
        x509.UniformResourceIdentifier("urn:a"), x509.DirectoryName(relative),
    )  # fmt: skip
    facts, _ = read_certificate(minted.der, "a.pem")
    assert facts.names == (
        "DNS:a.example", "IP:192.0.2.1", "IP:2001:db8::1", "email:a@example.org", "URI:urn:a", "directory:O=Example",
    )  # fmt: skip
    assert facts.common_name == "a.example"


def test_names_follow_rfc_4514_and_hide_nothing() -> None:
    attributes = [
        x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, 'Söhne, "X" + <Y>'),
        x509.NameAttribute(NameOID.COMMON_NAME, "#a\u202eb\x1b[2Jc "),
    ]
    facts, _ = read_certificate(
        alternative(x509.DNSName("a.example"), subject=x509.Name(attributes)).der, "a.pem"
    )
    assert facts.subject == 'CN=\\#a\\\\u202eb\\\\u001b[2Jc\\ ,O=Söhne\\, \\"X\\" \\+ \\<Y\\>,C=DE'
    assert facts.common_name == "#a\\u202eb\\u001b[2Jc"


def test_an_address_that_is_no_web_address_is_not_kept() -> None:
    facts, _ = read_certificate(mint("a", ROOT, issuer_url="javascript:alert(1)").der, "a.pem")
    assert facts.issuer_urls == ()


def test_pss_is_named_with_its_digest() -> None:
    own = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pss")])
    builder = x509.CertificateBuilder(name, name, own.public_key(), 7, NOW, NOW + dt.timedelta(days=1))
    scheme = padding.PSS(padding.MGF1(hashes.SHA384()), 48)
    facts, weaknesses = read_certificate(
        Minted(builder.sign(own, hashes.SHA384(), rsa_padding=scheme), own).der, "a.pem"
    )
    assert facts.signature == "SHA-384 with RSA-PSS"
    assert facts.is_self_signed
    assert weaknesses == ()


def test_two_signature_algorithms_that_differ_are_malformed() -> None:
    body, algorithm, signature = (node.raw for node in parse(ROOT.der).children())
    sha512 = algorithm.replace(bytes.fromhex("2a8648ce3d040302"), bytes.fromhex("2a8648ce3d040304"))
    assert sha512 != algorithm
    with pytest.raises(ReadingError, match="two signature algorithms that differ"):
        read_certificate(encode(SEQUENCE, body, sha512, signature), "a.pem")


@pytest.mark.parametrize("cut", [1, 5, 100, 300])
def test_a_cut_certificate_is_malformed_and_named(cut: int) -> None:
    with pytest.raises(ReadingError) as caught:
        read_certificate(ROOT.der[:-cut], "certificate 3 in bundle.pem")
    assert caught.value.code == "malformed"
    assert "Certificate 3 in bundle.pem" in caught.value.sentence


@pytest.mark.parametrize("value", [0x00, 0x01, 0x80, 0xFF, -1, -0x80])
def test_whatever_octet_is_changed_it_is_read_or_refused(value: int) -> None:
    """A value below zero is mixed into the octet, others replace it."""
    der = mint("orders.example", ROOT, key_usage=True).der
    answers = set()
    for at in range(len(der)):
        changed = bytearray(der)
        changed[at] = value if value >= 0 else changed[at] ^ -value
        try:
            read_certificate(bytes(changed), "a.pem")
        except ReadingError as error:
            answers.add(error.code)
        else:
            answers.add("read")
    assert answers <= {"read", "malformed", "unsupported_format", "too_large"}
    assert {"read", "malformed"} <= answers


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"\xa0\x03\x02\x01\x02", b"\xa0\x00"), (b"\xa0\x03\x02\x01\x02", b"\xa0\x04\x02\x02\x00\x02")],
)
def test_a_certificate_with_an_odd_version_is_malformed(old: bytes, new: bytes) -> None:
    outer, algorithm, signature = (node.raw for node in parse(ROOT.der).children())
    content = parse(outer).content.replace(old, new, 1)
    with pytest.raises(ReadingError) as caught:
        read_certificate(encode(SEQUENCE, encode(SEQUENCE, content), algorithm, signature), "a.pem")
    assert caught.value.code == "malformed"
