"""The table: what is tried, and the exact diagnosis that is expected. Each row is one situation of a real server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.providers.connection import pki
from tests.providers.connection.listeners import LISTENERS, MODERN

KINDS = ("nginx", "s_server", "haproxy", "envoy", "python")
LOOPBACK = ("127.0.0.0/8", "::1/128")
NAMES: dict[str, tuple[str, ...]] = {
    "dead-first.test": ("127.0.0.2", "127.0.0.1"),
    "black-hole-first.test": ("127.0.0.3", "127.0.0.1"),
    "half-forbidden.test": ("10.0.0.1", "127.0.0.1"),
    "forbidden.test": ("10.0.0.1", "192.168.0.1"),
    "metadata.test": ("169.254.169.254",),
    "nowhere.test": (),
}
"""What the resolver of these tests answers."""
CHANGING = ("changing.test", "counted.test")
"""Names that lead to this machine at the first look, and to a forbidden address from the second on."""
_RIGHT_CLIENTS = ("CN=Client Root",)


@dataclass(frozen=True)
class Situation:
    """One row. What is None, or empty under `says` and `notes`, is not looked at."""

    id: str
    code: str
    server: str = ""
    """As "nginx/1.2 required"; empty where nothing needs to listen."""
    host: str = "127.0.0.1"
    tls: bool = True
    server_name: str = pki.NAME
    check_host_name: bool = True
    client: str = ""
    trust: tuple[str, ...] | None = ("root",)
    also_public: bool = False
    path: str | None = "/"
    credentials: tuple[str, str] | None = None
    pins: tuple[str, ...] = ()
    """Names of certificates whose keys are pinned."""
    allow: tuple[str, ...] = LOOPBACK
    slow: bool = False
    """Whether it takes as long as the limits allow."""
    protocol: str | None = None
    requested: bool | None = None
    sent: bool | None = None
    acceptable_cas: tuple[str, ...] | None = None
    anchor: str | None = None
    http_status: int | None = None
    says: tuple[str, ...] = ()
    """Words of the message."""
    notes: tuple[str, ...] = ()
    """Words of the steps' details."""


def _both_ways() -> Iterator[Situation]:
    """Every kind of server asks for our certificate, in both versions of TLS."""
    for kind in KINDS:
        for version in MODERN:
            yield from _asked(kind, version)


def _asked(kind: str, version: str) -> Iterator[Situation]:
    named = () if kind == "python" else _RIGHT_CLIENTS
    where = f"{kind} TLS {version}"

    def row(what: str, code: str, client: str, listener: str = "required") -> Situation:
        return Situation(
            f"{where}: {what}",
            code,
            f"{kind}/{version} {listener}",
            client=client,
            protocol=f"TLSv{version}",
            requested=True,
            sent=bool(client),
            acceptable_cas=named,
        )

    yield row("our certificate is accepted", "ok", "known")
    yield row("our authority is unknown", "client_certificate_unknown_ca", "unknown")
    yield row("our certificate has ended", "client_certificate_expired", "expired")
    yield row("we have no certificate", "client_certificate_required", "")
    yield row("no certificate, and none is needed", "ok", "", "optional")
    yield row("a certificate, and none is needed", "ok", "known", "optional")
    yield row(
        "an unknown authority, and none is needed", "client_certificate_unknown_ca", "unknown", "optional"
    )


def _refused_late() -> Iterator[Situation]:
    """In TLS 1.3 the handshake stands for the client before the server has seen its certificate."""
    kinds = {
        "": "client_certificate_required",
        "unknown": "client_certificate_unknown_ca",
        "expired": "client_certificate_expired",
    }
    for client, code in kinds.items():
        for path in ("/", None):
            yield Situation(
                f"refused a second late: {client or 'none'}, path {path}", code, "raw/late refusal", client=client, path=path,
                requested=True, sent=bool(client),
            )  # fmt: skip
    for kind in KINDS:
        yield Situation(
            f"{kind} refuses where no HTTP is asked for", "client_certificate_required", f"{kind}/1.3 required", path=None,
            requested=True, sent=False,
        )  # fmt: skip
    where = "raw/reset instead of a refusal"
    yield Situation(
        "reset instead of a refusal: none", "client_certificate_required", where, requested=True, sent=False
    )
    yield Situation(
        "reset instead of a refusal: known", "client_certificate_refused", where, client="known", sent=True
    )


def _refused_clients() -> Iterator[Situation]:
    for version in MODERN:
        yield Situation(
            f"our certificate was revoked, TLS {version}", "client_certificate_refused", f"haproxy/{version} revocations",
            client="revoked", requested=True, sent=True, says=("revoked",),
        )  # fmt: skip
        yield Situation(
            f"our certificate is for servers only, TLS {version}", "client_certificate_refused",
            f"python/{version} required", client="for servers only", requested=True, sent=True,
        )  # fmt: skip
        yield Situation(
            f"our certificate begins later, TLS {version}", "client_certificate_refused", f"s_server/{version} required",
            client="early", requested=True, sent=True,
        )  # fmt: skip


