"""Whether the server is the one that is meant: its chain, its dates, its strength, its name, its pins."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.ocsp import OCSPCertStatus, OCSPResponseStatus
from cryptography.x509.oid import NameOID

from providers.connection import identity
from providers.connection.problem import Problem
from providers.connection.report import ServerCertificate
from providers.connection.target import Target, ip_address
from providers.connection.verify import Verdict, public_roots, verify
from stores.formats.algorithms import EXTENDED_USAGES, KEY_USAGES
from stores.formats.certificates import read_certificate
from stores.formats.errors import ReadingError
from stores.formats.library import library
from stores.formats.parsed import Certificate, Finding
from stores.formats.text import listed
from stores.rules.wording import instant, quoted

_FOR_SERVERS = {EXTENDED_USAGES["1.3.6.1.5.5.7.3.1"], EXTENDED_USAGES["2.5.29.37.0"]}
_ASK_THEM = "Ask the people who run the server"


@dataclass(frozen=True)
class Shown:
    """A certificate that the server showed."""

    facts: Certificate
    weaknesses: tuple[Finding, ...]
    loaded: x509.Certificate


def read_chain(chain: Sequence[bytes]) -> tuple[Shown, ...]:
    """The chain as sent. Raises Problem server_weak when one of its certificates cannot be read."""
    return tuple(_shown(der, number) for number, der in enumerate(chain, 1))


def _shown(der: bytes, number: int) -> Shown:
    source = f"Certificate {number} that the server sent"
    try:
        facts, weaknesses = read_certificate(der, source)
        with library(source):
            loaded = x509.load_der_x509_certificate(der)
            _ = loaded.subject, loaded.issuer, loaded.extensions
    except ReadingError as error:
        raise Problem("server_weak", f"{error.sentence} {_ASK_THEM} for a sound one.", "theirs") from None
    return Shown(facts, weaknesses, loaded)


def anchor_of(verdict: Verdict) -> ServerCertificate | None:
    """The facts of the trust entry that a path ends in."""
    if verdict.anchor is None:
        return None
    facts, _ = read_certificate(_der(verdict.anchor), "the trust entry")
    return ServerCertificate.of(facts)


def judge(chain: Sequence[Shown], target: Target, now: dt.datetime) -> Verdict:
    """The verdict on a chain by the target's trust: its entries, or the public roots, or both; at last with the outgoing ones."""
    sent = [one.loaded for one in chain]
    if target.trust is None:
        return verify(sent, public_roots(), now)
    verdict = verify(sent, target.trust, now)
    if verdict.code != "ok" and target.also_public:
        by_public = verify(sent, public_roots(), now)
        verdict = by_public if by_public.code == "ok" else verdict
    if verdict.code != "ok" and target.outgoing:
        both = verify(sent, target.trust + target.outgoing, now)
        return dataclasses.replace(both, goes=both.anchor is not None)
    return verdict


def check_chain(chain: Sequence[Shown], verdict: Verdict, staple: bytes, target: Target) -> str:
    """What proves the server's certificate. Raises Problem with the first of the codes up to server_weak that applies."""
    leaf = chain[0].facts
    _check_dates(verdict)
    _check_staple(chain[0], staple)
    _check_path(verdict, target, leaf)
    _check_strength(chain, verdict)
    return _verified(leaf, verdict)


def _check_dates(verdict: Verdict) -> None:
    culprit = verdict.culprit
    if culprit is None or verdict.code not in (
        "server_certificate_expired",
        "server_certificate_not_yet_valid",
    ):
        return
    name = _name(culprit)
    if verdict.code == "server_certificate_expired":
        text = f"The server's certificate {name} ended on {instant(culprit.not_valid_after_utc)}. {_ASK_THEM} to renew it."
    else:
        text = (
            f"The server's certificate {name} is valid only from {instant(culprit.not_valid_before_utc)}. "
            f"{_ASK_THEM} to use one that is valid now, or check both clocks."
        )
    raise Problem(verdict.code, text, "theirs")


def _check_staple(leaf: Shown, staple: bytes) -> None:
    """Raises Problem when the server itself hands over the news that its certificate is revoked (RFC 6960)."""
    if (revoked := _revoked_at(staple, leaf.loaded.serial_number)) is None:
        return
    text = (
        f"The server's certificate {quoted(leaf.facts.common_name)} was revoked on {instant(revoked)}, "
        f"as the OCSP response says that the server itself sends along. {_ASK_THEM} to replace it."
    )
    raise Problem("server_certificate_revoked", text, "theirs")


def _revoked_at(staple: bytes, serial: int) -> dt.datetime | None:
    if not staple:
        return None
    try:
        response = ocsp.load_der_ocsp_response(staple)
        if response.response_status is not OCSPResponseStatus.SUCCESSFUL:
            return None
        singles = [
            one
            for one in response.responses
            if one.serial_number == serial and one.certificate_status is OCSPCertStatus.REVOKED
        ]
        return singles[0].revocation_time_utc if singles else None
    except ValueError:
        return None


