"""X.509 certificates (RFC 5280): facts and weaknesses of one. Read by our own parser; cryptography only verifies."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import NamedTuple

from cryptography import x509

from stores.formats import names
from stores.formats.algorithms import (
    ALTERNATIVE_NAMES,
    AUTHORITY_ACCESS,
    BASIC_CONSTRAINTS,
    EXTENDED_KEY_USAGE,
    EXTENDED_USAGES,
    HASHES,
    KEY_USAGE,
    KEY_USAGES,
    KNOWN_EXTENSIONS,
    RSA_PSS,
    SIGNATURES,
    WEAK_HASHES,
)
from stores.formats.asn1 import (
    BIT_STRING,
    BOOLEAN,
    GENERALIZED_TIME,
    INTEGER,
    OCTET_STRING,
    OID,
    SEQUENCE,
    UTC_TIME,
    Asn1Error,
    Fields,
    Node,
    integer,
    named,
    parse,
    scan,
)
from stores.formats.errors import ReadingError
from stores.formats.library import library
from stores.formats.parsed import Certificate, Finding
from stores.formats.public_keys import PublicKey, bits, read_public_key
from stores.formats.signatures import is_signed_by
from stores.formats.text import listed, visible

_SERIAL_OCTETS = 64
"""RFC 5280 allows 20; some old roots have a few more."""
_MOST_NAMES, _MOST_USAGES, _MOST_URLS = 1_000, 30, 5
_CA_ISSUERS = "1.3.6.1.5.5.7.48.2"
_URL_CHARACTERS = 500


class Body(NamedTuple):
    """The fields of TBSCertificate (RFC 5280, 4.1)."""

    serial: Node
    signature: Node
    issuer: Node
    validity: Node
    subject: Node
    spki: Node
    extensions: dict[str, tuple[bool, bytes]]


def read_certificate(der: bytes, source: str) -> tuple[Certificate, tuple[Finding, ...]]:
    """Facts and weaknesses of the certificate in `der`; `source` names it, as "certificate 2 in orders.pem".

    The findings are weak_key, weak_signature and unknown_critical_extension, each with its sha256; whether they count
    is for the rules to say. Raises ReadingError malformed, too_large or unsupported_format.
    """
    with named(source):
        scan(der)
        whole = parse(der)
        body = _body(whole)
        key = read_public_key(body.spki, source)
        facts = _facts(whole, body, key, source)
    return facts, _weaknesses(facts, body, key)


def is_certificate(node: Node) -> bool:
    """Whether the element has the outline of a certificate; requests and revocation lists have the same frame."""
    children = node.children()[:4] if node.tag == SEQUENCE else []
    if [child.tag for child in children] != [SEQUENCE, SEQUENCE, BIT_STRING]:
        return False
    inner = [child.tag for child in children[0].children()]
    is_request = inner[:3] == [INTEGER, SEQUENCE, SEQUENCE] and len(inner) <= 4
    return not is_request and UTC_TIME not in inner and GENERALIZED_TIME not in inner


def _body(whole: Node) -> Body:
    outer = whole.fields("the certificate")
    tbs = outer.take(SEQUENCE, "the certificate's body").fields("the certificate's body")
    algorithm = outer.take(SEQUENCE, "the signature algorithm")
    bits(outer.take(BIT_STRING, "the signature"))
    outer.done()
    version = tbs.maybe(0xA0)
    if version and version.only("the version").integer("the version") not in (0, 1, 2):
        raise Asn1Error("it has a version that does not exist")
    found = Body(
        serial=tbs.take(INTEGER, "the serial number"),
        signature=tbs.take(SEQUENCE, "the signature algorithm"),
        issuer=tbs.take(SEQUENCE, "the issuer"),
        validity=tbs.take(SEQUENCE, "the validity"),
        subject=tbs.take(SEQUENCE, "the subject"),
        spki=tbs.take(SEQUENCE, "the public key"),
        extensions=_rest(tbs),
    )
    if found.signature.raw != algorithm.raw:
        raise Asn1Error("it names two signature algorithms that differ")
    return found


def _rest(tbs: Fields) -> dict[str, tuple[bool, bytes]]:
    """The extensions, after the unique identifiers of version 2, which nobody uses."""
    tbs.maybe(0x81)
    tbs.maybe(0x82)
    found = _extensions(tbs.maybe(0xA3))
    tbs.done()
    return found


def _extensions(node: Node | None) -> dict[str, tuple[bool, bytes]]:
    """Critical flag and value by object identifier."""
    found: dict[str, tuple[bool, bytes]] = {}
    if node is None:
        return found
    for item in node.only("the list of extensions").expect(SEQUENCE, "the list of extensions").children():
        fields = item.fields("an extension")
        dotted = fields.take(OID, "the name of an extension").oid()
        flag = fields.maybe(BOOLEAN)
        value = fields.take(OCTET_STRING, "the value of an extension").content
        if dotted in found:
            raise Asn1Error(f"it has the extension {dotted} twice")
        found[dotted] = (flag is not None and _boolean(flag), value)
    return found


def _boolean(node: Node) -> bool:
    if node.end - node.body != 1:
        raise Asn1Error(f"the truth value at octet {node.start} is damaged")
    return node.content != b"\0"


def _facts(whole: Node, body: Body, key: PublicKey, source: str) -> Certificate:
    der = whole.raw
    subject, issuer = names.attributes(body.subject), names.attributes(body.issuer)
    begin, end = (_time(node) for node in _two(body.validity))
    alternative = _alternative_names(body.extensions)
    shown = names.distinguished(subject)
    if body.serial.end - body.serial.body > _SERIAL_OCTETS:
        raise Asn1Error(f"its serial number is longer than {_SERIAL_OCTETS} octets")
    return Certificate(
        der=der,
        sha256=hashlib.sha256(der).hexdigest(),
        subject=shown,
        issuer=names.distinguished(issuer),
        common_name=names.common_name(subject)
        or next(iter(alternative), "").partition(":")[2]
        or shown
        or "no name",
        serial=f"{integer(body.serial.content):x}",
        not_before=begin,
        not_after=end,
        key_type=key.kind,
        signature=_signature(body.signature),
        names=alternative,
        usages=(*_key_usages(body.extensions), *_extended_usages(body.extensions)),
        is_ca=_is_ca(body.extensions),
        is_self_signed=_self_signed(der, body.subject.raw == body.issuer.raw, key, source),
        spki_sha256=hashlib.sha256(body.spki.raw).hexdigest(),
        issuer_urls=_issuer_urls(body.extensions),
    )


def _two(validity: Node) -> tuple[Node, Node]:
    fields = validity.fields("the validity")
    found = fields.any("its begin"), fields.any("its end")
    fields.done()
    return found


def _time(node: Node) -> dt.datetime:
    """UTCTime or GeneralizedTime in the only forms that RFC 5280 (4.1.2.5) allows: seconds, and Z."""
    text, long = node.content, node.tag == GENERALIZED_TIME
    if node.tag not in (UTC_TIME, GENERALIZED_TIME) or len(text) != (15 if long else 13) or text[-1:] != b"Z":
        raise Asn1Error(f"the date at octet {node.start} is none")
    if not text[:-1].isdigit():
        raise Asn1Error(f"the date at octet {node.start} is none")
    year = int(text[:4]) if long else int(text[:2]) + (1900 if text[:2] >= b"50" else 2000)
    month, day, hour, minute, second = (
        int(text[at : at + 2]) for at in range(4 if long else 2, len(text) - 1, 2)
    )
    try:
        return dt.datetime(year, month, day, hour, minute, second, tzinfo=dt.UTC)
    except ValueError:
        raise Asn1Error(f"the date at octet {node.start} does not exist in the calendar") from None


def _signature(algorithm: Node) -> str:
    """As shown; the object identifier where it has no name with us."""
    fields = algorithm.fields("the signature algorithm")
    dotted = fields.take(OID, "the signature algorithm").oid()
    if dotted != RSA_PSS:
        return SIGNATURES.get(dotted, dotted)
    parameters = fields.maybe(SEQUENCE)
    digest = "1.3.14.3.2.26"  # SHA-1 is what RFC 4055 (3.1) means by nothing
    for item in parameters.children() if parameters else []:
        if item.tag == 0xA0:
            digest = item.only("the digest").fields("the digest").take(OID, "the digest").oid()
    return f"{HASHES.get(digest, digest)} with RSA-PSS"


def _self_signed(der: bytes, self_issued: bool, key: PublicKey, source: str) -> bool:
    """Whether its own key signed it. Has cryptography take certificate and key apart as well, whatever the answer.

    A weak key is refused as that also where cryptography cannot read its certificate: it does not take Java's DSA.
    """
    try:
        with library(source):
            loaded = x509.load_der_x509_certificate(der)
            if not key.weakness:
                loaded.public_key()
    except ReadingError:
        if not key.weakness:
            raise
        return False
    return self_issued and is_signed_by(loaded, loaded)


def _value(extensions: dict[str, tuple[bool, bytes]], dotted: str) -> Node | None:
    """The content of an extension that is known to us, checked for depth and size."""
    if dotted not in extensions:
        return None
    value = extensions[dotted][1]
    scan(value)
    return parse(value)


def _alternative_names(extensions: dict[str, tuple[bool, bytes]]) -> tuple[str, ...]:
    value = _value(extensions, ALTERNATIVE_NAMES)
    found = value.expect(SEQUENCE, "the alternative names").children() if value else []
    return tuple(names.general(node) for node in found[:_MOST_NAMES])


def _key_usages(extensions: dict[str, tuple[bool, bytes]]) -> tuple[str, ...]:
    value = _value(extensions, KEY_USAGE)
    if value is None:
        return ()
    content = value.expect(BIT_STRING, "the key usage").content
    if not content or content[0] > 7:
        raise Asn1Error("its key usage is damaged")
    flags = content[1:3].ljust(2, b"\0")
    return tuple(usage for at, usage in enumerate(KEY_USAGES) if flags[at // 8] << at % 8 & 0x80)


def _extended_usages(extensions: dict[str, tuple[bool, bytes]]) -> tuple[str, ...]:
    value = _value(extensions, EXTENDED_KEY_USAGE)
    found = value.expect(SEQUENCE, "the extended key usage").children() if value else []
    dotted = (node.oid("an extended key usage") for node in found[:_MOST_USAGES])
    return tuple(EXTENDED_USAGES.get(usage, usage) for usage in dotted)


def _is_ca(extensions: dict[str, tuple[bool, bytes]]) -> bool:
    value = _value(extensions, BASIC_CONSTRAINTS)
    flag = value.fields("the basic constraints").maybe(BOOLEAN) if value else None
    return flag is not None and _boolean(flag)


def _issuer_urls(extensions: dict[str, tuple[bool, bytes]]) -> tuple[str, ...]:
    """Where the issuer's certificate can be had (RFC 5280, 4.2.2.1); only what is a plain web address."""
    value = _value(extensions, AUTHORITY_ACCESS)
    found: list[str] = []
    for item in value.expect(SEQUENCE, "the authority information access").children()[:100] if value else []:
        fields = item.fields("an access description")
        method, place = fields.take(OID, "the access method").oid(), fields.any("the access location")
        text = place.content.decode("latin-1") if method == _CA_ISSUERS and place.tag == 0x86 else ""
        if _is_web_address(text) and len(found) < _MOST_URLS:
            found.append(text)
    return tuple(found)


