"""Client certificates and trust entries from files, read without the rules of a store: a test may use what no store keeps."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_der_private_key

from providers.connection.target import ClientMaterial, PrivateKey
from stores.formats import limits, read
from stores.formats.errors import ReadingError
from stores.formats.library import library
from stores.formats.parsed import Certificate, Parsed, StoreKind, Upload
from stores.rules import chain


class MaterialError(Exception):
    """A file that is of no use here. `code` is one of DESIGN section 6, `sentence` says what is wrong."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


def client_material(file: Path, password: str | None) -> ClientMaterial:
    """The private key in a file, with its certificate and what is above it. Raises MaterialError."""
    parsed = _parsed(file, "key", password)
    if not parsed.keys:
        raise MaterialError("key_missing", f"There is no private key in {file.name}.")
    pairs = [
        (key, certificate)
        for key in parsed.keys
        for certificate in parsed.certificates
        if certificate.spki_sha256 == key.spki_sha256
    ]
    if not pairs:
        raise MaterialError("key_mismatch", f"No certificate in {file.name} belongs to its private key.")
    key, leaf = max(pairs, key=lambda pair: pair[1].not_after)
    try:
        ordered = chain.build(leaf, chain.without_duplicates(parsed.certificates), lambda _: 0)
        with library(file.name):
            opened = load_der_private_key(key.pkcs8, None)
    except ReadingError as error:
        raise MaterialError(error.code, error.sentence) from None
    return ClientMaterial(cast("PrivateKey", opened), tuple(map(_loaded, ordered)))


def trust_entries(file: Path) -> tuple[x509.Certificate, ...]:
    """Every certificate in a file. Raises MaterialError."""
    found = _parsed(file, "trust", None).certificates
    if not found:
        raise MaterialError("no_certificate", f"There is no certificate in {file.name}.")
    return tuple(map(_loaded, found))


def _parsed(file: Path, store: StoreKind, password: str | None) -> Parsed:
    try:
        with file.open("rb") as opened:
            content = opened.read(limits.UPLOAD_BYTES + 1)
        return read(Upload(file.name, content, store, password, symbols="warn"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no such file"
        raise MaterialError("empty_file", f"{file.name} cannot be read: {reason}.") from None
    except ReadingError as error:
        raise MaterialError(error.code, error.sentence) from None


def _loaded(certificate: Certificate) -> x509.Certificate:
    return x509.load_der_x509_certificate(certificate.der)