def _check_path(verdict: Verdict, target: Target, leaf: Certificate) -> None:
    if verdict.code == "ok" or verdict.culprit is None:
        return
    trusted = "the trust store" if target.trust is not None else "the public roots of this system"
    if verdict.ours:
        text = _ours_ended(verdict.culprit, target)
        raise Problem("untrusted_issuer", text, "ours")
    if verdict.code == "server_self_signed":
        text = (
            f"The server's certificate {quoted(leaf.common_name)} is signed by itself and is not in {trusted}. "
            f"If its SHA-256 {leaf.sha256} is what the people who run the server tell you, add it to the trust store."
        )
    elif verdict.code == "server_chain_incomplete":
        text = (
            f"The server sends its own certificate alone; the one of its issuer {_issuer(verdict)} is missing. {_ASK_THEM} "
            "to send the intermediate certificates as well."
        )
        raise Problem(verdict.code, text, "theirs")
    else:
        text = _untrusted(verdict, trusted)
    raise Problem(verdict.code, text, "ours")


def _ours_ended(entry: x509.Certificate, target: Target) -> str:
    whose = "Our trust entry" if target.trust is not None else "The public root"
    return (
        f"{whose} {_name(entry)}, which the server's chain leads to, is valid only from "
        f"{instant(entry.not_valid_before_utc)} until {instant(entry.not_valid_after_utc)}. Put the one that follows it "
        "into the trust store."
    )


def _untrusted(verdict: Verdict, trusted: str) -> str:
    top = verdict.path[-1]
    if top.subject == top.issuer:
        return (
            f"The server's chain leads to {_name(top)}, which is not in {trusted}. "
            "Add it to the trust store, if it is the authority that this server should have."
        )
    if "issuer" not in verdict.reason:
        return (
            f"The server's chain cannot be verified: {verdict.reason}. "
            "Compare the trust store with what the people who run the server tell you."
        )
    return (
        f"{_name(top)}, the last certificate that the server sends, was issued by {_issuer(verdict)}, which is not in {trusted}. "
        "Add that issuer to the trust store, if this server should have it; if it is no root, the server must send it."
    )


def _check_strength(chain: Sequence[Shown], verdict: Verdict) -> None:
    """The leaf's key, and what is below the anchor, must not be weaker than what the portal itself keeps."""
    below = {_der(certificate) for certificate in verdict.path[:-1]}
    for number, one in enumerate(chain):
        for weakness in one.weaknesses:
            counts = one.facts.der in below or (number == 0 and weakness.code == "weak_key")
            if counts and weakness.code in ("weak_key", "weak_signature"):
                text = f"{weakness.text.partition('. ')[0]}, and the server uses it. {_ASK_THEM} for a stronger one."
                raise Problem("server_weak", text, "theirs")
    leaf = chain[0].facts
    extended = set(leaf.usages) - set(KEY_USAGES)
    if extended and not extended & _FOR_SERVERS:
        text = f"The server's certificate {quoted(leaf.common_name)} is made for {listed(sorted(extended))}, not for servers."
        raise Problem(
            "server_weak", f"{text} {_ASK_THEM} for one with the extended key usage serverAuth.", "theirs"
        )


def _verified(leaf: Certificate, verdict: Verdict) -> str:
    anchor = _name(verdict.path[-1])
    how = "is itself a trust entry" if len(verdict.path) == 1 else f"leads to the trust entry {anchor}"
    order = " The server sends its chain in another order than from the leaf up." if verdict.reordered else ""
    goes = (
        " That entry is of an old version, trusted until the server was seen with a new one."
        if verdict.goes
        else ""
    )
    return f"{quoted(leaf.common_name)} {how}, and is valid until {instant(leaf.not_after)}.{goes}{order}"


def check_name(leaf: Certificate, name: str) -> str:
    """Under which name the certificate is right. Raises Problem server_name_mismatch."""
    if identity.matches(name, leaf.names):
        return f"The certificate is made for {name}."
    kind = "IP:" if ip_address(name) else "DNS:"
    names = [shown.partition(":")[2] for shown in leaf.names if shown.startswith(("DNS:", "IP:"))]
    has = f"it is made for {listed(names, 5)}" if names else "it names no host at all"
    text = (
        f"The server's certificate is not made for {name}: {has}. "
        f"Check host and server name here, or ask for a certificate with {kind}{name} among its alternative names."
    )
    raise Problem("server_name_mismatch", text, "theirs")


def check_pins(verdict: Verdict, pins: Sequence[str]) -> str:
    """That a pin is there. Raises Problem pin_mismatch."""
    if identity.has_pin(verdict.path, pins):
        return "A key of the verified path has one of the pins."
    text = (
        f"The server's key is none of the pinned ones: seen was {identity.spki_pin(verdict.path[0])}, pinned is {listed(pins, 5)}. "
        "If the people who run the server have changed the key, pin the new one; if not, somebody else answers in their place."
    )
    raise Problem("pin_mismatch", text, "theirs")


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def _name(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return quoted(str(names[-1].value) if names else certificate.subject.rfc4514_string())


def _issuer(verdict: Verdict) -> str:
    return quoted(verdict.path[-1].issuer.rfc4514_string())
