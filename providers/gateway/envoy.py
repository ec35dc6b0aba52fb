"""Secrets in Envoy's form (envoy.extensions.transport_sockets.tls.v3.Secret, as JSON)."""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import serialization

from portal import vault
from portal.errors import Unavailable
from providers.connection.verify import public_roots
from providers.gateway.scope import Wanted, believes_public, names_to_match
from providers.models import Provider
from stores.models import ChainCertificate, Version
from stores.services import KEY_SHUT
from stores.writing import write

log = logging.getLogger("storekeeper")
TYPE_URL = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"


def secret(wanted: Wanted, *, otherwise: bool = False) -> dict[str, Any]:
    """The resource. Unavailable `key_does_not_open` when the key ring does not fit.

    `otherwise` writes the same in other octets: an Envoy that refused a secret believes that it has it when it comes again as it was.
    """
    end = "\n" if otherwise else ""
    kind = (
        {"tls_certificate": _certificate(wanted.version, end)}
        if wanted.version
        else {"validation_context": _validation(wanted, end)}
    )
    return {"@type": TYPE_URL, "name": wanted.name, **kind}


def _certificate(version: Version, end: str) -> dict[str, Any]:
    ders = [bytes(one.der) for one in version.chain.all()]
    return {
        "certificate_chain": {"inline_string": write(ders, "pem").decode() + end},
        "private_key": {"inline_string": _key(version)},
    }


def _key(version: Version) -> str:
    """The private key, open, as PEM."""
    try:
        key = vault.open_sealed(bytes(version.sealed_key or b""), version.binding("key"))
    except vault.VaultError as error:
        log.error("the key of version %s cannot be used: %s", version.pk, error)
        raise Unavailable("key_does_not_open", KEY_SHUT) from None
    opened = serialization.load_der_private_key(key, None, unsafe_skip_rsa_key_validation=True)
    form = serialization.PrivateFormat.PKCS8
    return opened.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def _validation(wanted: Wanted, end: str) -> dict[str, Any]:
    """Whom to believe. Envoy takes each of these certificates as an anchor, also one that is no root."""
    user = wanted.user
    entries = ChainCertificate.objects.filter(version__in=wanted.trusted)
    rows = entries.order_by("version__certificate_id", "version__number", "position")
    ders = dict(rows.values_list("sha256", "der"))
    text = write([bytes(der) for der in ders.values()], "pem").decode() if ders else ""
    if user is not None and believes_public(user):
        text += _public()
    context: dict[str, Any] = {
        "trusted_ca": {"inline_string": text + end},
        "trust_chain_verification": "VERIFY_TRUST_CHAIN",
    }
    if user is not None and (match := names_to_match(user)):
        context["match_typed_subject_alt_names"] = [{"san_type": match[0], "matcher": {"exact": match[1]}}]
    if isinstance(user, Provider) and user.spki_pins:
        context["verify_certificate_spki"] = user.spki_pins
    return context


@cache
def _public() -> str:
    ders = [one.public_bytes(serialization.Encoding.DER) for one in public_roots()]
    return write(ders, "pem").decode()