_RIGHT = (
    *(
        Situation(
            f"{kind} is right", "ok", f"{kind}/right", protocol="TLSv1.3", requested=False, sent=False,
            acceptable_cas=(), anchor="root", http_status=200,
        )
        for kind in KINDS
    ),
    Situation("only TLS 1.2", "ok", "nginx/1.2", protocol="TLSv1.2", anchor="root"),
    Situation("only TLS 1.3", "ok", "nginx/1.3", protocol="TLSv1.3", anchor="root"),
    Situation("a certificate at hand that nobody asks for", "ok", "nginx/right", client="known", requested=False, sent=False),
    Situation("plain HTTP where plain is meant", "ok", "nginx/plain", tls=False, protocol="", http_status=200),
    Situation("no catalogue address", "ok", "nginx/right", path=None),
    Situation("by its address, which the certificate names", "ok", "nginx/right", server_name=""),
    Situation("IPv6 only", "ok", "nginx/IPv6", host="::1", server_name="", anchor="root"),
    Situation("interim answers first", "ok", "raw/interim answers", http_status=200),
)  # fmt: skip

_CERTIFICATES = (
    Situation("server certificate has ended", "server_certificate_expired", "nginx/expired", says=("expired",)),
    Situation("an intermediate has ended", "server_certificate_expired", "nginx/chain expired", says=("Backend Ended CA",)),
    Situation("server certificate begins later", "server_certificate_not_yet_valid", "nginx/not yet valid", says=("not yet valid",)),
    Situation("the first fault counts", "server_certificate_expired", "nginx/expired unknown", pins=("other",)),
    Situation("wrong host", "server_name_mismatch", "nginx/wrong host", says=(pki.NAME, "elsewhere.test")),
    Situation("wrong host, not checked", "ok", "nginx/wrong host", check_host_name=False),
    Situation("wildcard", "ok", "nginx/wildcard", server_name=f"a.{pki.NAME}"),
    Situation("wildcard for another depth", "server_name_mismatch", "nginx/wildcard", says=(f"*.{pki.NAME}",)),
    Situation("self-signed", "server_self_signed", "nginx/self-signed", says=("self-signed",)),
    Situation("self-signed, and trusted", "ok", "nginx/self-signed", trust=("self-signed",), anchor="self-signed"),
    Situation("missing intermediate", "server_chain_incomplete", "nginx/missing intermediate", says=("Backend Issuing CA",)),
    Situation("missing intermediate that we have", "ok", "nginx/missing intermediate", trust=("root", "issuing")),
    Situation("chain out of order", "ok", "nginx/out of order", anchor="root", notes=("order",)),
    Situation("SHA-1 signature", "server_weak", "nginx/by SHA-1", says=("SHA-1",)),
    Situation("RSA of 1024 bits", "server_weak", "nginx/RSA 1024", says=("1024",)),
    Situation("revoked, as its staple says", "server_certificate_revoked", "s_server/revoked", says=("revoked",)),
    Situation("a staple that says good", "ok", "s_server/good"),
    Situation("root not in the trust store", "untrusted_issuer", "nginx/right", trust=("other",), says=("Backend Root",)),
    Situation("another root of the same name", "untrusted_issuer", "nginx/right", trust=("namesake",)),
    Situation("no trust store: public roots", "untrusted_issuer", "nginx/right", trust=None, says=("public",)),
    Situation("trust store and public roots", "ok", "nginx/right", also_public=True, anchor="root"),
    Situation("public roots do not help", "untrusted_issuer", "nginx/right", trust=("other",), also_public=True),
    Situation("an intermediate as the only anchor", "ok", "nginx/right", trust=("issuing",), anchor="issuing"),
    Situation("an intermediate as the only anchor, the root is sent", "ok", "nginx/out of order", trust=("issuing",), anchor="issuing"),
    Situation("a pin of what is above the anchor", "pin_mismatch", "nginx/right", trust=("right",), pins=("issuing",)),
    Situation("the leaf as the only anchor", "ok", "nginx/right", trust=("right",), anchor="right"),
    Situation("pin right", "ok", "nginx/right", pins=("other", "right")),
    Situation("pin of the intermediate", "ok", "nginx/right", pins=("issuing",)),
    Situation("pin wrong", "pin_mismatch", "nginx/right", pins=("other",), says=(pki.pin("right"), pki.pin("other"))),
)  # fmt: skip

