"""PKCS#7 certificate bags (SignedData of RFC 5652 without signers, as .p7b and .p7c), in DER or BER."""

from __future__ import annotations

from stores.formats import limits
from stores.formats.asn1 import INTEGER, OID, SEQUENCE, SET, Node, named, parse, scan
from stores.formats.certificates import read_certificate
from stores.formats.errors import ReadingError
from stores.formats.limits import Budget
from stores.formats.parsed import Certificate, Finding, Parsed, Upload

SIGNED_DATA = bytes.fromhex("06092a864886f70d010702")
"""The OBJECT IDENTIFIER of SignedData, with tag and length."""
_OTHERS = {
    "1.2.840.113549.1.7.1": "plain data", "1.2.840.113549.1.7.3": "an encrypted message (EnvelopedData)",
    "1.2.840.113549.1.7.5": "a digest (DigestedData)", "1.2.840.113549.1.7.6": "encrypted data (EncryptedData)",
    "1.2.840.113549.1.9.16.1.9": "compressed data", "1.2.840.113549.1.9.16.1.2": "authenticated data",
}  # fmt: skip
"""Contents of PKCS#7 that hold no certificates which could be read without a key."""


def read(upload: Upload, content: bytes, source: str, budget: Budget) -> Parsed:
    """The certificates of a bag in the file's order. Raises ReadingError malformed, too_large or unsupported_format."""
    return read_bag(content, source)


def is_signed_data(content: bytes) -> bool:
    """Whether it begins as PKCS#7 SignedData does, in DER or BER; it may be damaged behind that."""
    return content[:1] == b"\x30" and SIGNED_DATA in content[2:24]


def read_bag(content: bytes, source: str, before: int = 0) -> Parsed:
    """As `read`; `before` certificates were read from the same upload already."""
    with named(source):
        bag = parse(content, ber=True)
        scan(bag.data)
        ders = [node.raw for node in _certificates(bag, source)]
    if before + len(ders) > limits.CERTIFICATES:
        raise too_many(before + len(ders), source)
    certificates: list[Certificate] = []
    weaknesses: list[Finding] = []
    for number, der in enumerate(ders, before + 1):
        certificate, found = read_certificate(der, f"certificate {number} in {source}")
        certificates.append(certificate)
        weaknesses += found
    return Parsed("pkcs7", tuple(certificates), weaknesses=tuple(weaknesses))


def too_many(count: int, source: str) -> ReadingError:
    """The error for more certificates than are read from one upload."""
    text = f"{source} has {count:,} certificates; at most {limits.CERTIFICATES:,} are read at once. Split it."
    return ReadingError("too_large", text)


def _certificates(bag: Node, source: str) -> list[Node]:
    """The X.509 certificates of the set; other choices of CertificateSet (RFC 5652, 10.2.3) are passed over."""
    outer = bag.fields("the PKCS#7 file")
    kind = outer.take(OID, "the kind of content").oid()
    if kind != "1.2.840.113549.1.7.2":
        what = _OTHERS.get(kind, f"content of the kind {kind}")
        text = (
            f"{source} is PKCS#7 with {what}, not with certificates. Export the certificates as .p7b or PEM."
        )
        raise ReadingError("unsupported_format", text)
    signed = outer.take(0xA0, "the content").only("the signed data").fields("the signed data")
    outer.done()
    signed.take(INTEGER, "the version")
    signed.take(SET, "the digest algorithms")
    signed.take(SEQUENCE, "the content that is signed")
    certificates = signed.maybe(0xA0)
    return [node for node in certificates.children() if node.tag == SEQUENCE] if certificates else []
