"""DER: one certificate (X.509), or one private key, which is of use as a second file."""

from __future__ import annotations

from stores.formats import asn1
from stores.formats.certificates import read_certificate
from stores.formats.keys import is_private_key, read_key
from stores.formats.limits import Budget
from stores.formats.parsed import Parsed, Upload


def read(upload: Upload, content: bytes, source: str, budget: Budget) -> Parsed:
    """The certificate or the private key. Raises ReadingError."""
    with asn1.named(source):
        is_key = is_private_key(asn1.parse(content))
    if is_key:
        key = read_key(content, f"the private key in {source}", password=upload.password, budget=budget)
        return Parsed("der", (), (key,))
    certificate, weaknesses = read_certificate(content, source)
    return Parsed("der", (certificate,), weaknesses=weaknesses)
