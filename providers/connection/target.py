"""What is tried: a server, what it must show, and what we show."""

from __future__ import annotations

import dataclasses
import ipaddress
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa

PrivateKey = (
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
    | dsa.DSAPrivateKey
)


@dataclass(frozen=True)
class ClientMaterial:
    """Our private key and our certificates: the leaf first, then what leads to its root."""

    key: PrivateKey = dataclasses.field(repr=False)
    chain: tuple[x509.Certificate, ...]


@dataclass(frozen=True)
class Target:
    """One connection to try.

    `trust` None means the system's public roots; else only its entries are anchors, an intermediate or a leaf among them,
    and the public roots beside them with `also_public`; `outgoing` are asked only when those verify nothing. `server_name` is
    asked for and checked instead of the host.
    Without `path` HTTP is only a nudge, and its answer is not judged. `pins`: base64 of SHA-256 of a SubjectPublicKeyInfo.
    """

    host: str
    port: int = 443
    tls: bool = True
    server_name: str = ""
    check_host_name: bool = True
    client: ClientMaterial | None = None
    trust: tuple[x509.Certificate, ...] | None = None
    also_public: bool = False
    outgoing: tuple[x509.Certificate, ...] = ()
    path: str | None = None
    credentials: tuple[str, str] | None = dataclasses.field(default=None, repr=False)
    """User name and password for HTTP basic authentication."""
    pins: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name that the server's certificate must carry: a host name or an IP address."""
        return self.server_name or self.host

    @property
    def sni(self) -> str:
        """The name to ask for; "" for an address, which must not be asked for (RFC 6066, section 3)."""
        return "" if ip_address(self.name) else self.name

    @property
    def authority(self) -> str:
        """Host and port as HTTP has them (RFC 9110, section 7.2); a default port is left out."""
        shown = f"[{self.name}]" if ":" in self.name else self.name
        return shown if self.port == (443 if self.tls else 80) else f"{shown}:{self.port}"


def ip_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that a text writes, None for a name."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
