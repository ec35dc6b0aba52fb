"""PEM (RFC 7468) as people send it: any text between blocks, any line ends, wrapping and Unicode encoding.

Scanning is linear: blocks are found by plain search, and the first one that is damaged ends the reading.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import NamedTuple

from stores.formats import asn1, limits, pkcs7, strangers
from stores.formats.asn1 import Asn1Error
from stores.formats.certificates import is_certificate, read_certificate
from stores.formats.encryption import decrypt_pem
from stores.formats.errors import ReadingError
from stores.formats.keys import read_key
from stores.formats.limits import Budget
from stores.formats.parsed import Certificate, Finding, Format, Parsed, PrivateKey, Upload
from stores.formats.text import visible

_BEGIN, _END, _DASHES = "-----BEGIN ", "-----END ", "-----"
_LABEL_CHARACTERS = 64
_NO_BASE64 = re.compile(r"[^A-Za-z0-9+/=]")
_BAGS = frozenset({"CERTIFICATE", "X509 CERTIFICATE", "PKCS7", "CMS"})
_TRUSTED = "TRUSTED CERTIFICATE"
_KEYS = frozenset(
    {
        "PRIVATE KEY",
        "ENCRYPTED PRIVATE KEY",
        "RSA PRIVATE KEY",
        "EC PRIVATE KEY",
        "DSA PRIVATE KEY",
        "ANY PRIVATE KEY",
    }
)
_USEFUL = _BAGS | _KEYS | {_TRUSTED}
_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe\0\0", "utf-32"), (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"),
)  # fmt: skip


class Block(NamedTuple):
    """What stands between BEGIN and END; `at` is the offset of BEGIN in the text."""

    label: str
    body: str
    at: int


def read(upload: Upload, content: bytes, source: str, budget: Budget) -> Parsed:
    """Certificates and keys of all blocks in their order; bare base64 of a certificate counts as a block.

    Raises ReadingError, among others unsupported_format when there are blocks of other kinds only.
    """
    text = decoded(content)
    found = _blocks(text, source)
    if not found:
        return _bare(text, source)
    useful = [block for block in found if block.label in _USEFUL]
    stranger = next((block.label for block in found if not useful or _misleads(block.label)), None)
    if stranger is not None:
        raise strangers.of_label(stranger, source)
    return _Reading(text, source, upload.password, budget).read(useful)


def _misleads(label: str) -> bool:
    """A private key in a form that is none of ours: passing over it would end in "no private key"."""
    return "PRIVATE KEY" in label and label not in _KEYS


def decoded(content: bytes) -> str:
    """The text; without a byte-order mark each octet is one character, as only ASCII matters."""
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "")
    if not encoding and b"\0-\0-\0-\0-\0-" in content:
        encoding = "utf-16-be" if content.find(b"\0-") % 2 == 0 else "utf-16-le"
    text = content.decode(encoding, "replace") if encoding else ""
    if _BEGIN not in text and (not encoding or _BEGIN.encode() in content):
        text = content.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _blocks(text: str, source: str) -> list[Block]:
    """All blocks. Raises ReadingError malformed at the first one that is not whole."""
    found, at = [], text.find(_BEGIN)
    if at < 0 and text.find(_END) >= 0:
        raise _damaged(
            text, text.find(_END), source, "has an END line, but the BEGIN line before it is missing"
        )
    while at >= 0:
        start = at + len(_BEGIN)
        stop = text.find(_DASHES, start, start + _LABEL_CHARACTERS + len(_DASHES))
        if stop < 0 or "\n" in text[start:stop]:
            raise _damaged(text, at, source, "has a BEGIN line that is damaged")
        label = text[start:stop].strip()
        end = text.find(_END, stop)
        if end < 0 or text.find(_BEGIN, stop, end) >= 0:
            raise _damaged(
                text, at, source, f"has a block {visible(label)} without its END line: it is cut off"
            )
        if not text.startswith(f"{label}{_DASHES}", end + len(_END)):
            raise _damaged(
                text, at, source, f"has a block {visible(label)} whose END line names something else"
            )
        found.append(Block(label, text[stop + len(_DASHES) : end], at))
        at = text.find(_BEGIN, end)
    return found


def _damaged(text: str, at: int, source: str, how: str) -> ReadingError:
    line = text.count("\n", 0, at) + 1
    return ReadingError(
        "malformed", f"{source} {how} (line {line:,}). Copy it again, from BEGIN to END, all lines."
    )


def _bare(text: str, source: str) -> Parsed:
    """A text without any block: base64 of a DER certificate, as Windows and some portals give it."""
    try:
        der = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        der = b""
    if der[:1] != b"\x30":
        raise strangers.of_text(text, source)
    certificate, weaknesses = read_certificate(der, source)
    return Parsed("pem", (certificate,), weaknesses=weaknesses)


class _Reading:
    """One pass over the blocks of a file."""

    def __init__(self, text: str, source: str, password: str | None, budget: Budget) -> None:
        self.text, self.source, self.password, self.budget = text, source, password, budget
        self.format: Format = "pem"
        self.certificates: list[Certificate] = []
        self.weaknesses: list[Finding] = []
        self.keys: dict[bytes, PrivateKey] = {}

    def read(self, blocks: list[Block]) -> Parsed:
        """Certificates and keys in their order. Raises ReadingError."""
        keys = [block for block in blocks if block.label in _KEYS]
        if len(blocks) - len(keys) > limits.CERTIFICATES:
            raise pkcs7.too_many(len(blocks) - len(keys), self.source)
        for block in blocks:
            if block.label not in _KEYS:
                self._certificates(block, len(blocks) - len(keys))
        for number, block in enumerate(keys, 1):
            self._key(
                block,
                f"private key {number} in {self.source}"
                if len(keys) > 1
                else f"the private key in {self.source}",
            )
        return Parsed(
            self.format,
            tuple(self.certificates),
            tuple(self.keys.values()),
            weaknesses=tuple(self.weaknesses),
        )

    def _certificates(self, block: Block, count: int) -> None:
        """One certificate, or the bag that some tools put under the same label."""
        der = self._der(block)
        number = len(self.certificates) + 1
        source = (
            f"certificate {number} in {self.source}" if count > 1 else f"the certificate in {self.source}"
        )
        if block.label == _TRUSTED:
            with asn1.named(source):
                der = asn1.first(der).raw  # what follows is OpenSSL's own data on how far to trust it
        if self._is_bag(der):
            self._bag(der)
        else:
            certificate, weaknesses = read_certificate(der, source)
            self.certificates.append(certificate)
            self.weaknesses += weaknesses

    def _is_bag(self, der: bytes) -> bool:
        try:
            return not is_certificate(asn1.first(der)) and pkcs7.is_signed_data(der)
        except Asn1Error:
            return pkcs7.is_signed_data(der)

    def _bag(self, der: bytes) -> None:
        parsed = pkcs7.read_bag(der, self.source, len(self.certificates))
        self.format = "pkcs7"
        self.certificates += parsed.certificates
        self.weaknesses += parsed.weaknesses

    def _key(self, block: Block, source: str) -> None:
        der = self._der(block)
        if der not in self.keys:
            if "Proc-Type" in block.body:
                der = self._unlocked(block, der, source)
            self.keys[der] = read_key(der, source, password=self.password, budget=self.budget)

    def _unlocked(self, block: Block, body: bytes, source: str) -> bytes:
        """An old encrypted block (RFC 1421, 4.6): the key inside, once the outline fits what a right password gives."""
        head, _, info = block.body.partition("DEK-Info:")
        cipher, _, iv = info.partition("\n")[0].partition(",")
        if "ENCRYPTED" not in head or not iv.strip():
            raise _damaged(
                self.text, block.at, self.source, "has an encrypted block without its DEK-Info line"
            )
        return decrypt_pem(cipher.strip(), iv.strip(), body, self.password, self.budget, source)

    def _der(self, block: Block) -> bytes:
        """The octets of a block, header lines aside. Raises ReadingError malformed that says where."""
        start = block.body.rfind(":")
        start = block.body.find("\n", start) if start >= 0 else 0
        compact = "".join(block.body[start:].split()) if start >= 0 else ""
        if not compact:
            raise _damaged(
                self.text, block.at, self.source, f"has a block {visible(block.label)} with nothing inside"
            )
        try:
            return base64.b64decode(compact, validate=True)
        except (binascii.Error, ValueError):
            odd = _NO_BASE64.search(compact)
            how = f"the character {visible(odd[0])}, which is no base64" if odd else "base64 that is cut off"
            raise _damaged(
                self.text, block.at, self.source, f"has a block {visible(block.label)} with {how}"
            ) from None
