"""What other apps warn of before a version takes the place of another; it is said, and nothing is held.

`providers` announces itself here, since imports point the other way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from stores.models import Certificate


class Entry(Protocol):
    """What is needed of a certificate that would be active, as parsed or as stored."""

    @property
    def sha256(self) -> str: ...
    @property
    def subject(self) -> str: ...
    @property
    def spki_sha256(self) -> str: ...
    @property
    def der(self) -> bytes | memoryview[int]: ...


Warner = Callable[[Certificate, Sequence[Entry]], list[str]]
"""Sentences on what would break if these certificates took the place of the active version."""
_warners: list[Warner] = []


def announce(warner: Warner) -> None:
    """Called once by each app that has something to warn of."""
    if warner not in _warners:
        _warners.append(warner)


def warnings(certificate: Certificate, chain: Sequence[Entry]) -> list[str]:
    """What would break if `chain` took the place of the certificate's active version, as sentences."""
    return [sentence for warner in _warners for sentence in warner(certificate, chain)]
