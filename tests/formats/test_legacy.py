"""Outdated algorithms against the vectors of their specifications."""

from __future__ import annotations

import pytest

from stores.formats import legacy

RC2 = [
    ("0000000000000000", 63, "0000000000000000", "ebb773f993278eff"),
    ("ffffffffffffffff", 64, "ffffffffffffffff", "278b27e42e2f0d49"),
    ("3000000000000000", 64, "1000000000000001", "30649edf9be7d2c2"),
    ("88", 64, "0000000000000000", "61a8a244adacccf0"),
    ("88bca90e90875a", 64, "0000000000000000", "6ccf4308974c267f"),
    ("88bca90e90875a7f0f79c384627bafb2", 64, "0000000000000000", "1a807d272bbe5db1"),
    ("88bca90e90875a7f0f79c384627bafb2", 128, "0000000000000000", "2269552ab0f85ca6"),
    (
        "88bca90e90875a7f0f79c384627bafb216f80a6f85920584c42fceb0be255daf1e",
        129,
        "0000000000000000",
        "5b78d3a43dfff1f1",
    ),
]
"""RFC 2268, section 5: key, effective bits, plain text, ciphertext."""


@pytest.mark.parametrize(("key", "bits", "plain", "secret"), RC2)
def test_rc2_follows_rfc_2268(key: str, bits: int, plain: str, secret: str) -> None:
    found = legacy.rc2_cbc(bytes.fromhex(key), bits, bytes(8), bytes.fromhex(secret))
    assert found.hex() == plain


def test_rc2_chains_its_blocks() -> None:
    one = bytes.fromhex("61a8a244adacccf0")
    assert legacy.rc2_cbc(b"\x88", 64, b"\xff" * 8, one + one) == b"\xff" * 8 + one


def test_rc4_follows_rfc_6229() -> None:
    assert legacy.rc4(bytes.fromhex("0102030405"), bytes(16)).hex() == "b2396305f03dc027ccc3524a0a1118a8"


@pytest.mark.parametrize(
    ("purpose", "salt", "password", "rounds", "found"),
    [
        (1, "0a58cf64530d823f", "smeg", 1, "8aaae6297b6cb04642ab5b077851284eb7128f1a2a7fbca3"),
        (2, "0a58cf64530d823f", "smeg", 1, "79993dfe048d3b76"),
        (1, "05dec959acff72f7", "queeg", 1000, "ed2034e36328830ff09df1e1a07dd357185dac0d4f9eb3d4"),
        (3, "263216fcc2fab31c", "queeg", 1000, "5ec4c7a80df652294c3925b6489a7ab857c83476"),
    ],
)
def test_pkcs12_derivation_gives_the_values_that_others_get(
    purpose: int, salt: str, password: str, rounds: int, found: str
) -> None:
    """The vectors that circulate since PKCS#12 v1.0 and that every implementation tests with."""
    secret = legacy.pkcs12_password(password)
    derived = legacy.pkcs12_kdf("sha1", secret, bytes.fromhex(salt), rounds, purpose, len(found) // 2)
    assert derived.hex() == found
