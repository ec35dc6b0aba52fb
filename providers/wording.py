"""Diagnoses in a few words, without any address: for lists, headlines, and people who may not see where a provider is."""

from __future__ import annotations

EDITED_MEANWHILE = "edited_meanwhile"
"""The code of a test that says nothing of its provider, whose connection became another one while it ran."""
HEADLINES = {
    "blocked_by_policy": "The portal may not connect to this address",
    "dns_failure": "The host name has no address",
    "connection_refused": "Nothing listens on the port",
    "connect_timeout": "The server does not answer",
    "connection_reset": "The server ended the connection",
    "not_tls": "The port does not speak TLS",
    "protocol_too_old": "The server speaks only outdated TLS",
    "no_common_cipher": "There is no common cipher",
    "timeout": "The server is too slow",
    "server_certificate_expired": "The server's certificate has ended",
    "server_certificate_not_yet_valid": "The server's certificate is not valid yet",
    "server_certificate_revoked": "The server's certificate is revoked",
    "server_self_signed": "The server's certificate is signed by itself",
    "server_chain_incomplete": "The server's chain has a gap",
    "untrusted_issuer": "The server's chain does not end in the trust store",
    "server_weak": "The server's chain is too weak",
    "server_name_mismatch": "The server's certificate is for another name",
    "pin_mismatch": "The server's key is not the one that is pinned",
    "client_certificate_required": "The server wants a client certificate",
    "client_certificate_unknown_ca": "The server does not know the issuer of our certificate",
    "client_certificate_expired": "Our certificate has ended",
    "client_certificate_refused": "The server refuses our certificate",
    "tls_expected": "The port wants TLS",
    "http_unauthorized": "The server wants another sign-in",
    "http_redirect": "The catalogue has moved",
    "http_not_found": "The catalogue is not there",
    "http_error": "The server answers with an error",
    "ok": "The connection works",
    "interrupted": "The test was cut short",
    EDITED_MEANWHILE: "The connection was edited while the test ran",
    "key_does_not_open": "Our private key does not open",
    "password_does_not_open": "The kept password does not open",
}
"""By the code of a report: those of `providers.connection.CODES`, and those of tests that could not be run."""
WORKS = HEADLINES["ok"]
SIDES = {"ours": "Ours to change", "theirs": "Theirs to change", "network": "Between us and them"}


def headline(code: str) -> str:
    """What a report says, as a short sentence without its dot; "" for no code yet."""
    return HEADLINES.get(code, code.replace("_", " ").capitalize())
