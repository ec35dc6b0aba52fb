"""What may be stored: check(parsed, upload, now) runs all rules of DESIGN section 6. Knows no Django.

Each module has the rules of one subject; what they have in common are codes, wording and commands to copy.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from stores import expiry
from stores.formats.errors import ReadingError
from stores.formats.parsed import Certificate, Finding, Inspection, Parsed, PrivateKey, Upload
from stores.rules import chain, commands, key_match, purpose, strength, validity
from stores.rules.codes import errors, said, sorted_findings
from stores.rules.wording import all_quoted, counted, files, instant, named, quoted

__all__ = ["check"]

_EARLY, _UNUSABLE = 1, 1_000
"""Burdens on a way up a chain: any number of certificates that begin later weighs less than one that is unusable."""
_REASONS = {
    "weak_key": "its key is too weak",
    "weak_signature": "it is signed with an outdated digest",
    "unknown_critical_extension": "it has a critical extension that is not known here",
}
"""Why a trust store certificate may be left out by choice, beside its end."""


@dataclass(frozen=True)
class _Answer:
    """What the rules of one kind of store say."""

    certificates: tuple[Certificate, ...]
    findings: tuple[Finding, ...]
    key: PrivateKey | None = None
    aliases: tuple[str, ...] = ()
    unusable: tuple[Finding, ...] = ()
    missing_issuer: str = ""


def check(parsed: Parsed, upload: Upload, now: dt.datetime) -> Inspection:
    """The answer to an upload that could be read. Never raises for what a file can hold.

    `code`, `message` and `field` are those of the first error in the order of DESIGN section 6.
    """
    answer = _key_store(parsed, upload, now) if upload.store == "key" else _trust_store(parsed, upload, now)
    findings = sorted_findings((*parsed.findings, *answer.findings))
    refused = errors(findings)
    return Inspection(
        file=upload.name,
        accepted=not refused,
        code=refused[0].code if refused else None,
        message=_refusal(refused, answer) if refused else _summary(answer, upload, now),
        format=parsed.format,
        certificates=answer.certificates,
        findings=findings,
        key=None if refused else answer.key,
        field=refused[0].field if refused else "file",
        aliases=answer.aliases,
        unusable=answer.unusable,
        missing_issuer=answer.missing_issuer,
    )


def _key_store(parsed: Parsed, upload: Upload, now: dt.datetime) -> _Answer:
    certificates = chain.without_duplicates(parsed.certificates)
    if not certificates:
        return _Answer((), (_no_certificate(parsed, upload),))
    choice = key_match.choose(parsed, certificates, upload)
    leaf = key_match.leaf_of(choice.key, certificates, upload) if choice.key else None
    if leaf is None:
        return _without_leaf(parsed, certificates, choice, upload, now)
    try:
        kept = chain.build(leaf, certificates, _burden(parsed, now))
    except ReadingError as error:
        return _Answer(certificates, (said(error.code, error.sentence),), aliases=choice.aliases)
    found = [
        *chain.findings(kept, parsed, upload),
        *validity.check(kept, "key", now, upload),
        *strength.check(kept, parsed.weaknesses, "key", upload),
        *purpose.check(kept, "key", upload),
    ]
    return _Answer(kept, tuple(found), choice.key, choice.aliases, missing_issuer=chain.missing_issuer(kept))


def _without_leaf(
    parsed: Parsed,
    certificates: tuple[Certificate, ...],
    choice: key_match.Choice,
    upload: Upload,
    now: dt.datetime,
) -> _Answer:
    """No key tells which certificate is meant; if there is little doubt, what else is wrong with it is said at once."""
    found = list(choice.findings)
    if choice.key:
        found.append(key_match.mismatch(choice.key, certificates, upload))
    if not choice.aliases:
        leaf = (key_match.likely_leaf(certificates),)
        found += errors(validity.check(leaf, "key", now, upload))
        found += errors(strength.check(leaf, parsed.weaknesses, "key", upload))
    return _Answer(certificates, tuple(found), aliases=choice.aliases)


def _burden(parsed: Parsed, now: dt.datetime) -> chain.Burden:
    """What speaks against a certificate on the way up: that it is unusable, or that it begins later."""
    weak = {finding.certificate for finding in strength.counting(parsed.certificates, parsed.weaknesses)}

    def burden(certificate: Certificate) -> int:
        if certificate.sha256 in weak or validity.has_ended(certificate, now):
            return _UNUSABLE
        return _EARLY if certificate.not_before > now else 0

    return burden


def _trust_store(parsed: Parsed, upload: Upload, now: dt.datetime) -> _Answer:
    certificates = chain.without_duplicates(parsed.certificates)
    found = [*_key_inside(parsed, upload), *chain.duplicates(parsed, upload)]
    if not certificates:
        found.append(_no_certificate(parsed, upload))
    judged = [
        *validity.check(certificates, "trust", now, upload),
        *strength.check(certificates, parsed.weaknesses, "trust", upload),
    ]
    unusable = errors(judged)
    out = {finding.certificate for finding in unusable}
    usable = tuple(certificate for certificate in certificates if certificate.sha256 not in out)
    offer = unusable if usable and not errors(found) else ()
    if upload.leave_out and offer:
        found += _left_out(certificates, unusable)
        judged = [finding for finding in judged if finding.certificate not in out]
        certificates, offer = usable, ()
    found += judged + purpose.check(usable, "trust", upload)
    return _Answer(certificates, tuple(found), unusable=offer)


def _left_out(certificates: Iterable[Certificate], unusable: Iterable[Finding]) -> list[Finding]:
    """One finding for each certificate that was left out, with all reasons."""
    faults: dict[str | None, list[str]] = {}
    for finding in unusable:
        faults.setdefault(finding.certificate, []).append(finding.code)
    return [_was_left_out(link, faults[link.sha256]) for link in certificates if link.sha256 in faults]


def _was_left_out(certificate: Certificate, faults: Iterable[str]) -> Finding:
    ended = f"it ended on {instant(certificate.not_after)}"
    reasons = " and ".join(_REASONS.get(code, ended) for code in faults)
    text = f"The certificate {named(certificate)} was left out by choice: {reasons}."
    return said("left_out", text, certificate=certificate.sha256)


def _key_inside(parsed: Parsed, upload: Upload) -> list[Finding]:
    if not parsed.keys:
        return []
    text = (
        f"There is a private key in {files(upload)}, which does not belong into a trust store. Upload the certificates "
        "without it. If this file was given to you or passed on, treat the key as exposed and have it replaced."
    )
    return [said("key_in_trust_store", text, command=commands.certificates_only(upload, parsed))]


def _no_certificate(parsed: Parsed, upload: Upload) -> Finding:
    advice = "Choose the file with the certificate, and this one as its key file."
    if upload.store == "trust":
        advice = "Choose a file with the certificates to be trusted."
    elif parsed.format == "jar":
        advice = "Put the chain into the file that certFile names in META-INF/descriptor.properties."
    elif parsed.format in ("pkcs12", "jks"):
        advice = "Export the entry again, with its certificate and chain."
    return said("no_certificate", f"There is no certificate in {files(upload)}. {advice}")


def _refusal(refused: tuple[Finding, ...], answer: _Answer) -> str:
    """The first error in words, with the way out or what else would refuse the file."""
    text = refused[0].text
    if answer.unusable:
        out = {finding.certificate for finding in answer.unusable}
        return (
            f"{text} {len(out):,} of {counted(answer.certificates, 'certificate')} cannot be used; "
            "what cannot be used can be left out and the rest kept."
        )
    return f"{text} ({counted(refused[1:], 'more error')})" if len(refused) > 1 else text


def _summary(answer: _Answer, upload: Upload, now: dt.datetime) -> str:
    """What was accepted and when it fails, in one sentence."""
    ending = expiry.fails_at(expiry.watched(answer.certificates, upload.store), now)
    if ending is None:
        raise ValueError("what is accepted has a certificate")
    first, when = quoted(ending.common_name), instant(ending.not_after)
    if upload.store == "trust":
        if len(answer.certificates) == 1:
            return f"1 trusted certificate, {first}, which ends on {when}."
        return f"{len(answer.certificates):,} trusted certificates; the first to end is {first}, on {when}."
    leaf, above = answer.certificates[0], answer.certificates[1:]
    chained = f" and the chain {all_quoted(link.common_name for link in above)}" if above else ""
    return f"{named(leaf)} with its private key{chained}; it fails on {when} because of {first}."
