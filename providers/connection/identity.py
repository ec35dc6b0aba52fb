"""Whether a certificate belongs to a name (RFC 9525), and whether a path has one of our pins (RFC 7469)."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from providers.connection.target import ip_address


def spki_pin(certificate: x509.Certificate) -> str:
    """Base64 of the SHA-256 of the SubjectPublicKeyInfo (RFC 7469, section 2.4)."""
    spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(spki).digest()).decode()


def has_pin(path: Iterable[x509.Certificate], pins: Sequence[str]) -> bool:
    """Whether any certificate of a verified path, anchor included, has the key of a pin (RFC 7469, section 2.6)."""
    return not set(pins).isdisjoint(spki_pin(certificate) for certificate in path)


def matches(name: str, alternative_names: Iterable[str]) -> bool:
    """Whether a host name or IP address is among "DNS:..." and "IP:..." names of a certificate (RFC 9525, section 6).

    A wildcard is the whole leftmost label and stands for exactly one. The common name does not count.
    """
    if address := ip_address(name):
        return any(ip_address(shown[3:]) == address for shown in alternative_names if shown.startswith("IP:"))
    wanted = _labels(name)
    return any(
        _label_match(_labels(shown[4:]), wanted) for shown in alternative_names if shown.startswith("DNS:")
    )


def _labels(name: str) -> list[str]:
    return name.lower().removesuffix(".").split(".")


def _label_match(presented: Sequence[str], wanted: Sequence[str]) -> bool:
    if presented[0] != "*":
        return presented == wanted
    return len(presented) > 2 and presented[1:] == wanted[1:] and "" not in wanted
