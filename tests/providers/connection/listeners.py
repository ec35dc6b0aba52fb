"""What the servers of this folder listen for: one port each, described in the same words for every kind of server."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal

Version = Literal["1.0", "1.1", "1.2", "1.3"]
Wanted = Literal["", "optional", "required"]
MODERN: tuple[Version, ...] = ("1.2", "1.3")
_ASKING: tuple[Wanted, ...] = ("required", "optional")


@dataclass(frozen=True)
class Listener:
    """One port: what it shows, what it speaks, and whether it wants a certificate of ours."""

    show: str = "right"
    """One of `pki.servers`."""
    versions: tuple[Version, ...] = MODERN
    client: Wanted = ""
    client_cas: str = "client-cas"
    """The file of the authorities that clients are checked against."""
    revocations: bool = False
    """Whether revoked clients are refused."""
    ciphers: str = ""
    staple: str = ""
    """The OCSP answer to add: revoked or good."""
    tls: bool = True
    address: str = "127.0.0.1"
    known_names_only: bool = False
    """Whether a server name other than `pki.NAME` ends the handshake."""


BOTH_WAYS = {
    f"{version} {client}": Listener(versions=(version,), client=client)
    for version, client in itertools.product(MODERN, _ASKING)
}
"""Every kind of server has these."""
ONE_WAY = {"right": Listener()}

LISTENERS: dict[str, dict[str, Listener]] = {
    "nginx": BOTH_WAYS
    | ONE_WAY
    | {
        "1.2": Listener(versions=("1.2",)),
        "1.3": Listener(versions=("1.3",)),
        "only 1.0": Listener(versions=("1.0",), ciphers="DEFAULT:@SECLEVEL=0"),
        "plain": Listener(tls=False),
        "IPv6": Listener(address="::1"),
        "known names": Listener(known_names_only=True),
        "new client authority": Listener(client="required", client_cas="new-client-cas"),
        "by SHA-1": Listener("by SHA-1", ciphers="DEFAULT:@SECLEVEL=0"),
        "RSA 1024": Listener("RSA 1024", ciphers="DEFAULT:@SECLEVEL=0"),
    }
    | {
        name: Listener(name)
        for name in (
            "expired", "expired unknown", "chain expired", "not yet valid", "wrong host", "wildcard", "self-signed",
            "missing intermediate", "out of order",
        )
    },
    "s_server": BOTH_WAYS
    | ONE_WAY
    | {
        "only 1.1": Listener(versions=("1.1",), ciphers="DEFAULT:@SECLEVEL=0"),
        "other cipher 1.2": Listener(versions=("1.2",), ciphers="NULL-SHA256:@SECLEVEL=0"),
        "other cipher 1.3": Listener(versions=("1.3",), ciphers="TLS_AES_128_CCM_8_SHA256"),
        "revoked": Listener("revoked", staple="revoked"),
        "good": Listener("revoked", staple="good"),
    },
    "haproxy": BOTH_WAYS
    | ONE_WAY
    | {
        "known names": Listener(known_names_only=True),
        "1.2 revocations": Listener(versions=("1.2",), client="required", revocations=True),
        "1.3 revocations": Listener(versions=("1.3",), client="required", revocations=True),
    },
    "envoy": BOTH_WAYS | ONE_WAY,
    "python": BOTH_WAYS | ONE_WAY,
}  # fmt: skip
