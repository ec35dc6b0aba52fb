"""Java key stores: Sun's JKS, versions 1 and 2, as `sun.security.provider.JavaKeyStore` of the OpenJDK writes them.

A JKS has no specification but its source: a header, entries (a protected key with its chain, or a trusted
certificate), and a SHA-1 digest over the password and all before it. Everything is counted before it is believed.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from dataclasses import dataclass

from stores.formats import asn1, limits
from stores.formats.certificates import read_certificate
from stores.formats.errors import ReadingError
from stores.formats.keys import read_key
from stores.formats.limits import Budget
from stores.formats.parsed import Certificate, Finding, Parsed, PrivateKey, Upload
from stores.formats.text import visible

MAGIC = b"\xfe\xed\xfe\xed"
KEY, TRUSTED, SECRET = 1, 2, 3
SUN_PROTECTION = "1.3.6.1.4.1.42.2.17.1.1"
DIGEST = hashlib.sha1(usedforsecurity=False).digest_size
OTHERS = (
    (b"\xce\xce\xce\xce", "a Java key store of the type JCEKS"),
    (b"\xac\xed\x00\x05", "a serialised Java object"),
    (b"\x00\x00\x00\x01\x00\x00\x00\x14", "a Bouncy Castle key store (BKS or UBER)"),
    (b"\x00\x00\x00\x02\x00\x00\x00\x14", "a Bouncy Castle key store (BKS)"),
)
"""First octets of key stores that look like Java's and are not read here, and what they are."""
_JCEKS = OTHERS[0][0]
_TO_PKCS12 = "keytool -importkeystore -srckeystore FILE -srcstoretype JCEKS -destkeystore store.p12 -deststoretype PKCS12"


@dataclass(frozen=True)
class _Entry:
    """One entry as it stands in the file: certificates in DER, and the protected key where there is one."""

    alias: str
    protected: bytes | None
    ders: tuple[bytes, ...]


def other_store(content: bytes) -> str:
    """What kind of key store from the Java world this is when it is no JKS, in words; "" when it is none of them."""
    return next((text for magic, text in OTHERS if content.startswith(magic)), "")


def read(upload: Upload, content: bytes, source: str, budget: Budget) -> Parsed:
    """Reads a JKS. Raises ReadingError: malformed, too_large, unsupported_format, password_required, wrong_password."""
    if other := other_store(content):
        raise ReadingError(
            "unsupported_format",
            f"{source} is {other}, which is not read here. Change the key store into PKCS#12 with the tool that wrote it.",
            command=_TO_PKCS12 if content.startswith(_JCEKS) else "",
        )
    entries = _entries(content, source)
    password = upload.password or ""
    if not _digest_right(content, password):
        raise _not_opened(upload, entries, source)
    budget.password_used = True
    return _parsed(upload, entries, password, source, budget)


def _entries(content: bytes, source: str) -> list[_Entry]:
    """All entries; nothing of them is believed yet."""
    reader = _Reader(content, source)
    if reader.take(4, "the magic number") != MAGIC:
        raise ReadingError("malformed", f"{source} does not begin as a Java key store does.")
    version, count = reader.number("its version"), reader.number("the number of entries")
    if version not in (1, 2):
        raise ReadingError(
            "unsupported_format",
            f"{source} is a Java key store of version {version}; versions 1 and 2 are read.",
        )
    entries = [reader.entry(version) for _ in range(count)]
    reader.take(DIGEST, "the digest at its end")
    if reader.at != len(content):
        raise reader.damaged(f"{len(content) - reader.at:,} octets follow its end")
    aliases = [entry.alias for entry in entries]
    if twice := next((alias for alias in aliases if aliases.count(alias) > 1), None):
        raise reader.damaged(f"two entries have the alias “{visible(twice)}”")
    return entries


