"""docs/codes.md explains exactly the codes that there are, with sentences that are really said."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from asn1crypto import keys as asn1_keys
from asn1crypto import pem as asn1_pem
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    pkcs12,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from stores.formats.parsed import Inspection, StoreKind, Upload
from stores.inspection import examine
from stores.rules import check, codes
from tests.material import NOW, mint
from tests.rules.offers import offer_key, offer_trust, parsed, upload

PAGE = Path(__file__).parents[2] / "docs" / "codes.md"
TITLE = {"error": "Error", "warning": "Warning", "info": "Info"}

ROOT = mint("Example Root", ca=True, end=3650)
POLICY = mint("Example Policy CA", ROOT, ca=True, end=1825)
ISSUING = mint("Example Issuing CA", POLICY, ca=True, end=1000)
LEAF = mint("Orders Client", ISSUING, issuer_url="http://pki.example.org/issuing.crt")
FULL = (LEAF, ISSUING, POLICY, ROOT)
BILLING = mint("Billing Client", ISSUING)
DEAD = mint("Example Issuing CA", POLICY, ca=True, begin=-900, end=-1)
LOCKED = LEAF.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"right"))


def read(
    content: bytes, name: str = "orders.pem", store: StoreKind = "key", password: str | None = None
) -> Inspection:
    return examine(Upload(name, content, store, password), NOW)


def request() -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(LEAF.certificate.subject)
    return builder.sign(LEAF.key, hashes.SHA256()).public_bytes(Encoding.PEM)


def by_sha1() -> bytes:
    """Says that it is signed with SHA-1, which no library does any more."""
    outdated = asn1_x509.Certificate.load(ISSUING.der)
    for algorithm in (outdated["tbs_certificate"]["signature"], outdated["signature_algorithm"]):
        algorithm["algorithm"] = "sha1_ecdsa"
    return bytes(asn1_pem.armor("CERTIFICATE", outdated.dump(force=True)))


def costly_key() -> bytes:
    _, _, der = asn1_pem.unarmor(LOCKED)
    info = asn1_keys.EncryptedPrivateKeyInfo.load(der)
    info["encryption_algorithm"]["parameters"]["key_derivation_func"]["parameters"]["iteration_count"] = (
        20_000_000
    )
    return LEAF.pem + bytes(asn1_pem.armor("ENCRYPTED PRIVATE KEY", info.dump(force=True)))


def jar(**parts: bytes) -> bytes:
    """A JAR of the usual parts, changed by `parts`; an empty part is left out."""
    usual = {
        "META-INF/descriptor.properties": b"certFile=main.pem\nkeyFile=privateKey.pem\n",
        "main.pem": LEAF.pem,
        "privateKey.pem": LEAF.key_pem,
    }
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in (usual | parts).items():
            if content:
                archive.writestr(name, content)
    return made.getvalue()


def described(text: bytes) -> bytes:
    return jar(**{"META-INF/descriptor.properties": text})


SAID: dict[str, Callable[[], Inspection]] = {
    "empty_file": lambda: read(b""),
    "too_large": lambda: read(b"x" * 2_000_000),
    "unsupported_format": lambda: read(request(), "orders.csr"),
    "malformed": lambda: read(LEAF.pem[:300]),
    "restricted_password": lambda: read(
        pkcs12.serialize_key_and_certificates(
            None, LEAF.key, LEAF.certificate, None, BestAvailableEncryption(b"pass@word")
        ),
        "orders.p12",
        password="pass@word",
    ),
    "password_required": lambda: read(LEAF.pem + LOCKED),
    "wrong_password": lambda: read(LEAF.pem + LOCKED, password="wrong"),
    "too_costly": lambda: read(costly_key(), password="right"),
    "descriptor_missing": lambda: read(described(b""), "orders.jar"),
    "descriptor_invalid": lambda: read(described(b"certFile=main.pem\n"), "orders.jar"),
    "descriptor_file_missing": lambda: read(
        described(b"certFile=chain.pem\nkeyFile=privateKey.pem\n"), "orders.jar"
    ),
    "jar_signature_invalid": lambda: read(
        jar(**{"META-INF/SIGNER.SF": b"Signature-Version: 1.0\n"}), "orders.jar"
    ),
    "jar_unsafe": lambda: read(jar(**{"../escape.pem": b"x"}), "orders.jar"),
    "format_not_for_store": lambda: read(jar(), "orders.jar", "trust"),
    "no_certificate": lambda: check(parsed([], [LEAF]), upload("key", "orders.key"), NOW),
    "key_missing": lambda: check(parsed(FULL), upload("key"), NOW),
    "several_keys": lambda: check(parsed([LEAF, BILLING], [LEAF, BILLING]), upload("key"), NOW),
    "key_mismatch": lambda: offer_key(*FULL, key=BILLING),
    "key_in_trust_store": lambda: check(parsed(FULL, [LEAF]), upload("trust"), NOW),
    "expired": lambda: offer_key(mint("Orders Client", ISSUING, begin=-400, end=-2), *FULL[1:]),
    "chain_expired": lambda: offer_key(LEAF, DEAD, POLICY, ROOT),
    "weak_key": lambda: offer_key(mint("Orders Client", ISSUING, kind="rsa1024"), *FULL[1:]),
    "weak_signature": lambda: read(by_sha1(), "trust.pem", "trust"),
    "unknown_critical_extension": lambda: offer_trust(
        mint("Odd CA", ROOT, ca=True, critical="1.3.6.1.4.1.99999.1")
    ),
    "not_yet_valid": lambda: offer_key(mint("Orders Client", ISSUING, begin=5), *FULL[1:]),
    "expires_soon": lambda: offer_key(mint("Orders Client", ISSUING, begin=-300, end=9), *FULL[1:]),
    "chain_incomplete": lambda: offer_key(LEAF),
    "chain_reordered": lambda: offer_key(ROOT, POLICY, ISSUING, LEAF, key=LEAF),
    "chain_unrelated": lambda: offer_key(*FULL, mint("Other Root", ca=True)),
    "duplicate_certificates": lambda: offer_key(LEAF, ISSUING, ISSUING, POLICY, ROOT),
    "left_out": lambda: offer_trust(ROOT, DEAD, leave_out=True),
    "not_for_client_auth": lambda: offer_key(
        mint("Orders Client", ISSUING, usages=[ExtendedKeyUsageOID.SERVER_AUTH]), *FULL[1:]
    ),
    "uncommon_key": lambda: offer_key(mint("Orders Client", ISSUING, kind="ed25519"), *FULL[1:]),
    "trusts_one_certificate": lambda: offer_trust(LEAF),
    "self_signed": lambda: offer_key(mint("Own Client")),
    "password_not_needed": lambda: read(b"".join(made.pem for made in FULL) + LEAF.key_pem, password="right"),
    "extension_mismatch": lambda: read(LEAF.pem + LEAF.key_pem, "orders.p12"),
}


def sections() -> dict[str, str]:
    """The text of each code's section, by code, in the order of the page."""
    parts = re.split(r"^### `(\w+)`\n", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_the_page_lists_exactly_the_codes_that_there_are_in_their_order() -> None:
    assert tuple(sections()) == codes.ALL
    assert tuple(SAID) == codes.ALL


@pytest.mark.parametrize("code", codes.ALL)
def test_the_page_shows_what_is_really_said(code: str) -> None:
    answer = SAID[code]()
    texts = [finding.text for finding in answer.findings if finding.code == code]
    section = sections()[code]
    assert section.startswith(TITLE[codes.severity_of(code)])
    assert re.findall(r"^> (.+)$", section, flags=re.MULTILINE) == texts
