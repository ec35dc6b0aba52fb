"""What a connection test found: the diagnosis, what was seen of the server, and the steps."""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from stores.formats.parsed import Certificate

Side = Literal["ours", "theirs", "network", ""]
CODES = (
    "blocked_by_policy", "dns_failure", "connection_refused", "connect_timeout", "connection_reset", "not_tls",
    "protocol_too_old", "no_common_cipher", "timeout", "server_certificate_expired", "server_certificate_not_yet_valid",
    "server_certificate_revoked", "server_self_signed", "server_chain_incomplete", "untrusted_issuer", "server_weak",
    "server_name_mismatch", "pin_mismatch", "client_certificate_required", "client_certificate_unknown_ca",
    "client_certificate_expired", "client_certificate_refused", "tls_expected", "http_unauthorized", "http_redirect",
    "http_not_found", "http_error", "ok",
)  # fmt: skip
"""Stable, and in the order in which they are judged: the first that applies is the diagnosis (DESIGN section 13)."""


@dataclass(frozen=True)
class Step:
    """One thing that was done; `seconds` is what it took."""

    name: str
    ok: bool
    seconds: float
    detail: str


@dataclass(frozen=True)
class ServerCertificate:
    """Facts of one certificate of the server, or of the trust entry that it ends in. Times are UTC."""

    sha256: str
    subject: str
    issuer: str
    common_name: str
    serial: str
    not_before: dt.datetime
    not_after: dt.datetime
    key_type: str
    names: tuple[str, ...]
    spki_pin: str
    """Base64 of the SHA-256 of its SubjectPublicKeyInfo (RFC 7469, section 2.4)."""
    is_ca: bool
    der: bytes = dataclasses.field(repr=False)

    @classmethod
    def of(cls, facts: Certificate) -> ServerCertificate:
        """The part of a certificate's facts that a report keeps."""
        kept = {
            field.name: getattr(facts, field.name)
            for field in dataclasses.fields(cls)
            if field.name != "spki_pin"
        }
        return cls(**kept, spki_pin=base64.b64encode(bytes.fromhex(facts.spki_sha256)).decode())

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        changed = {
            "not_before": self.not_before.isoformat(),
            "not_after": self.not_after.isoformat(),
            "names": list(self.names),
            "der": base64.b64encode(self.der).decode(),
        }
        return {**dataclasses.asdict(self), **changed}

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> ServerCertificate:
        """The reverse of `to_dict`."""
        changed = {
            "not_before": dt.datetime.fromisoformat(kept["not_before"]),
            "not_after": dt.datetime.fromisoformat(kept["not_after"]),
            "names": tuple(kept["names"]),
            "der": base64.b64decode(kept["der"]),
        }
        return cls(**{**kept, **changed})


@dataclass(frozen=True)
class Report:
    """The outcome of one connection test. Holds no secret."""

    ok: bool
    code: str
    """One of `CODES`."""
    message: str
    """What is wrong, whose side it is on, and what to do next."""
    side: Side = ""
    protocol: str = ""
    """As "TLSv1.3"; "" where none was agreed on."""
    cipher: str = ""
    server_chain: tuple[ServerCertificate, ...] = ()
    """As the server sent it."""
    anchor: ServerCertificate | None = None
    """The trust entry that the server's chain ends in."""
    anchor_goes: bool = False
    """Whether that is an entry of an old version, trusted until the server was seen with a new one (`Target.outgoing`)."""
    client_certificate_requested: bool = False
    client_certificate_sent: bool = False
    acceptable_cas: tuple[str, ...] = ()
    """Names of the authorities that the server says it takes client certificates from."""
    http_status: int | None = None
    steps: tuple[Step, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The stable form of `manage.py probe` (DESIGN section 13)."""
        return {
            "ok": self.ok,
            "code": self.code,
            "message": self.message,
            "protocol": self.protocol or None,
            "cipher": self.cipher or None,
            "server_chain": [certificate.sha256 for certificate in self.server_chain],
            "anchor": self.anchor.sha256 if self.anchor else None,
            "client_certificate_requested": self.client_certificate_requested,
            "client_certificate_sent": self.client_certificate_sent,
            "acceptable_cas": list(self.acceptable_cas),
            "http_status": self.http_status,
            "steps": _as_dicts(self.steps),
        }

    def to_dict(self) -> dict[str, Any]:
        """Everything in plain values, for a JSON column."""
        kept = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        changed = {
            "server_chain": [certificate.to_dict() for certificate in self.server_chain],
            "anchor": self.anchor.to_dict() if self.anchor else None,
            "acceptable_cas": list(self.acceptable_cas),
            "steps": _as_dicts(self.steps),
        }
        return {**kept, **changed}

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> Report:
        """The reverse of `to_dict`."""
        changed = {
            "server_chain": tuple(map(ServerCertificate.from_dict, kept["server_chain"])),
            "anchor": ServerCertificate.from_dict(kept["anchor"]) if kept["anchor"] else None,
            "acceptable_cas": tuple(kept["acceptable_cas"]),
            "steps": tuple(Step(**step) for step in kept["steps"]),
        }
        return cls(**{**kept, **changed})


def _as_dicts(steps: Sequence[Step]) -> list[dict[str, Any]]:
    return [dataclasses.asdict(step) for step in steps]
