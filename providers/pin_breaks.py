"""Which providers' pins a replacement in a trust store would break, said before it is made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from providers.addresses import pin_of
from providers.connection.report import Report, ServerCertificate
from providers.models import Provider
from stores.models import Certificate, Store
from stores.warning import Entry


def warnings(certificate: Certificate, entries: Sequence[Entry]) -> list[str]:
    """One sentence for each provider that would have no pin left in a chain that ends in the new entries."""
    if certificate.store.kind != Store.Kind.TRUST or certificate.active is None:
        return []
    old = dict(certificate.active.chain.values_list("sha256", "spki_sha256"))
    pinned = Provider.objects.that_use([certificate]).exclude(spki_pins=[]).select_related("last_good")
    return [_sentence(one) for one in pinned.order_by("folded_name") if _breaks(one, old, entries)]


def _sentence(provider: Provider) -> str:
    return (
        f"None of the keys pinned for “{provider}” would be in a chain that ends in these certificates: its connection would fail "
        "with pin_mismatch. Pin a key of the new chain for it first, or remove its pins."
    )


def _breaks(provider: Provider, old: dict[str, str], entries: Sequence[Entry]) -> bool:
    """`old` has the SPKI digests of the entries that go, by their fingerprints."""
    pins, report = set(provider.spki_pins), provider.last_good
    seen = Report.from_dict(report.details) if report and report.details.get("server_chain") else None
    if seen is None or seen.anchor is None:
        return bool(pins & _pins(old.values())) and not pins & _pins(one.spki_sha256 for one in entries)
    return seen.anchor.sha256 in old and not pins & _left(seen.server_chain, entries)


def _left(chain: Sequence[ServerCertificate], entries: Sequence[Entry]) -> set[str]:
    """Pins of the chain up to the new entry that it would end in; where it ends in none, of the server's own key and of all entries."""
    for position, one in enumerate(chain):
        if above := [entry for entry in entries if entry.sha256 == one.sha256 or _issued(one, entry)]:
            below = {certificate.spki_pin for certificate in chain[: position + 1]}
            return below | _pins(entry.spki_sha256 for entry in above)
    return {chain[0].spki_pin} | _pins(entry.spki_sha256 for entry in entries)


def _issued(one: ServerCertificate, entry: Entry) -> bool:
    if one.issuer != entry.subject:
        return False
    issuer = x509.load_der_x509_certificate(bytes(entry.der))
    try:
        x509.load_der_x509_certificate(one.der).verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _pins(digests: Iterable[str]) -> set[str]:
    return {pin_of(digest) for digest in digests}
