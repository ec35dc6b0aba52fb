"""Encryption by password: PBES1 and PBES2 (RFC 8018), scrypt (RFC 7914), the schemes of PKCS#12 (RFC 7292, appendix C).

All parameters are read and charged to the budget before anything is derived: what costs too much is never begun.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import NamedTuple

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from stores.formats import legacy, limits
from stores.formats.asn1 import INTEGER, OCTET_STRING, OID, SEQUENCE, Asn1Error, Fields, Node, named
from stores.formats.errors import ReadingError
from stores.formats.limits import Budget

Derive = Callable[[bytes, int], bytes]
"""A key of so many octets from a password."""
Open = Callable[[bytes, str], bytes]
"""Plain text from ciphertext and password; raises WrongPassword."""

SALT_OCTETS = 1_024
PBES2, PBKDF2, SCRYPT = "1.2.840.113549.1.5.13", "1.2.840.113549.1.5.12", "1.3.6.1.4.1.11591.4.11"
PRFS = {
    "1.2.840.113549.2.7": "sha1", "1.2.840.113549.2.8": "sha224", "1.2.840.113549.2.9": "sha256",
    "1.2.840.113549.2.10": "sha384", "1.2.840.113549.2.11": "sha512",
}  # fmt: skip
"""HMAC digests of PBKDF2."""
_AES = {"2.16.840.1.101.3.4.1.2": 16, "2.16.840.1.101.3.4.1.22": 24, "2.16.840.1.101.3.4.1.42": 32}
_DES, _DES3, _RC2 = "1.3.14.3.2.7", "1.2.840.113549.3.7", "1.2.840.113549.3.2"
_RC2_BITS = {160: 40, 120: 64, 58: 128}
"""Effective key bits by the version number in RC2's parameters (RFC 2268, section 6)."""
_PBES1 = {
    "1.2.840.113549.1.5.3": ("md5", "des"), "1.2.840.113549.1.5.6": ("md5", "rc2"),
    "1.2.840.113549.1.5.10": ("sha1", "des"), "1.2.840.113549.1.5.11": ("sha1", "rc2"),
}  # fmt: skip
_PKCS12 = {
    "1.2.840.113549.1.12.1.1": ("rc4", 16), "1.2.840.113549.1.12.1.2": ("rc4", 5), "1.2.840.113549.1.12.1.3": ("des", 24),
    "1.2.840.113549.1.12.1.4": ("des", 16), "1.2.840.113549.1.12.1.5": ("rc2", 16), "1.2.840.113549.1.12.1.6": ("rc2", 5),
}  # fmt: skip


class WrongPassword(Exception):
    """The padding does not come out right."""


class _CipherOf(NamedTuple):
    """A cipher with its parameters: key length in octets, and what turns key and ciphertext into padded plain text."""

    key_octets: int
    decrypt: Callable[[bytes, bytes], bytes]


def decrypt(
    algorithm: Node, ciphertext: bytes, password: str | None, budget: Budget, source: str, field: str = "file"
) -> bytes:
    """The plain text of `ciphertext` under an AlgorithmIdentifier; without a password the empty one is tried.

    Raises ReadingError too_costly, unsupported_format, malformed, password_required or wrong_password for `source`.
    """
    opener = check_kdf(algorithm, budget, source, field)
    try:
        with named(source, field):
            found = opener(ciphertext, password or "")
    except WrongPassword:
        raise refused(password, source) from None
    budget.password_used = True
    return found


def refused(password: str | None, source: str) -> ReadingError:
    """The error for something that did not open: whether a password was missing or wrong."""
    if password is None:
        text = f"{source} is encrypted: enter the password it was exported with."
        return ReadingError("password_required", text, "password")
    text = f"The password does not open {source}. Check capitals and the keyboard layout, or export it again with a new password."
    return ReadingError("wrong_password", text, "password")


def check_kdf(algorithm: Node, budget: Budget, source: str, field: str = "file") -> Open:
    """Reads the parameters of an encryption scheme and charges its key derivation; what it returns opens ciphertexts.

    Raises ReadingError too_costly, unsupported_format or malformed for `source`; derives nothing.
    """
    with named(source, field):
        fields = algorithm.fields("the encryption algorithm")
        scheme = fields.take(OID, "the encryption scheme").oid()
        if scheme == PBES2:
            return _pbes2(fields, budget, source)
        if scheme in _PBES1:
            return _pbes1(*_PBES1[scheme], *_salt_and_rounds(fields, budget, source))
        if scheme in _PKCS12:
            return _pkcs12(*_PKCS12[scheme], *_salt_and_rounds(fields, budget, source))
    raise _unknown("encrypted with a scheme", scheme, source)