class _Reader:
    """Takes a key store apart from the front; every length is held against what is left."""

    def __init__(self, content: bytes, source: str) -> None:
        self.content, self.source = content, source
        self.at = self.certificates = 0

    def damaged(self, how: str) -> ReadingError:
        return ReadingError(
            "malformed",
            f"{self.source} is a damaged Java key store: {how}. Copy it again, whole and in binary mode.",
        )

    def take(self, size: int, what: str) -> bytes:
        if size > len(self.content) - self.at:
            raise self.damaged(f"it ends at octet {len(self.content):,}, in the middle of {what}")
        self.at += size
        return self.content[self.at - size : self.at]

    def number(self, what: str) -> int:
        value: int = struct.unpack(">I", self.take(4, what))[0]
        return value

    def text(self, what: str) -> str:
        """Java's modified UTF-8: NUL in two octets, characters beyond U+FFFF as two surrogates of three."""
        octets = self.take(int.from_bytes(self.take(2, what), "big"), what).replace(b"\xc0\x80", b"\0")
        try:
            return octets.decode("utf-8", "surrogatepass").encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            raise self.damaged(f"{what} before octet {self.at:,} is not written in UTF-8") from None

    def entry(self, version: int) -> _Entry:
        kind, alias = self.number("an entry"), self.text("an alias")
        self.take(8, "the date of an entry")
        if kind == TRUSTED:
            return _Entry(alias, None, (self.certificate(version),))
        if kind == SECRET:
            text = f"{self.source} holds a secret key (“{visible(alias)}”), not a certificate; only key pairs and certificates are read."
            raise ReadingError("unsupported_format", text)
        if kind != KEY:
            raise self.damaged(f"the entry before octet {self.at:,} is of the unknown kind {kind}")
        protected = self.take(self.number("the length of a key"), "a private key")
        return _Entry(alias, protected, self.chain(alias, version))

    def chain(self, alias: str, version: int) -> tuple[bytes, ...]:
        count = self.number("the length of a chain")
        ders: list[bytes] = []
        for _ in range(count):
            ders.append(self.certificate(version))
            if len(ders) > limits.CHAIN:
                text = f"The chain of “{visible(alias)}” in {self.source} has more than {limits.CHAIN} certificates, the most read."
                raise ReadingError("too_large", text)
        return tuple(ders)

    def certificate(self, version: int) -> bytes:
        self.certificates += 1
        if self.certificates > limits.CERTIFICATES:
            text = f"{self.source} holds more than {limits.CERTIFICATES:,} certificates, the most that are read at once. Split it."
            raise ReadingError("too_large", text)
        kind = self.text("the type of a certificate") if version == 2 else "X.509"
        if kind not in ("X.509", "X509"):
            text = f"{self.source} holds a certificate of the type “{visible(kind)}”; only X.509 is read."
            raise ReadingError("unsupported_format", text)
        return self.take(self.number("the length of a certificate"), "a certificate")


def _secret(password: str) -> bytes:
    """A password as Java sees it: two octets for each char."""
    return password.encode("utf-16-be", "surrogatepass")


def _digest_right(content: bytes, password: str) -> bool:
    digest = hashlib.sha1(
        _secret(password) + b"Mighty Aphrodite" + content[:-DIGEST], usedforsecurity=False
    ).digest()
    return hmac.compare_digest(digest, content[-DIGEST:])


def _not_opened(upload: Upload, entries: list[_Entry], source: str) -> ReadingError:
    """The digest is wrong: by the password, unless that opens a key, whose digest is its own."""
    if upload.password is None:
        return ReadingError(
            "password_required",
            f"{source} is a Java key store and needs its password. Java's own trust store has “changeit”.",
            "password",
        )
    if any(_opens(entry, upload.password) for entry in entries):
        text = f"{source} was changed after it was written: the password opens its key, but its digest is wrong. Copy it again."
        return ReadingError("malformed", text)
    return ReadingError(
        "wrong_password",
        f"The password does not open {source}, or the file was changed after it was written. "
        "Check capitals and the keyboard layout.",
        "password",
        "keytool -list -keystore FILE",
    )


def _opens(entry: _Entry, password: str) -> bool:
    try:
        return entry.protected is not None and _plain(entry, password, "") is not None
    except ReadingError:
        return False


