"""What a connection test of a provider shows, believes and asks for: sealed bytes opened in memory, for one test only."""

from __future__ import annotations

import datetime as dt
import logging
from dataclasses import dataclass
from typing import cast

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from portal import vault
from portal.errors import Unavailable
from providers.connection.target import ClientMaterial, PrivateKey, Target
from providers.models import Provider
from providers.trust import anchors_of, outgoing_of
from stores.models import Version
from stores.services import KEY_SHUT

log = logging.getLogger("storekeeper")
SIGN_IN_SHUT = (
    "The password of this provider does not open with the key ring of this portal. Type it again under “Edit”, "
    "or tell who runs the portal; its log says which key is missing."
)


MADE_OF = (
    "type", "host", "port", "use_tls", "server_name", "check_host_name", "key_certificate_id", "trust_store_id",
    "trust_certificate_id", "trust_public", "spki_pins", "path_prefix", "collection_path", "authentication", "user_name",
    "sealed_password",
)  # fmt: skip
"""What of a provider decides what a test of it tries."""


@dataclass(frozen=True)
class Prepared:
    """A connection to try, and the key store version whose certificate it shows; None: it shows none."""

    target: Target
    shown: Version | None


def target_of(provider: Provider, *, staged: Version | None = None, now: dt.datetime) -> Prepared:
    """The connection as the provider is registered; with `staged` as it would be after the activation of that version.

    Unavailable `key_does_not_open` or `password_does_not_open` when the key ring does not fit.
    """
    shown = _shown(provider, staged)
    path = f"{provider.path_prefix}{provider.collection_path}"
    target = Target(
        host=provider.host,
        port=provider.port,
        tls=provider.has_tls,
        server_name=provider.server_name,
        check_host_name=provider.check_host_name,
        client=_material(shown) if shown else None,
        trust=anchors_of(provider, staged=staged),
        outgoing=outgoing_of(provider, staged=staged, now=now),
        also_public=provider.trust_public,
        path=path or None,
        credentials=_credentials(provider) if path else None,
        pins=tuple(provider.spki_pins),
    )
    return Prepared(target, shown)


def is_another_connection(provider: Provider, before: Provider) -> bool:
    """Whether a test that was prepared `before` says nothing of the provider any more."""
    return any(_comparable(provider, name) != _comparable(before, name) for name in MADE_OF)


def _comparable(provider: Provider, name: str) -> object:
    """Databases give bytes as different types."""
    value = getattr(provider, name)
    return bytes(value) if isinstance(value, memoryview) else value


def _shown(provider: Provider, staged: Version | None) -> Version | None:
    """The version whose certificate is shown; None when there is none with its key."""
    if not provider.has_tls or provider.key_certificate_id is None:
        return None
    if staged and staged.certificate_id == provider.key_certificate_id:
        return staged
    active = Version.objects.current().filter(
        certificate=provider.key_certificate_id, sealed_key__isnull=False
    )
    return active.select_related("certificate").first()


def _material(version: Version) -> ClientMaterial:
    """The private key, open, and the chain of a version."""
    try:
        key = vault.open_sealed(bytes(version.sealed_key or b""), version.binding("key"))
    except vault.VaultError as error:
        log.error("the key of version %s cannot be used: %s", version.pk, error)
        raise Unavailable("key_does_not_open", KEY_SHUT) from None
    opened = serialization.load_der_private_key(key, None, unsafe_skip_rsa_key_validation=True)
    chain = tuple(x509.load_der_x509_certificate(bytes(one.der)) for one in version.chain.all())
    return ClientMaterial(key=cast(PrivateKey, opened), chain=chain)


def _credentials(provider: Provider) -> tuple[str, str] | None:
    if provider.sealed_password is None:
        return None
    try:
        password = vault.open_sealed(bytes(provider.sealed_password), provider.binding())
    except vault.VaultError as error:
        log.error("the password of provider %s cannot be used: %s", provider.pk, error)
        raise Unavailable("password_does_not_open", SIGN_IN_SHUT) from None
    return provider.user_name, password.decode()
