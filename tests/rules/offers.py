"""Offers minted certificates to the rules as if a file had been read."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Sequence
from typing import Any

from cryptography.hazmat.primitives import serialization

from stores.formats.certificates import read_certificate
from stores.formats.parsed import Finding, Format, Inspection, Parsed, PrivateKey, StoreKind, Upload
from stores.rules import check
from tests.material import NOW, Minted


def private_key(minted: Minted, alias: str = "", chain: Sequence[Minted] = ()) -> PrivateKey:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    spki = minted.key.public_key().public_bytes(serialization.Encoding.DER, form)
    attached = tuple(link.sha256 for link in chain)
    return PrivateKey(minted.key_der, hashlib.sha256(spki).hexdigest(), "EC P-256", alias, attached)


def parsed(
    certificates: Sequence[Minted],
    keys: Sequence[Minted | PrivateKey] = (),
    file_format: Format = "pem",
    weaknesses: Sequence[Finding] = (),
) -> Parsed:
    """What reading a file with these certificates and keys gives."""
    read = [read_certificate(minted.der, "a test") for minted in certificates]
    found = [finding for _, findings in read for finding in findings]
    ready = tuple(key if isinstance(key, PrivateKey) else private_key(key) for key in keys)
    return Parsed(file_format, tuple(facts for facts, _ in read), ready, (), (*found, *weaknesses))


def upload(store: StoreKind, name: str = "orders.pem", **more: Any) -> Upload:
    return Upload(name, b"", store, **more)


def offer_key(
    *certificates: Minted, key: Minted | None = None, now: dt.datetime = NOW, **more: Any
) -> Inspection:
    """A PEM file with these certificates and the key of `key`, else of the first, offered to a key store."""
    return check(parsed(certificates, [key or certificates[0]]), upload("key", **more), now)


def offer_trust(*certificates: Minted, now: dt.datetime = NOW, **more: Any) -> Inspection:
    """A PEM file with these certificates, offered to a trust store."""
    return check(parsed(certificates), upload("trust", **more), now)


def codes(inspection: Inspection) -> list[str]:
    return [finding.code for finding in inspection.findings]


def text_of(inspection: Inspection, code: str) -> str:
    """The text of the only finding with this code."""
    (finding,) = (finding for finding in inspection.findings if finding.code == code)
    return finding.text


def kept(inspection: Inspection) -> list[str]:
    return [certificate.common_name for certificate in inspection.certificates]