_PROTOCOLS = (
    Situation("plain HTTP on the TLS port", "not_tls", "nginx/plain"),
    Situation("garbage instead of TLS", "not_tls", "raw/garbage"),
    Situation("a banner of SSH instead of TLS", "not_tls", "raw/banner of SSH"),
    Situation("a plain 400 instead of TLS", "not_tls", "raw/plain 400"),
    Situation("only TLS 1.0", "protocol_too_old", "nginx/only 1.0"),
    Situation("only TLS 1.1", "protocol_too_old", "s_server/only 1.1"),
    Situation("no common cipher in TLS 1.2", "no_common_cipher", "s_server/other cipher 1.2"),
    Situation("no common cipher in TLS 1.3", "no_common_cipher", "s_server/other cipher 1.3"),
    *(
        Situation(
            f"{kind} refuses the server name", "server_name_mismatch", f"{kind}/known names", server_name="elsewhere.test",
            says=("elsewhere.test",),
        )
        for kind in ("nginx", "haproxy")
    ),
    Situation("nginx knows the server name", "ok", "nginx/known names"),
    *(Situation(f"TLS of {kind} on the plain port", "tls_expected", f"{kind}/right", tls=False) for kind in KINDS),
)  # fmt: skip

_ENDS = (
    Situation("port closed", "connection_refused", "raw/closed"),
    Situation("black hole", "connect_timeout", "raw/black hole", slow=True),
    *(
        Situation(name, "connection_reset", f"raw/{name}")
        for name in (
            "reset after accept", "reset after ClientHello", "reset in mid-handshake", "reset in half a flight",
            "reset after the handshake 1.2", "reset after the handshake 1.3", "reset in mid-answer",
            "close after accept", "close after ClientHello", "close after the request",
        )
    ),
    Situation("silent from the start", "timeout", "raw/silent", slow=True),
    Situation("silent after the handshake", "timeout", "raw/silent after the handshake", slow=True),
    Situation("endless slow bytes in the handshake", "timeout", "raw/slow handshake", slow=True),
    Situation("endless slow bytes in the answer", "timeout", "raw/slow answer", slow=True),
)  # fmt: skip

_HTTP = (
    Situation("HTTP 301", "http_redirect", "nginx/right", path="/301", http_status=301, says=("https://elsewhere.test/",)),
    Situation("HTTP 401", "http_unauthorized", "nginx/right", path="/401", http_status=401, says=("401",)),
    Situation("HTTP 403", "http_unauthorized", "nginx/right", path="/403", http_status=403, says=("403",)),
    Situation("HTTP 404", "http_not_found", "nginx/right", path="/404", http_status=404, says=("404",)),
    Situation("HTTP 500", "http_error", "nginx/right", path="/500", http_status=500, says=("500",)),
    Situation("right password", "ok", "nginx/right", path="/closed", credentials=("storekeeper", "open sesame"), http_status=200),
    Situation("wrong password", "http_unauthorized", "nginx/right", path="/closed", credentials=("storekeeper", "shut"), http_status=401),
    Situation("garbage instead of HTTP", "http_error", "raw/garbage instead of HTTP"),
    Situation("endless header", "http_error", "raw/endless header"),
)  # fmt: skip

_ADDRESSES = (
    Situation("a name without address", "dns_failure", host="nowhere.test", says=("nowhere.test",)),
    Situation("the first of two addresses is closed", "ok", "nginx/right", host="dead-first.test"),
    Situation("the first of two addresses is a black hole", "ok", "nginx/right", host="black-hole-first.test"),
    Situation("one of two addresses is forbidden", "ok", "nginx/right", host="half-forbidden.test"),
    Situation("another address at the second look", "ok", "nginx/right", host="changing.test"),
    *(
        Situation(f"not allowed: {host}", "blocked_by_policy", host=host, says=(says,))
        for host, says in {
            "10.0.0.1": "10.0.0.1", "169.254.169.254": "metadata", "0.0.0.0": "unspecified", "::": "unspecified",
            "224.0.0.1": "multicast", "ff02::1": "multicast", "fe80::1": "link-local", "forbidden.test": "192.168.0.1",
            "metadata.test": "metadata",
        }.items()
    ),
    Situation("loopback where it is not allowed", "blocked_by_policy", "nginx/right", allow=()),
    Situation("loopback, mapped into IPv6", "blocked_by_policy", "nginx/right", host="::ffff:127.0.0.1", allow=()),
    Situation("metadata address, though its network is allowed", "blocked_by_policy", host="169.254.169.254", allow=("169.254.0.0/16",)),
)  # fmt: skip

_SWITCH = (
    Situation("nginx trusts only the new authority: new", "ok", "nginx/new client authority", client="new",
        acceptable_cas=("CN=New Client Root",)),
    Situation("nginx trusts only the new authority: old", "client_certificate_unknown_ca", "nginx/new client authority", client="known",
        says=("New Client Root",)),
)  # fmt: skip

TABLE: tuple[Situation, ...] = (
    *_RIGHT, *_both_ways(), *_refused_late(), *_refused_clients(), *_CERTIFICATES, *_PROTOCOLS, *_ENDS, *_HTTP, *_ADDRESSES, *_SWITCH,
)  # fmt: skip


def unused() -> set[str]:
    """Listeners of the programs that no row looks at."""
    listeners = {f"{kind}/{name}" for kind, of_kind in LISTENERS.items() for name in of_kind}
    return listeners - {situation.server for situation in TABLE}
