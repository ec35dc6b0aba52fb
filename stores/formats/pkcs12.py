"""PKCS#12 key stores (RFC 7292, PBMAC1 of RFC 9579), BER as well as DER, in our own bounded reading.

cryptography's loader cannot limit what a file costs, tells neither a wrong password from damage nor aliases, and knows
one key only. Here every derivation that can be seen is charged before the first is made, and those that come to light
inside an encrypted part before the next one is.
"""

from __future__ import annotations

from dataclasses import dataclass

from stores.formats import limits, pkcs12_bags
from stores.formats.asn1 import OCTET_STRING, SEQUENCE, Node, named, parse
from stores.formats.certificates import read_certificate
from stores.formats.encryption import Open, WrongPassword, check_kdf, refused
from stores.formats.errors import ReadingError
from stores.formats.keys import read_key
from stores.formats.limits import Budget
from stores.formats.parsed import Certificate, Finding, Parsed, PrivateKey, Upload
from stores.formats.pkcs12_bags import Bag, Safe
from stores.formats.pkcs12_mac import Mac, read_mac
from stores.formats.text import visible
from stores.rules.password import restricted

EXPORT_AGAIN = (
    "umask 077 && openssl pkcs12 -in FILE -noenc{0} -out all.pem "
    "&& openssl pkcs12 -export{0} -in all.pem -out exported-again.p12; rm all.pem"
)
"""Asks for the old password, then for the new one; takes an option for files without a key."""


@dataclass(frozen=True)
class _Item:
    """A bag; `opener` where its key is encrypted."""

    bag: Bag
    opener: Open | None = None


@dataclass(frozen=True)
class _Part:
    """A safe whose cost is paid: its items where it is in the clear, else what opens it."""

    safe: Safe
    items: tuple[_Item, ...] = ()
    opener: Open | None = None


def read(upload: Upload, content: bytes, source: str, budget: Budget) -> Parsed:
    """Reads a PKCS#12 with any number of keys and certificates.

    Raises ReadingError: restricted_password (before anything is derived), malformed, too_large, too_costly,
    unsupported_format, password_required, wrong_password.
    """
    findings = _check_symbols(upload, source)
    before = budget.iterations
    with named(source):
        safes, contents, mac_data = pkcs12_bags.outer(content, source)
        mac = read_mac(mac_data, contents, budget, source) if mac_data else None
        parts = [_part(safe, budget, source) for safe in safes]
    password = _password(upload, mac, parts, before - budget.iterations, source)
    budget.password_used |= password is not None and password == upload.password
    items = [item for part in parts for item in _opened(part, password or "", budget, source)]
    return _parsed(items, password or "", source, budget, findings)


def _check_symbols(upload: Upload, source: str) -> tuple[Finding, ...]:
    """Refuses a password with symbols that gateways choke on, or warns, as the setting says."""
    symbols = restricted(upload.password or "")
    if not symbols:
        return ()
    text = (
        f"The password of {source} contains {' '.join(symbols)}, which many gateways and scripts do not take. "
        "Export it again with letters, digits and - _ . ~ only."
    )
    again = EXPORT_AGAIN.format(" -nokeys" if upload.store == "trust" else "")
    if upload.symbols == "refuse":
        raise ReadingError("restricted_password", text, "password", again)
    return (Finding("restricted_password", "warning", text, field="password"),)


def _part(safe: Safe, budget: Budget, source: str) -> _Part:
    if safe.algorithm is not None:
        return _Part(safe, opener=check_kdf(safe.algorithm, budget, f"an encrypted part of {source}"))
    return _Part(safe, _items(safe.content, budget, source))


def _items(content: bytes, budget: Budget, source: str) -> tuple[_Item, ...]:
    """The bags of a safe, their derivations charged."""
    return tuple(_item(bag, budget, source) for bag in pkcs12_bags.bags(content, source))


def _item(bag: Bag, budget: Budget, source: str) -> _Item:
    if bag.kind != pkcs12_bags.SHROUDED_KEY:
        return _Item(bag)
    return _Item(bag, check_kdf(_sealed(bag)[0], budget, f"an encrypted key in {source}"))


def _sealed(bag: Bag) -> tuple[Node, bytes]:
    """Algorithm and ciphertext of an EncryptedPrivateKeyInfo (RFC 5958, section 3)."""
    fields = bag.value.fields("an encrypted key")
    return fields.take(SEQUENCE, "its algorithm"), fields.take(OCTET_STRING, "the encrypted octets").content


