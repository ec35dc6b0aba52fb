"""Outdated algorithms, for reading old files only: RC2, RC4, single DES, and key derivations older than PBKDF2.

Nothing here is ever used to write. RC2 is our own, because libraries only have its 128-bit form.
"""

from __future__ import annotations

import hashlib
import warnings

from cryptography.hazmat.decrepit.ciphers.algorithms import ARC4, TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes


def triple_des_cbc(key: bytes, iv: bytes, ciphertext: bytes) -> bytes:
    """DES-EDE3-CBC decrypted; a key of 8 octets is single DES, of 16 two-key Triple DES. Padding stays on."""
    whole = key * 3 if len(key) == 8 else key + key[:8] if len(key) == 16 else key
    decryptor = Cipher(TripleDES(whole), modes.CBC(iv)).decryptor()
    return decryptor.update(ciphertext) + decryptor.finalize()


def rc4(key: bytes, ciphertext: bytes) -> bytes:
    """RC4 with a key of 5 or 16 octets."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Cipher(ARC4(key), None).decryptor().update(ciphertext)


def pbkdf1(digest: str, password: bytes, salt: bytes, iterations: int) -> bytes:
    """PBKDF1 (RFC 8018, 5.1): the whole digest, at least 16 octets: key and IV of PBES1."""
    block = password + salt
    for _ in range(iterations):
        block = hashlib.new(digest, block, usedforsecurity=False).digest()
    return block


def pem_key(password: bytes, salt: bytes, size: int) -> bytes:
    """The key of old encrypted PEM (`Proc-Type: 4,ENCRYPTED`): OpenSSL's EVP_BytesToKey with MD5, one round."""
    found = block = b""
    while len(found) < size:
        block = hashlib.md5(block + password + salt[:8], usedforsecurity=False).digest()
        found += block
    return found[:size]


PURPOSE_KEY, PURPOSE_IV, PURPOSE_MAC = 1, 2, 3


def pkcs12_password(password: str) -> bytes:
    """A password as PKCS#12 takes it (RFC 7292, B.1): BMPString with a final zero character."""
    return password.encode("utf-16-be", "surrogatepass") + b"\0\0"


def pkcs12_kdf(digest: str, password: bytes, salt: bytes, iterations: int, purpose: int, size: int) -> bytes:
    """Key derivation of PKCS#12 (RFC 7292, appendix B.2): `size` octets for a key, an IV or a MAC.

    `password` is already in the form of `pkcs12_password`. The caller has charged `iterations`.
    """
    hasher = getattr(hashlib, digest)
    block_size: int = hasher().block_size
    seed, found = _repeated(salt, block_size) + _repeated(password, block_size), b""
    while True:
        block: bytes = hasher(bytes([purpose]) * block_size + seed).digest()
        for _ in range(iterations - 1):
            block = hasher(block).digest()
        found += block
        if len(found) >= size:
            return found[:size]
        step = int.from_bytes(_repeated(block, block_size)[:block_size], "big") + 1
        parts = (seed[at : at + block_size] for at in range(0, len(seed), block_size))
        seed = b"".join(_added(part, step) for part in parts)


def _repeated(text: bytes, block_size: int) -> bytes:
    """`text` again and again up to a whole number of blocks."""
    size = block_size * -(-len(text) // block_size)
    return (text * (size // len(text) + 1))[:size] if text else b""


def _added(block: bytes, step: int) -> bytes:
    size = len(block)
    return ((int.from_bytes(block, "big") + step) % (1 << 8 * size)).to_bytes(size, "big")


_PI = bytes.fromhex(
    "d978f9c419ddb5ed28e9fd794aa0d89dc67e37832b76538e624c6488448bfba2179a59f587b34f1361456d8d09817d32bd8f40eb86b77b0b"
    "f09521225c6b4e82 54d66593ce60b21c7356c014a78cf1dc1275ca1f3bbee4d1423dd430a33cb6266fbf0eda4669075727f21d9bbc944303"
    "f811c7f690ef3ee706c3d52fc8661ed708e8eade8052eef784aa72ac354d6a2a961ad2715a1549744b9fd05e0418a4ecc2e0416e0f51cbcc"
    "2491af50a1f47039997c3a8523b8b47afc02365b25559731 2d5dfa98e38a92ae05df2910676cbac9d300e6cfe19ea82c6316013f58e289a9"
    "0d38341bab33ffb0bb480c5fb9b1cd2ec5f3db47e5a59c770aa62068fe7fc1ad"
)  # fmt: skip
"""PITABLE of RFC 2268, section 2: a permutation made from the digits of pi."""


def _rc2_schedule(key: bytes, bits: int) -> list[int]:
    """64 round words from a key with `bits` effective bits (RFC 2268, section 2)."""
    table = bytearray(key)
    while len(table) < 128:
        table.append(_PI[(table[-1] + table[-len(key)]) & 0xFF])
    size = (bits + 7) // 8
    table[128 - size] = _PI[table[128 - size] & 0xFF >> (-bits & 7)]
    for at in range(127 - size, -1, -1):
        table[at] = _PI[table[at + 1] ^ table[at + size]]
    return [table[at] | table[at + 1] << 8 for at in range(0, 128, 2)]


def rc2_cbc(key: bytes, bits: int, iv: bytes, ciphertext: bytes) -> bytes:
    """RC2-CBC (RFC 2268) decrypted, with 1 to 1,024 effective key bits. Padding stays on."""
    words, found, before = _rc2_schedule(key, bits), [], iv
    for at in range(0, len(ciphertext), 8):
        block = ciphertext[at : at + 8]
        plain = int.from_bytes(_rc2_block(words, block), "big") ^ int.from_bytes(before, "big")
        found.append(plain.to_bytes(8, "big"))
        before = block
    return b"".join(found)


def _rc2_block(words: list[int], block: bytes) -> bytes:
    """One block decrypted: 5, 6 and 5 mixing rounds with a mashing round between (RFC 2268, section 4)."""
    r = [block[at] | block[at + 1] << 8 for at in range(0, 8, 2)]
    at = 63
    for number in range(15, -1, -1):
        for i, shift in ((3, 5), (2, 3), (1, 2), (0, 1)):
            value = (r[i] >> shift | r[i] << 16 - shift) & 0xFFFF
            last, second, third = r[i - 1], r[i - 2], r[i - 3]
            r[i] = (value - words[at] - (last & second) - (~last & third)) & 0xFFFF
            at -= 1
        if number in (5, 11):
            for i in (3, 2, 1, 0):
                r[i] = (r[i] - words[r[i - 1] & 63]) & 0xFFFF
    return b"".join(value.to_bytes(2, "little") for value in r)
