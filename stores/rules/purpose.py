"""What certificates are made for."""

from __future__ import annotations

from collections.abc import Sequence

from stores.formats.algorithms import EXTENDED_USAGES, KEY_USAGES
from stores.formats.parsed import Certificate, Finding, StoreKind, Upload
from stores.rules import commands
from stores.rules.codes import said
from stores.rules.wording import named

_FOR_CLIENTS = frozenset({EXTENDED_USAGES["1.3.6.1.5.5.7.3.2"], EXTENDED_USAGES["2.5.29.37.0"]})


def check(kept: Sequence[Certificate], store: StoreKind, upload: Upload) -> list[Finding]:
    """not_for_client_auth and self_signed of a key store's leaf, trusts_one_certificate of a trust store."""
    if store == "trust":
        return [_trusted_alone(certificate) for certificate in kept if not certificate.is_ca]
    found = []
    for leaf in kept[:1]:
        if not _for_clients(leaf):
            found.append(_not_for_clients(leaf, upload))
        if leaf.is_self_signed:
            found.append(_self_signed(leaf))
    return found


def _for_clients(leaf: Certificate) -> bool:
    """RFC 5280, section 4.2.1.12: without extended key usage, every use is allowed."""
    extended = set(leaf.usages) - set(KEY_USAGES)
    return not extended or bool(extended & _FOR_CLIENTS)


def _not_for_clients(leaf: Certificate, upload: Upload) -> Finding:
    made_for = ", ".join(usage for usage in leaf.usages if usage not in KEY_USAGES)[:200]
    text = (
        f"{named(leaf)} is made for {made_for} only, not for client authentication, so many providers will refuse it "
        "in two-way TLS. Ask its issuer for one with the extended key usage clientAuth."
    )
    return said("not_for_client_auth", text, certificate=leaf.sha256, command=commands.request(leaf, upload))


def _self_signed(leaf: Certificate) -> Finding:
    text = (
        f"{named(leaf)} is signed by itself, not by a certificate authority. "
        "It works with those who have put this very certificate among their trusted ones."
    )
    return said("self_signed", text, certificate=leaf.sha256)


def _trusted_alone(certificate: Certificate) -> Finding:
    text = (
        f"{named(certificate)} is no certificate authority: only this one certificate is trusted, "
        "and its successor must be added here before it is used."
    )
    return said("trusts_one_certificate", text, certificate=certificate.sha256)