def _password(upload: Upload, mac: Mac | None, parts: list[_Part], rounds: int, source: str) -> str | None:
    """The password that opens the file, None when nothing is locked. Raises password_required or wrong_password.

    The empty password is tried as well, where trying twice is cheap.
    """
    locked = next(((opener, text) for opener, text in _locked(parts)), None)
    if mac is None and locked is None:
        return None
    candidates = [upload.password or ""]
    if upload.password and rounds <= limits.KDF_ITERATIONS // 4:
        candidates.append("")
    for password in candidates:
        if mac(password) if mac else _opens(locked, password):
            return password
    if mac and _opens(locked, candidates[0]):
        text = f"{source} was changed after it was written: the password opens it, but its check sum (MAC) is wrong. Copy it again."
        raise ReadingError("malformed", text)
    raise refused(upload.password, source)


def _locked(parts: list[_Part]) -> list[tuple[Open, bytes]]:
    """What is encrypted and can be seen from outside."""
    found = []
    for part in parts:
        if part.opener:
            found.append((part.opener, part.safe.content))
        found += [(item.opener, _sealed(item.bag)[1]) for item in part.items if item.opener]
    return found


def _opens(locked: tuple[Open, bytes] | None, password: str) -> bool:
    """Whether a password opens an encrypted part: right padding, and a whole element inside."""
    try:
        return locked is not None and parse(locked[0](locked[1], password), ber=True).tag == SEQUENCE
    except (WrongPassword, ValueError):
        return False


def _opened(part: _Part, password: str, budget: Budget, source: str) -> tuple[_Item, ...]:
    if part.opener is None:
        return part.items
    with named(f"an encrypted part of {source}"):
        content = _plain(part.opener, part.safe.content, password, f"an encrypted part of {source}")
        return _items(content, budget, source)


def _plain(opener: Open, ciphertext: bytes, password: str, what: str) -> bytes:
    try:
        return opener(ciphertext, password)
    except WrongPassword:
        text = f"The password opens the file, but not {what}, which has another one. Export it again with one password for all."
        raise ReadingError("wrong_password", text, "password") from None


def _parsed(
    items: list[_Item], password: str, source: str, budget: Budget, findings: tuple[Finding, ...]
) -> Parsed:
    certificates, weaknesses = _certificates([item.bag for item in items], source)
    own: dict[bytes, tuple[str, ...]] = {}
    for bag, certificate in certificates:
        own[bag.local_id] = (*own.get(bag.local_id, ()), certificate.sha256)
    names = {bag.local_id: bag.name for bag, _ in certificates if bag.local_id}
    keys: list[PrivateKey] = []
    for item in items:
        if item.bag.kind in pkcs12_bags.KEYS:
            alias = _alias(item.bag.name or names.get(item.bag.local_id, ""), keys)
            chain = own.get(item.bag.local_id, ()) if item.bag.local_id else ()
            keys.append(_key(item, password, alias, chain, source, budget))
    return Parsed(
        "pkcs12", tuple(certificate for _, certificate in certificates), tuple(keys), findings, weaknesses
    )


def _certificates(bags: list[Bag], source: str) -> tuple[list[tuple[Bag, Certificate]], tuple[Finding, ...]]:
    """The certificates with their bags, and what is weak in them."""
    holding = [bag for bag in bags if bag.kind == pkcs12_bags.CERTIFICATE]
    if len(holding) > limits.CERTIFICATES:
        text = f"{source} holds {len(holding):,} certificates; at most {limits.CERTIFICATES:,} are read at once. Split it."
        raise ReadingError("too_large", text)
    found: list[tuple[Bag, Certificate]] = []
    weaknesses: dict[Finding, None] = {}
    for number, bag in enumerate(holding, 1):
        what = f"certificate {number} in {source}"
        with named(what):
            der = pkcs12_bags.certificate(bag, what)
        certificate, weak = read_certificate(der, what)
        found.append((bag, certificate))
        weaknesses |= dict.fromkeys(weak)
    return found, tuple(weaknesses)


def _alias(name: str, keys: list[PrivateKey]) -> str:
    """A name to choose the key by: its own, its certificate's, else its number, as Java does; never one that is taken."""
    shown, number = visible(name) or str(len(keys) + 1), 2
    taken = {key.alias for key in keys}
    alias = shown
    while alias in taken:
        alias, number = f"{shown} ({number})", number + 1
    return alias


def _key(
    item: _Item, password: str, alias: str, chain: tuple[str, ...], source: str, budget: Budget
) -> PrivateKey:
    what = f"the private key “{alias}” in {source}"
    with named(what):
        der = _plain(item.opener, _sealed(item.bag)[1], password, what) if item.opener else item.bag.value.raw
    return read_key(der, what, password=None, budget=budget, alias=alias, chain=chain)