def _unknown(what: str, dotted: str, source: str) -> ReadingError:
    text = f"{source} is {what} that is not supported: object identifier {dotted}. Export it again with AES-256 and PBKDF2."
    return ReadingError("unsupported_format", text)


def _salt_and_rounds(fields: Fields, budget: Budget, source: str) -> tuple[bytes, int]:
    """PBEParameter (RFC 8018, A.3), charged."""
    parameters = fields.take(SEQUENCE, "the parameters of the encryption").fields(
        "the parameters of the encryption"
    )
    salt = check_salt(parameters.take(OCTET_STRING, "the salt").content)
    rounds = parameters.take(INTEGER, "the number of rounds").integer()
    budget.charge(rounds, source)
    return salt, rounds


def check_salt(salt: bytes) -> bytes:
    """A salt of at most 1,024 octets; Asn1Error for longer ones."""
    if len(salt) > SALT_OCTETS:
        raise Asn1Error(f"its salt has {len(salt):,} octets; at most {SALT_OCTETS:,} make sense")
    return salt


def _pbes2(fields: Fields, budget: Budget, source: str) -> Open:
    parameters = fields.take(SEQUENCE, "the parameters of PBES2").fields("the parameters of PBES2")
    derivation = parameters.take(SEQUENCE, "the key derivation")
    cipher = _cipher(parameters.take(SEQUENCE, "the cipher").fields("the cipher"), source)
    derive = read_derivation(derivation, cipher.key_octets, budget, source)

    def opener(ciphertext: bytes, password: str) -> bytes:
        _check_length(ciphertext, 8)
        return _unpadded(cipher.decrypt(derive(utf8(password), cipher.key_octets), ciphertext))

    return opener


def utf8(password: str) -> bytes:
    """A password as PBES1, PBES2 and PEM take it."""
    return password.encode("utf-8", "surrogatepass")


