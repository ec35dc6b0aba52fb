"""Which private key is meant, and which certificate belongs to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stores.formats.parsed import Certificate, Finding, Parsed, PrivateKey, Upload
from stores.rules import commands
from stores.rules.codes import said
from stores.rules.wording import all_quoted, files, named, quoted


@dataclass(frozen=True)
class Choice:
    """The key that is meant; None when there is none or too many, and then a finding says so."""

    key: PrivateKey | None = None
    findings: tuple[Finding, ...] = ()
    aliases: tuple[str, ...] = ()
    """What can be chosen from where there are several different keys."""


def choose(parsed: Parsed, certificates: Sequence[Certificate], upload: Upload) -> Choice:
    """The one private key of a key store upload: the one named by the alias, else the only one.

    The same key twice, in whatever form, is one key. Letter case of the alias is ignored, as Java does.
    """
    if not parsed.keys:
        return Choice(findings=(_missing(parsed, certificates, upload),))
    offered = _names(parsed.keys, certificates)
    wanted = _fold(upload.alias or "")
    chosen = [key for key, name in zip(parsed.keys, offered, strict=True) if wanted in ("", _fold(name))]
    different = {key.spki_sha256 for key in parsed.keys}
    aliases = tuple(dict.fromkeys(offered)) if len(different) > 1 else ()
    if len({key.spki_sha256 for key in chosen}) == 1:
        return Choice(chosen[0], aliases=aliases)
    return Choice(findings=(_several(parsed, offered, upload),), aliases=aliases)


def leaf_of(key: PrivateKey, certificates: Sequence[Certificate], upload: Upload) -> Certificate | None:
    """The certificate that belongs to the key; of several the one that ends last, of equal ones the first.

    Where an alias was chosen and the format attaches certificates to that entry, one of these is taken if it fits.
    """
    fitting = [certificate for certificate in certificates if certificate.spki_sha256 == key.spki_sha256]
    if upload.alias:
        fitting = [certificate for certificate in fitting if certificate.sha256 in key.chain] or fitting
    return max(fitting, key=lambda certificate: certificate.not_after, default=None)


def likely_leaf(certificates: Sequence[Certificate]) -> Certificate:
    """Which certificate was probably meant where no key tells: the first that is no CA, else the first."""
    return next((certificate for certificate in certificates if not certificate.is_ca), certificates[0])


def mismatch(key: PrivateKey, certificates: Sequence[Certificate], upload: Upload) -> Finding:
    """The key belongs to none of the certificates."""
    leaf = likely_leaf(certificates)
    others = " or of any other certificate" if len(certificates) > 1 else ""
    kinds = (
        f" (it is {key.key_type}, the certificate's is {leaf.key_type})"
        if key.key_type != leaf.key_type
        else ""
    )
    return said(
        "key_mismatch",
        f"Key and certificate in {files(upload)} do not belong together: the private key is not that of {named(leaf)}{others}{kinds}. "
        "After a renewal it is often the key of the old certificate: choose the key that the new one was requested with.",
        certificate=leaf.sha256,
        field="file" if upload.key_content is None else "key_file",
        command=commands.compare_keys(upload) if key.alias == "" else "",
    )


def _missing(parsed: Parsed, certificates: Sequence[Certificate], upload: Upload) -> Finding:
    whose = f" of {named(likely_leaf(certificates))}" if certificates else ""
    text = f"There is no private key in {files(upload)}, but a key store needs the one{whose}."
    if parsed.format == "jar":
        advice, command = (
            "Put the key into the file that keyFile names in META-INF/descriptor.properties.",
            "",
        )
    elif parsed.format in ("pkcs12", "jks"):
        advice, command = (
            "Export the entry with its key, not the certificates alone.",
            commands.list_entries(upload),
        )
    else:
        advice = "Choose the file with it as well (often .key or privateKey.pem), or put both into one .p12."
        command = commands.join_key(upload) if parsed.format == "pem" else ""
    field = "file" if parsed.format in ("pkcs12", "jks", "jar") else "key_file"
    return said("key_missing", f"{text} {advice}", field=field, command=command)


def _several(parsed: Parsed, offered: Sequence[str], upload: Upload) -> Finding:
    names = all_quoted(dict.fromkeys(offered))
    if upload.alias:
        same = sum(_fold(name) == _fold(upload.alias) for name in offered)
        found = f"{same:,} different private keys are" if same else "No private key is"
        text = f"{found} named {quoted(upload.alias)} in {files(upload)}. Those inside are {names}."
    else:
        count = len({key.spki_sha256 for key in parsed.keys})
        text = (
            f"There are {count:,} different private keys in {files(upload)}, and one certificate has one. "
            f"Choose by alias from {names}, or keep only the key that is meant."
        )
    command = commands.list_entries(upload) if parsed.format in ("pkcs12", "jks") else ""
    return said("several_keys", text, field="alias", command=command)


def _names(keys: Sequence[PrivateKey], certificates: Sequence[Certificate]) -> list[str]:
    """What each key is called: its alias, else its certificate, else its number in the file."""
    owners = {certificate.spki_sha256: certificate.common_name for certificate in reversed(certificates)}
    return [
        key.alias or owners.get(key.spki_sha256, "") or f"key {number}"
        for number, key in enumerate(keys, start=1)
    ]


def _fold(alias: str) -> str:
    return alias.strip().casefold()