def _parsed(upload: Upload, entries: list[_Entry], password: str, source: str, budget: Budget) -> Parsed:
    certificates: list[Certificate] = []
    weaknesses: list[Finding] = []
    keys: list[PrivateKey] = []
    for entry in entries:
        own, weak = _certificates(entry, source)
        certificates += _new(entry, own, certificates)
        weaknesses += [finding for finding in weak if finding not in weaknesses]
        if entry.protected is not None:
            keys += _key(entry, tuple(c.sha256 for c in own), upload, password, source, budget)
    return Parsed("jks", tuple(certificates), tuple(keys), weaknesses=tuple(weaknesses))


def _certificates(entry: _Entry, source: str) -> tuple[list[Certificate], list[Finding]]:
    """The certificates of one entry and what is weak in them."""
    certificates: list[Certificate] = []
    weaknesses: list[Finding] = []
    for number, der in enumerate(entry.ders, 1):
        name = f"certificate {number} of “{visible(entry.alias)}” in {source}"
        certificate, weak = read_certificate(der, name)
        certificates.append(certificate)
        weaknesses += weak
    return certificates, weaknesses


def _new(entry: _Entry, own: list[Certificate], known: list[Certificate]) -> list[Certificate]:
    """Every key entry repeats its chain: what another entry brought already is not a duplicate in the file."""
    digests = {certificate.sha256 for certificate in known}
    return own if entry.protected is None else [c for c in own if c.sha256 not in digests]


def _key(
    entry: _Entry, chain: tuple[str, ...], upload: Upload, password: str, source: str, budget: Budget
) -> list[PrivateKey]:
    """The key of an entry; none when it has a password of its own and another entry was asked for."""
    name = f"the private key “{visible(entry.alias)}” in {source}"
    plain = _plain(entry, password, name)
    if plain is not None:
        return [read_key(plain, name, password=None, budget=budget, alias=visible(entry.alias), chain=chain)]
    if upload.alias is not None and upload.alias.casefold() != entry.alias.casefold():
        return []
    raise ReadingError(
        "wrong_password",
        f"The password opens {source}, but not {name}, which has another one. Give both the same.",
        "password",
        "keytool -keypasswd -alias ALIAS -keystore FILE",
    )


def _plain(entry: _Entry, password: str, source: str) -> bytes | None:
    """The key in PKCS#8, None when the password does not open it.

    Sun's key protection: a salt, the key under a stream of chained SHA-1 digests, and a digest to check the password.
    """
    with asn1.named(source):
        sealed = asn1.parse(entry.protected or b"").fields("a protected key")
        algorithm = sealed.take(asn1.SEQUENCE, "its algorithm").children()
        oid = algorithm[0].oid() if algorithm else ""
        data = sealed.take(asn1.OCTET_STRING, "the protected octets").content
    if oid != SUN_PROTECTION:
        text = f"{source} is protected by the algorithm {oid or 'of no name'}, which a JKS does not use."
        raise ReadingError("unsupported_format", text)
    if len(data) < 2 * DIGEST:
        raise ReadingError("malformed", f"{source} is cut off. Copy the key store again.")
    salt, hidden, digest = data[:DIGEST], data[DIGEST:-DIGEST], data[-DIGEST:]
    secret = _secret(password)
    plain = bytes(a ^ b for a, b in zip(hidden, _stream(secret, salt, len(hidden)), strict=True))
    return (
        plain
        if hmac.compare_digest(hashlib.sha1(secret + plain, usedforsecurity=False).digest(), digest)
        else None
    )


def _stream(secret: bytes, block: bytes, size: int) -> bytes:
    """The first `size` octets of SHA-1(secret, salt), SHA-1(secret, the digest before), ..."""
    blocks: list[bytes] = []
    for _ in range(-(-size // DIGEST)):
        block = hashlib.sha1(secret + block, usedforsecurity=False).digest()
        blocks.append(block)
    return b"".join(blocks)[:size]
