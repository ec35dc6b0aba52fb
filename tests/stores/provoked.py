"""One upload for every code of DESIGN section 6, as octets that somebody may really send."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID

from stores.formats.parsed import StoreKind
from tests.formats import jks_writer
from tests.formats.tools import PASSWORD
from tests.material import Minted, mint
from tests.rules.test_docs import (
    BILLING,
    DEAD,
    FULL,
    ISSUING,
    LEAF,
    LOCKED,
    POLICY,
    ROOT,
    by_sha1,
    costly_key,
    described,
    jar,
    request,
)


@dataclass(frozen=True)
class Provoked:
    """What is sent, and the form field beside which the answer belongs."""

    content: Callable[[], bytes]
    name: str = "orders-2027.pem"
    store: StoreKind = "key"
    field: str = "file"
    password: str = ""
    key: Callable[[], bytes] | None = None
    alias: str = ""


def pem(*chain: Minted, key: Minted | None = None) -> bytes:
    """The certificates, and the private key of the first one or of another."""
    return b"".join(one.pem for one in chain) + (key or chain[0]).key_pem


def plain(*chain: Minted) -> bytes:
    return b"".join(one.pem for one in chain)


def p12(password: bytes) -> bytes:
    how = BestAvailableEncryption(password)
    return pkcs12.serialize_key_and_certificates(None, LEAF.key, LEAF.certificate, None, how)


def two_keys() -> bytes:
    return jks_writer.store(jks_writer.key("orders", [LEAF]), jks_writer.key("billing", [BILLING]))


def leaf(**how: object) -> Minted:
    return mint("Orders Client", ISSUING, **how)  # type: ignore[arg-type]


ABOVE = FULL[1:]
JAR = "orders-2027.jar"
PROVOKED: dict[str, Provoked] = {
    "empty_file": Provoked(lambda: b" \r\n"),
    "too_large": Provoked(lambda: b"x" * (2 << 20)),
    "unsupported_format": Provoked(request, "orders-2027.csr"),
    "malformed": Provoked(lambda: LEAF.pem[:300]),
    "restricted_password": Provoked(lambda: p12(b"pass@word"), "orders-2027.p12", field="password", password="pass@word"),
    "password_required": Provoked(lambda: LEAF.pem + LOCKED, field="password"),
    "wrong_password": Provoked(lambda: LEAF.pem + LOCKED, field="password", password="Never-Shown-4711"),
    "too_costly": Provoked(costly_key, password="right"),
    "descriptor_missing": Provoked(lambda: described(b""), JAR),
    "descriptor_invalid": Provoked(lambda: described(b"certFile=main.pem\n"), JAR),
    "descriptor_file_missing": Provoked(lambda: described(b"certFile=chain.pem\nkeyFile=privateKey.pem\n"), JAR),
    "jar_signature_invalid": Provoked(lambda: jar(**{"META-INF/SIGNER.SF": b"Signature-Version: 1.0\n"}), JAR),
    "jar_unsafe": Provoked(lambda: jar(**{"../escape.pem": b"x"}), JAR),
    "format_not_for_store": Provoked(jar, JAR, "trust"),
    "no_certificate": Provoked(lambda: LEAF.key_pem),
    "key_missing": Provoked(lambda: plain(*FULL), field="key_file"),
    "several_keys": Provoked(two_keys, "orders-2027.jks", field="alias", password=PASSWORD),
    "key_mismatch": Provoked(lambda: plain(*FULL), field="key_file", key=lambda: BILLING.key_pem),
    "key_in_trust_store": Provoked(lambda: pem(*FULL), store="trust"),
    "expired": Provoked(lambda: pem(leaf(begin=-400, end=-2), *ABOVE)),
    "chain_expired": Provoked(lambda: pem(LEAF, DEAD, POLICY, ROOT)),
    "weak_key": Provoked(lambda: pem(leaf(kind="rsa1024", key_name="weak"), *ABOVE)),
    "weak_signature": Provoked(by_sha1, store="trust"),
    "unknown_critical_extension": Provoked(
        lambda: plain(mint("Odd CA", ROOT, ca=True, critical="1.3.6.1.4.1.99999.1")), store="trust"
    ),
    "not_yet_valid": Provoked(lambda: pem(leaf(begin=5), *ABOVE)),
    "expires_soon": Provoked(lambda: pem(leaf(begin=-300, end=9), *ABOVE)),
    "chain_incomplete": Provoked(lambda: pem(LEAF)),
    "chain_reordered": Provoked(lambda: pem(*reversed(FULL), key=LEAF)),
    "chain_unrelated": Provoked(lambda: pem(*FULL, mint("Other Root", ca=True))),
    "duplicate_certificates": Provoked(lambda: pem(LEAF, ISSUING, ISSUING, POLICY, ROOT)),
    "left_out": Provoked(lambda: plain(ROOT, DEAD), store="trust"),
    "not_for_client_auth": Provoked(lambda: pem(leaf(usages=[ExtendedKeyUsageOID.SERVER_AUTH]), *ABOVE)),
    "uncommon_key": Provoked(lambda: pem(leaf(kind="ed25519", key_name="uncommon"), *ABOVE)),
    "trusts_one_certificate": Provoked(lambda: plain(LEAF), store="trust"),
    "self_signed": Provoked(lambda: pem(mint("Own Client"))),
    "password_not_needed": Provoked(lambda: pem(*FULL), password="Never-Shown-4711"),
    "extension_mismatch": Provoked(lambda: pem(*FULL), "orders-2027.p12"),
}  # fmt: skip
