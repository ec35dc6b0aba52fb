"""Which certificates belong together: the way from a leaf upwards, and what of a file is not on it.

Who issued whom is decided by the signature, not by names alone: CAs renew their keys, namesakes exist, and one CA
may have several certificates (cross-signing, RFC 4158).
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from functools import cache

from cryptography import x509

from stores.formats import limits
from stores.formats.errors import ReadingError
from stores.formats.library import library
from stores.formats.parsed import Certificate, Finding, Parsed, Upload
from stores.formats.signatures import is_signed_by
from stores.formats.text import visible
from stores.rules import commands
from stores.rules.codes import said
from stores.rules.wording import all_quoted, counted, files, named, quoted

MOST_CHECKS = 500
"""Signatures checked for one file. An honest one needs about one for each certificate of its chain."""

Path = tuple[int, ...]
"""Places in the file, from the leaf upwards."""
Burden = Callable[[Certificate], int]
"""What speaks against taking a certificate into the chain; 0 for nothing."""


def without_duplicates(certificates: Sequence[Certificate]) -> tuple[Certificate, ...]:
    """Every certificate once, in the order of first appearance."""
    return tuple({certificate.sha256: certificate for certificate in certificates}.values())


def build(leaf: Certificate, certificates: Sequence[Certificate], burden: Burden) -> tuple[Certificate, ...]:
    """The chain from `leaf` as far up as `certificates` (each once) reach, the leaf first.

    Of several ways the one with the least total `burden` is taken (an ended or weak certificate is a burden), then
    one that ends in a self-signed certificate, then the one that comes first in the order of the file. A loop ends
    where it began. Raises ReadingError too_large for a chain of more than `limits.CHAIN` certificates, too_costly
    when it takes too many checks.
    """
    issuers = _issuers_among(certificates)
    ways = _best_ways(
        certificates.index(leaf), issuers, [burden(certificate) for certificate in certificates]
    )
    _, path = min(ways, key=lambda way: _preference(way, certificates, issuers))
    if len(path) > limits.CHAIN:
        raise ReadingError(
            "too_large",
            f"The chain of certificates has {len(path):,} links; at most {limits.CHAIN} are read. "
            "Keep the leaf and the intermediates that lead to its root.",
        )
    return tuple(certificates[place] for place in path)


def _best_ways(leaf: int, issuers: Callable[[int], Path], burdens: Sequence[int]) -> list[tuple[int, Path]]:
    """The best way to every certificate that can be reached: Dijkstra's algorithm, ties by the file's order."""
    open_ways: list[tuple[int, Path]] = [(0, (leaf,))]
    settled: dict[int, tuple[int, Path]] = {}
    while open_ways:
        burden, path = heapq.heappop(open_ways)
        top = path[-1]
        if top in settled:
            continue
        settled[top] = burden, path
        for issuer in issuers(top):
            if issuer not in settled:
                heapq.heappush(open_ways, (burden + burdens[issuer], (*path, issuer)))
    return list(settled.values())


def _preference(
    way: tuple[int, Path], certificates: Sequence[Certificate], issuers: Callable[[int], Path]
) -> tuple[bool, int, bool, Path]:
    """Smaller is better. A way that could go on is no whole chain; in a loop it ends where it began."""
    burden, path = way
    top = path[-1]
    unfinished = any(issuer not in path for issuer in issuers(top))
    return unfinished, burden, not certificates[top].is_self_signed, path


def _issuers_among(certificates: Sequence[Certificate]) -> Callable[[int], Path]:
    """A function that gives the places of those that issued the certificate at a place; a root has none."""
    bearers: defaultdict[str, list[int]] = defaultdict(list)
    for place, certificate in enumerate(certificates):
        bearers[_comparable(certificate.subject)].append(place)
    signed_by = _signature_checks()

    @cache
    def issuers(place: int) -> Path:
        certificate = certificates[place]
        if certificate.is_self_signed:
            return ()
        candidates = bearers[_comparable(certificate.issuer)]
        return tuple(
            other for other in candidates if other != place and signed_by(certificate, certificates[other])
        )

    return issuers


def _comparable(name: str) -> str:
    """Names are compared without letter case and extra spaces (RFC 5280, section 7.1)."""
    return " ".join(name.casefold().split())


def _signature_checks() -> Callable[[Certificate, Certificate], bool]:
    """`signed_by(certificate, issuer)`: checks a certificate once per key, and `MOST_CHECKS` times at most."""
    answers: dict[tuple[str, str], bool] = {}

    def signed_by(certificate: Certificate, issuer: Certificate) -> bool:
        pair = certificate.sha256, issuer.spki_sha256
        if pair not in answers:
            if len(answers) >= MOST_CHECKS:
                raise ReadingError(
                    "too_costly",
                    f"The chain cannot be put in order: more than {MOST_CHECKS} signatures would have to be checked, "
                    "because many certificates have the same name. Keep the leaf and its own intermediates only.",
                )
            answers[pair] = _signs(issuer, certificate)
        return answers[pair]

    return signed_by


def _signs(issuer: Certificate, certificate: Certificate) -> bool:
    with library(certificate.common_name):
        loaded = x509.load_der_x509_certificate(certificate.der), x509.load_der_x509_certificate(issuer.der)
    return is_signed_by(*loaded)


def findings(kept: Sequence[Certificate], parsed: Parsed, upload: Upload) -> list[Finding]:
    """What is to be said of a chain as built, against the file as it came."""
    found = duplicates(parsed, upload)
    unique = without_duplicates(parsed.certificates)
    chosen = {certificate.sha256 for certificate in kept}
    if [certificate.sha256 for certificate in unique if certificate.sha256 in chosen] != [
        c.sha256 for c in kept
    ]:
        found.append(_reordered(kept, upload))
    if others := [certificate for certificate in unique if certificate.sha256 not in chosen]:
        found.append(_unrelated(kept[0], others))
    if len(kept) == 1 and not kept[0].is_self_signed:
        found.append(_incomplete(kept[0], parsed, upload))
    return found


def missing_issuer(kept: Sequence[Certificate]) -> str:
    """Subject of the certificate that would come next; "" above a self-signed one, or where the chain is a loop."""
    top = kept[-1]
    known = {_comparable(certificate.subject) for certificate in kept}
    return "" if top.is_self_signed or _comparable(top.issuer) in known else top.issuer


def duplicates(parsed: Parsed, upload: Upload) -> list[Finding]:
    """One finding that names what is in the file more than once; none when everything is there once.

    Where a format gives every key its own chain, as Java does, what two chains share is no duplicate.
    """
    times = Counter(certificate.sha256 for certificate in parsed.certificates)
    chains = Counter(sha256 for key in parsed.keys for sha256 in set(key.chain))
    twice = [
        certificate.common_name
        for certificate in without_duplicates(parsed.certificates)
        if times[certificate.sha256] > max(1, chains[certificate.sha256])
    ]
    if not twice:
        return []
    text = f"More than once in {files(upload)}, and kept once: {all_quoted(twice)}."
    return [said("duplicate_certificates", text)]


def _reordered(kept: Sequence[Certificate], upload: Upload) -> Finding:
    names = all_quoted(certificate.common_name for certificate in kept)
    text = f"The certificates in {files(upload)} were in another order; they are stored from the leaf to the root: {names}."
    return said("chain_reordered", text)


def _unrelated(leaf: Certificate, others: Sequence[Certificate]) -> Finding:
    names = all_quoted(certificate.common_name for certificate in others)
    text = (
        f"{counted(others, 'certificate')} in the file did not sign {named(leaf)} or anything above it, "
        f"and will not be kept: {names}."
    )
    return said("chain_unrelated", text)


def _incomplete(leaf: Certificate, parsed: Parsed, upload: Upload) -> Finding:
    where = f", which can be had at {visible(leaf.issuer_urls[0])}" if leaf.issuer_urls else ""
    advice = (
        "Add it below the leaf" if parsed.format in ("pem", "jar") else "Export again with the whole chain"
    )
    text = (
        f"The issuer of {named(leaf)} is not in the file: {quoted(leaf.issuer)}{where}. {advice}. "
        "If that issuer is a root which the other side has, nothing is missing."
    )
    return said(
        "chain_incomplete", text, certificate=leaf.sha256, command=commands.fetch_issuer(leaf, upload, parsed)
    )
