"""What a reader takes and what it gives: bytes in, facts out. Knows no Django."""

from __future__ import annotations

import dataclasses
import datetime as dt
from dataclasses import dataclass
from typing import Literal

StoreKind = Literal["key", "trust"]
Format = Literal["pem", "der", "pkcs12", "pkcs7", "jar", "jks"]
Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True)
class Upload:
    """One upload as it came: a file, perhaps a second one with the key, a password.

    `password` is None when none was given, and then the empty one is tried. `symbols` is the setting
    STOREKEEPER_PASSWORD_SYMBOLS. `leave_out` keeps the usable certificates of a trust store file and drops the others.
    """

    name: str
    content: bytes = dataclasses.field(repr=False)
    store: StoreKind
    password: str | None = dataclasses.field(default=None, repr=False)
    key_name: str | None = None
    key_content: bytes | None = dataclasses.field(default=None, repr=False)
    alias: str | None = None
    leave_out: bool = False
    symbols: Literal["refuse", "warn"] = "refuse"


@dataclass(frozen=True)
class Certificate:
    """Facts of one X.509 certificate (RFC 5280), plain values only: safe to pickle, to store and to show.

    Names are RFC 4514 strings without control characters. Times are UTC. Digests are lower-case hex.
    """

    der: bytes = dataclasses.field(repr=False)
    sha256: str
    subject: str
    issuer: str
    common_name: str
    """What a person calls it: the common name, else the first alternative name, else the subject, else "no name"."""
    serial: str
    """Lower-case hex without leading zeros or colons; a negative number has a leading minus."""
    not_before: dt.datetime
    not_after: dt.datetime
    key_type: str
    """As shown: "RSA 2048", "EC P-256", "Ed25519", "DSA 1024", or the algorithm's object identifier."""
    signature: str
    """As shown: "SHA-256 with RSA", "SHA-256 with ECDSA", "Ed25519", or the object identifier."""
    names: tuple[str, ...]
    """Subject alternative names, as "DNS:orders.example.org", "IP:192.0.2.1", "email:...", "URI:..."."""
    usages: tuple[str, ...]
    """Key usages and extended key usages in words, as "digital signature", "client authentication"."""
    is_ca: bool
    is_self_signed: bool
    """Subject equals issuer and its own key verifies its signature."""
    spki_sha256: str
    """Digest of the SubjectPublicKeyInfo: equal for certificates of the same key."""
    issuer_urls: tuple[str, ...] = ()
    """Authority information access: where the issuer's certificate can be had (http and https only)."""


@dataclass(frozen=True)
class PrivateKey:
    """One private key, decrypted: unencrypted PKCS#8 in DER. Never shown, never logged."""

    pkcs8: bytes = dataclasses.field(repr=False)
    spki_sha256: str
    key_type: str
    alias: str = ""
    """Alias or friendly name in the file; "" where the format has none."""
    chain: tuple[str, ...] = ()
    """sha256 of the certificates the format itself attaches to this key (JKS chains, PKCS#12 localKeyID); may be empty."""


@dataclass(frozen=True)
class Finding:
    """What a rule has to say: a code of DESIGN section 6, how grave it is, and one sentence (what is wrong, what to do)."""

    code: str
    severity: Severity
    text: str
    certificate: str | None = None
    """sha256 of the certificate it is about."""
    field: str = "file"
    """The form field an error belongs to: file, key_file, password, alias."""
    command: str = ""
    """A shell command that makes the file right, to copy; empty where there is none."""


@dataclass(frozen=True)
class Parsed:
    """What was read from an upload, before any rule: everything inside, in the order of the file."""

    format: Format
    certificates: tuple[Certificate, ...]
    """In the order of the file, duplicates included."""
    keys: tuple[PrivateKey, ...] = dataclasses.field(default=(), repr=False)
    findings: tuple[Finding, ...] = ()
    """What reading itself noticed: extension_mismatch, password_not_needed, restricted_password as a warning."""
    weaknesses: tuple[Finding, ...] = ()
    """Per certificate, each with its sha256: weak_key, weak_signature, unknown_critical_extension. Whether they count is
    for the rules to say (a self-signed certificate's own signature does not matter, what is not kept does not matter)."""


@dataclass(frozen=True)
class Inspection:
    """The answer to an upload, the same for form, API and command (DESIGN section 5).

    `certificates` are those that would be kept: for a key store leaf first, then intermediates, then the root where it
    is in the file; for a trust store in the order of the file. When refused they are what could be read.
    """

    file: str
    accepted: bool
    code: str | None
    message: str
    format: Format | None = None
    certificates: tuple[Certificate, ...] = ()
    findings: tuple[Finding, ...] = ()
    """Errors first, then warnings, then infos."""
    key: PrivateKey | None = dataclasses.field(default=None, repr=False)
    field: str = "file"
    """The form field that the first error belongs to."""
    aliases: tuple[str, ...] = ()
    """Names of the private keys to choose from, when there are several."""
    unusable: tuple[Finding, ...] = ()
    """Certificates of a trust store file that could be left out, and why; empty when nothing would remain."""
    missing_issuer: str = ""
    """Subject of the certificate that would come next in the chain and is not in the file; "" when the chain ends in a
    self-signed certificate."""
