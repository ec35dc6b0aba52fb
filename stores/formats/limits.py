"""Limits on what is read (DESIGN section 7). What exceeds one is refused before the work is done."""

from __future__ import annotations

from stores.formats.errors import ReadingError

UPLOAD_BYTES = 1 << 20
"""One upload, certificate and key file together."""
CERTIFICATES = 1_000
CHAIN = 100
"""Certificates in one chain."""
RSA_BITS = 8_192
JAR_ENTRIES = 100
JAR_BYTES = 4 << 20
"""All entries of a JAR, unpacked."""
JAR_RATIO = 100
"""Unpacked to packed octets of one entry and of all."""
KDF_ITERATIONS = 10_000_000
"""All key derivations of one upload together."""
SCRYPT_BYTES = 128 << 20
SCRYPT_WORK = 1 << 22
"""N * r * p of scrypt (RFC 7914)."""
DERIVED_KEY_BYTES = 64
NESTING = 32
"""Levels of ASN.1."""
CPU_SECONDS = 10
WALL_SECONDS = 40
"""For reading one upload on a busy machine; a request ends after 60."""
MEMORY_BYTES = 256 << 20
MESSAGE_CHARACTERS = 2_000
PRIVATE_KEYS = 100
"""Private keys in one upload; each costs a check of its numbers."""


class Budget:
    """What key derivation of one upload may still cost; each derivation is charged before it is made."""

    def __init__(self) -> None:
        self.iterations = KDF_ITERATIONS
        self.scrypt_work = SCRYPT_WORK
        self.private_keys = PRIVATE_KEYS
        self.password_used = False
        """Whether something was opened with the password; else password_not_needed is said of one that was given."""

    def charge(self, iterations: int, source: str) -> None:
        """Pays for `iterations` of a key derivation (RFC 8018, RFC 7292 appendix B)."""
        if iterations < 1:
            raise ReadingError(
                "malformed",
                f"{source} asks for {_shown(iterations)} rounds of key derivation; at least 1 is needed.",
            )
        self.iterations -= iterations
        if self.iterations < 0:
            raise ReadingError(
                "too_costly",
                f"Opening {source} would take more than {KDF_ITERATIONS:,} rounds of key derivation in total (it asks for "
                f"{_shown(iterations)} here), the most that is done for one upload. Export it again with fewer rounds, "
                "as most tools do by default.",
            )

    def charge_scrypt(self, n: int, r: int, p: int, source: str) -> None:
        """Pays for one scrypt (RFC 7914) of 128 * n * r octets of memory and n * r * p of work."""
        if n < 2 or n & (n - 1) or r < 1 or p < 1:
            raise ReadingError("malformed", f"{source} has scrypt parameters that RFC 7914 does not allow.")
        self.scrypt_work -= n * r * p
        if 128 * n * r > SCRYPT_BYTES or self.scrypt_work < 0:
            raise ReadingError(
                "too_costly",
                f"Opening {source} by scrypt would take more than {SCRYPT_BYTES >> 20} MiB of memory or more work than "
                f"N\u00b7r\u00b7p = {SCRYPT_WORK:,}, the most that is done for one upload. Export it again with smaller parameters.",
            )

    def charge_key(self, source: str) -> None:
        """Pays for checking one private key."""
        self.private_keys -= 1
        if self.private_keys < 0:
            text = f"{source} is private key number {PRIVATE_KEYS + 1}; at most {PRIVATE_KEYS} are read from one upload."
            raise ReadingError("too_large", text)


def _shown(number: int) -> str:
    """A number for a sentence; hostile ones have thousands of digits."""
    return f"{number:,}" if number.bit_length() <= 64 else f"about 2^{number.bit_length() - 1}"
