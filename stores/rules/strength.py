"""Which weaknesses of certificates count, and which keys not every gateway takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from stores.formats.parsed import Certificate, Finding, StoreKind, Upload
from stores.rules import commands
from stores.rules.codes import said
from stores.rules.wording import named

UNCOMMON_KEYS = ("Ed25519", "Ed448")


def check(
    kept: Sequence[Certificate], weaknesses: Iterable[Finding], store: StoreKind, upload: Upload
) -> list[Finding]:
    """The weaknesses that count among what would be kept, and uncommon keys."""
    found = counting(kept, weaknesses)
    if store == "key" and kept:
        found = [_with_command(finding, kept[0], upload) for finding in found]
    return found + [_uncommon(certificate) for certificate in kept if certificate.key_type in UNCOMMON_KEYS]


def counting(certificates: Iterable[Certificate], weaknesses: Iterable[Finding]) -> list[Finding]:
    """The weaknesses of these certificates, in the order given and each once.

    Nobody relies on a self-signed certificate's own signature: it is trusted, or not, for being known.
    """
    known = {certificate.sha256: certificate for certificate in certificates}
    return [
        weakness
        for weakness in dict.fromkeys(weaknesses)
        if weakness.certificate in known
        and not (weakness.code == "weak_signature" and known[weakness.certificate].is_self_signed)
    ]


def _with_command(weakness: Finding, leaf: Certificate, upload: Upload) -> Finding:
    """Only the leaf can be requested anew by who uploads it."""
    if weakness.certificate != leaf.sha256 or weakness.code == "unknown_critical_extension":
        return weakness
    return dataclasses.replace(weakness, command=commands.request(leaf, upload))


def _uncommon(certificate: Certificate) -> Finding:
    text = (
        f"{named(certificate)} has a key of the kind {certificate.key_type}, which not every gateway and provider takes. "
        "Test it there, or ask for an EC P-256 or RSA key."
    )
    return said("uncommon_key", text, certificate=certificate.sha256)