def _is_web_address(text: str) -> bool:
    plain = (
        text.isascii()
        and text.isprintable()
        and len(text) <= _URL_CHARACTERS
        and not set(text) & set(" \"'<>\\")
    )
    return plain and text.lower().startswith(("http://", "https://"))


def _weaknesses(facts: Certificate, body: Body, key: PublicKey) -> tuple[Finding, ...]:
    who = f"The certificate “{visible(facts.common_name)}”"
    found = []
    if key.weakness:
        text = f"{who} has {key.weakness}. Ask its issuer for a new one, made for a new key."
        found.append(Finding("weak_key", "error", text, facts.sha256))
    if facts.signature.startswith(WEAK_HASHES):
        digest = facts.signature.partition(" ")[0]
        text = (
            f"{who} is signed with {digest}, which can be forged. Ask its issuer for one signed with SHA-256."
        )
        found.append(Finding("weak_signature", "error", text, facts.sha256))
    unknown = [
        dotted
        for dotted, (critical, _) in body.extensions.items()
        if critical and dotted not in KNOWN_EXTENSIONS
    ]
    if unknown:
        text = f"{who} has a critical extension that is not known here: {listed(unknown)}. Whoever does not know it must refuse"
        text = f"{text} the certificate (RFC 5280). Ask its issuer for one in which it is not critical."
        found.append(Finding("unknown_critical_extension", "error", text, facts.sha256))
    return tuple(found)
