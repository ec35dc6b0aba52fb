"""Public certificates as files of the usual formats. Knows no Django; what it writes the portal reads again."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Literal

FileFormat = Literal["pem", "der", "p7b"]
CONTENT_TYPES: dict[FileFormat, str] = {
    "pem": "application/pem-certificate-chain",
    "der": "application/pkix-cert",
    "p7b": "application/x-pkcs7-certificates",
}
"""RFC 8555, section 9.1; RFC 2585, section 4.1; the third one is what browsers and Windows use."""
_SEQUENCE, _SET, _CONTEXT_0 = 0x30, 0x31, 0xA0
_VERSION_1 = b"\x02\x01\x01"
_DATA = bytes.fromhex("06092a864886f70d010701")
_SIGNED_DATA = bytes.fromhex("06092a864886f70d010702")


def write(certificates: Sequence[bytes], form: FileFormat) -> bytes:
    """The DER certificates as PEM text, in their order, or as PKCS#7; as DER the first one alone."""
    if form == "der":
        return certificates[0]
    if form == "pem":
        return b"".join(_pem(der, "CERTIFICATE") for der in certificates)
    return _pem(_pkcs7(certificates), "PKCS7")


def _pem(der: bytes, label: str) -> bytes:
    """RFC 7468: lines of 64 characters."""
    text = base64.b64encode(der)
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return b"\n".join(
        [b"-----BEGIN %s-----" % label.encode(), *lines, b"-----END %s-----" % label.encode(), b""]
    )


def _pkcs7(certificates: Sequence[bytes]) -> bytes:
    """RFC 2315, section 9.1, without signers. A set has no order of its own: strict readers want it sorted (X.690, section 11.6)."""
    bag = _tagged(_CONTEXT_0, b"".join(sorted(certificates)))
    nothing = _tagged(_SET, b"")
    signed = _tagged(_SEQUENCE, _VERSION_1 + nothing + _tagged(_SEQUENCE, _DATA) + bag + nothing)
    return _tagged(_SEQUENCE, _SIGNED_DATA + _tagged(_CONTEXT_0, signed))


def _tagged(tag: int, content: bytes) -> bytes:
    """One element in DER (X.690, section 8.1.3)."""
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + content