def _cipher(fields: Fields, source: str) -> _CipherOf:
    dotted = fields.take(OID, "the cipher").oid()
    if dotted in _AES:
        iv = _iv(fields.take(OCTET_STRING, "the initialisation vector").content, 16)
        return _CipherOf(_AES[dotted], lambda key, text: _aes_cbc(key, iv, text))
    if dotted in (_DES, _DES3):
        iv = _iv(fields.take(OCTET_STRING, "the initialisation vector").content, 8)
        return _CipherOf(8 if dotted == _DES else 24, lambda key, text: legacy.triple_des_cbc(key, iv, text))
    if dotted == _RC2:
        parameters = fields.take(SEQUENCE, "the parameters of RC2").fields("the parameters of RC2")
        version = parameters.take(INTEGER, "the version of RC2").integer()
        iv = _iv(parameters.take(OCTET_STRING, "the initialisation vector").content, 8)
        if version not in _RC2_BITS:
            raise Asn1Error("its RC2 key has a length that does not exist")
        bits = _RC2_BITS[version]
        return _CipherOf(bits // 8, lambda key, text: legacy.rc2_cbc(key, bits, iv, text))
    raise _unknown("encrypted with a cipher", dotted, source)


def _iv(octets: bytes, size: int) -> bytes:
    if len(octets) != size:
        raise Asn1Error(f"its initialisation vector has {len(octets):,} octets; it must have {size}")
    return octets


def _aes_cbc(key: bytes, iv: bytes, ciphertext: bytes) -> bytes:
    _check_length(ciphertext, 16)
    decryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
    return decryptor.update(ciphertext) + decryptor.finalize()


def read_derivation(algorithm: Node, key_octets: int, budget: Budget, source: str) -> Derive:
    """PBKDF2 or scrypt from its AlgorithmIdentifier, charged; for keys of `key_octets`. Raises Asn1Error, ReadingError."""
    fields = algorithm.fields("the key derivation")
    dotted = fields.take(OID, "the key derivation").oid()
    if dotted not in (PBKDF2, SCRYPT):
        raise _unknown("encrypted with a key derivation", dotted, source)
    parameters = fields.take(SEQUENCE, "the parameters of the key derivation").fields("the key derivation")
    salt = check_salt(parameters.take(OCTET_STRING, "the salt").content)
    if dotted == PBKDF2:
        return _pbkdf2(parameters, salt, key_octets, budget, source)
    n, r, p = (parameters.take(INTEGER, f"scrypt's parameter {name}").integer() for name in "Nrp")
    _check_key_length(parameters, key_octets, source)
    budget.charge_scrypt(n, r, p, source)
    room = 128 * r * (n + p + 2) + (1 << 20)
    return lambda password, size: hashlib.scrypt(password, salt=salt, n=n, r=r, p=p, maxmem=room, dklen=size)


def _pbkdf2(parameters: Fields, salt: bytes, key_octets: int, budget: Budget, source: str) -> Derive:
    rounds = parameters.take(INTEGER, "the number of rounds").integer()
    _check_key_length(parameters, key_octets, source)
    function = parameters.maybe(SEQUENCE)
    dotted = function.fields("the hash").take(OID, "the hash").oid() if function else "1.2.840.113549.2.7"
    if dotted not in PRFS:
        raise _unknown("encrypted with a hash", dotted, source)
    budget.charge(rounds, source)
    return lambda password, size: hashlib.pbkdf2_hmac(PRFS[dotted], password, salt, rounds, size)


def _check_key_length(parameters: Fields, key_octets: int, source: str) -> None:
    """The optional length of the derived key must be that of the cipher's key."""
    node = parameters.maybe(INTEGER)
    size = key_octets if node is None else node.integer()
    if size > limits.DERIVED_KEY_BYTES:
        text = f"{source} asks for a derived key of more than {limits.DERIVED_KEY_BYTES} octets, the most that is made."
        raise ReadingError("too_costly", f"{text} Export it again with AES-256.")
    if size != key_octets:
        raise Asn1Error(
            f"its key derivation makes a key of {size} octets, and its cipher needs one of {key_octets}"
        )


def _pbes1(digest: str, cipher: str, salt: bytes, rounds: int) -> Open:
    def opener(ciphertext: bytes, password: str) -> bytes:
        _check_length(ciphertext, 8)
        derived = legacy.pbkdf1(digest, utf8(password), salt, rounds)
        key, iv = derived[:8], derived[8:16]
        if cipher == "des":
            return _unpadded(legacy.triple_des_cbc(key, iv, ciphertext))
        return _unpadded(legacy.rc2_cbc(key, 64, iv, ciphertext))

    return opener


def _pkcs12(cipher: str, size: int, salt: bytes, rounds: int) -> Open:
    def opener(ciphertext: bytes, password: str) -> bytes:
        secret = legacy.pkcs12_password(password)
        try:
            return attempt(ciphertext, secret)
        except WrongPassword:
            if password:
                raise
            return attempt(ciphertext, b"")  # some tools take an empty password without its final zero

    def attempt(ciphertext: bytes, secret: bytes) -> bytes:
        key = legacy.pkcs12_kdf("sha1", secret, salt, rounds, legacy.PURPOSE_KEY, size)
        if cipher == "rc4":
            return legacy.rc4(key, ciphertext)
        _check_length(ciphertext, 8)
        iv = legacy.pkcs12_kdf("sha1", secret, salt, rounds, legacy.PURPOSE_IV, 8)
        if cipher == "des":
            return _unpadded(legacy.triple_des_cbc(key, iv, ciphertext))
        return _unpadded(legacy.rc2_cbc(key, 8 * size, iv, ciphertext))

    return opener


def decrypt_pem(
    cipher: str, iv: str, ciphertext: bytes, password: str | None, budget: Budget, source: str
) -> bytes:
    """The body of an old encrypted PEM block: cipher and hexadecimal IV of its `DEK-Info` line (RFC 1421, 4.6.1.3)."""
    sizes = {
        "AES-128-CBC": (16, 16),
        "AES-192-CBC": (24, 16),
        "AES-256-CBC": (32, 16),
        "DES-EDE3-CBC": (24, 8),
        "DES-CBC": (8, 8),
    }
    if cipher not in sizes:
        text = f"{source} is encrypted with a cipher that is not supported here."
        raise ReadingError(
            "unsupported_format",
            f"{text} Write the key anew with `openssl pkcs8 -topk8`.",
            command="openssl pkcs8 -topk8 -in FILE -out new.key",
        )
    key_octets, block = sizes[cipher]
    with named(source):
        if len(iv) != 2 * block or not all(digit in "0123456789abcdefABCDEF" for digit in iv):
            raise Asn1Error("the initialisation vector in its DEK-Info line is damaged")
        salt = bytes.fromhex(iv)
        _check_length(ciphertext, block)
    budget.charge(1, source)
    key = legacy.pem_key(utf8(password or ""), salt, key_octets)
    plain = _aes_cbc(key, salt, ciphertext) if block == 16 else legacy.triple_des_cbc(key, salt, ciphertext)
    try:
        found = _unpadded(plain)
    except WrongPassword:
        raise refused(password, source) from None
    budget.password_used = True
    return found


def _check_length(ciphertext: bytes, block: int) -> None:
    if not ciphertext or len(ciphertext) % block:
        raise Asn1Error(
            f"its encrypted part has {len(ciphertext):,} octets, which is no whole number of blocks"
        )


def _unpadded(plain: bytes) -> bytes:
    """Without its PKCS#7 padding (RFC 5652, 6.3); when that is wrong, so was the password."""
    size = plain[-1]
    if not 1 <= size <= 16 or plain[-size:] != bytes([size]) * size:
        raise WrongPassword
    return plain[:-size]
