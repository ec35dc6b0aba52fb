"""The MAC of PKCS#12, which shows that the password is right: classic (RFC 7292, section 5.1) and PBMAC1 (RFC 9579)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

from stores.formats.asn1 import INTEGER, OCTET_STRING, OID, SEQUENCE, Asn1Error, Fields, Node
from stores.formats.encryption import PBKDF2, PRFS, check_salt, read_derivation, utf8
from stores.formats.errors import ReadingError
from stores.formats.legacy import PURPOSE_MAC, pkcs12_kdf, pkcs12_password
from stores.formats.limits import Budget

_PBMAC1 = "1.2.840.113549.1.5.14"
_DIGESTS = {
    "1.2.840.113549.2.5": "md5", "1.3.14.3.2.26": "sha1", "2.16.840.1.101.3.4.2.4": "sha224",
    "2.16.840.1.101.3.4.2.1": "sha256", "2.16.840.1.101.3.4.2.2": "sha384", "2.16.840.1.101.3.4.2.3": "sha512",
}  # fmt: skip


Mac = Callable[[str], bool]
"""Whether a password is the one that the MAC was made with. Its derivation is paid for."""


def read_mac(node: Node, contents: bytes, budget: Budget, source: str) -> Mac:
    """The MAC over `contents`; charges its derivation.

    Raises Asn1Error, ReadingError malformed, too_costly or unsupported_format.
    """
    fields = node.fields("the MAC")
    info = fields.take(SEQUENCE, "the digest of the MAC").fields("the digest of the MAC")
    algorithm = info.take(SEQUENCE, "the algorithm of the MAC").fields("the algorithm of the MAC")
    kind = algorithm.take(OID, "the algorithm of the MAC").oid()
    expected = info.take(OCTET_STRING, "the value of the MAC").content
    salt = check_salt(fields.take(OCTET_STRING, "the salt of the MAC").content)
    rounds = fields.maybe(INTEGER)
    fields.done()
    if kind == _PBMAC1:
        return _pbmac1(algorithm, expected, contents, budget, source)
    if kind not in _DIGESTS:
        raise _unknown(kind, source)
    budget.charge(rounds.integer() if rounds else 1, f"the MAC of {source}")
    return _classic(_DIGESTS[kind], salt, rounds.integer() if rounds else 1, expected, contents)


def _unknown(kind: str, source: str) -> ReadingError:
    text = f"The MAC of {source} uses an algorithm that is not supported: object identifier {kind}. Export it again with SHA-256."
    return ReadingError("unsupported_format", text)


def _classic(digest: str, salt: bytes, rounds: int, expected: bytes, contents: bytes) -> Mac:
    size = _check_size(expected, digest)

    def matches(password: str) -> bool:
        # An empty password has two forms in use: only the final zero character, and nothing at all.
        forms = [pkcs12_password(password)] if password else [pkcs12_password(""), b""]
        keys = (pkcs12_kdf(digest, form, salt, rounds, PURPOSE_MAC, size) for form in forms)
        return any(hmac.compare_digest(hmac.digest(key, contents, digest), expected) for key in keys)

    return matches


def _check_size(expected: bytes, digest: str) -> int:
    size = hashlib.new(digest, usedforsecurity=False).digest_size
    if len(expected) != size:
        raise Asn1Error(f"the value of the MAC has {len(expected):,} octets; it must have {size}")
    return size


def _pbmac1(algorithm: Fields, expected: bytes, contents: bytes, budget: Budget, source: str) -> Mac:
    parameters = algorithm.take(SEQUENCE, "the parameters of PBMAC1").fields("the parameters of PBMAC1")
    derivation = parameters.take(SEQUENCE, "the key derivation of the MAC")
    kind = (
        parameters.take(SEQUENCE, "the hash of the MAC")
        .fields("the hash of the MAC")
        .take(OID, "the hash of the MAC")
        .oid()
    )
    if kind not in PRFS:
        raise _unknown(kind, source)
    digest = PRFS[kind]
    _check_size(expected, digest)
    size = _key_length(derivation)
    derive = read_derivation(derivation, size, budget, f"the MAC of {source}")

    def matches(password: str) -> bool:
        return hmac.compare_digest(hmac.digest(derive(utf8(password), size), contents, digest), expected)

    return matches


def _key_length(derivation: Node) -> int:
    """The length of the MAC's key, which RFC 9579 (section 4) wants to be said: last of the numbers."""
    fields = derivation.fields("the key derivation of the MAC")
    first = 2 if fields.take(OID, "the key derivation of the MAC").oid() == PBKDF2 else 4
    parameters = fields.take(SEQUENCE, "the parameters of the key derivation").children()[first : first + 1]
    if not parameters or parameters[0].tag != INTEGER or parameters[0].integer() < 1:
        raise Asn1Error("its key derivation does not say how long the MAC's key is")
    return parameters[0].integer()
