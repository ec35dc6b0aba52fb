"""Signed JARs (Oracle's JAR file specification, "Signed JAR File"): does everything that was signed still hold?

A signature block signs a signature file (*.SF); that holds digests of the manifest or of its sections; the manifest
holds digests of the files. A file is covered when a signature file lists it and every step of that way verifies.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from typing import NamedTuple

from stores.formats import signed_data
from stores.formats.errors import ReadingError
from stores.formats.signed_data import SignatureError
from stores.formats.text import visible

FOLDER, MANIFEST, LIST = "META-INF/", "META-INF/MANIFEST.MF", ".SF"
BLOCKS = (".RSA", ".EC", ".DSA")
DIGESTS = {
    "sha-256": "sha256", "sha-384": "sha384", "sha-512": "sha512",
    "sha3-256": "sha3_256", "sha3-384": "sha3_384", "sha3-512": "sha3_512",
}  # fmt: skip
"""Digests that count, by their names in a manifest and in hashlib."""
_OF_MANIFEST, _OF_MAIN, _OF_FILE = "-digest-manifest", "-digest-manifest-main-attributes", "-digest"
_HEAD = re.compile(rb"(?:[^\r\n]++(?:\r\n|\n|\r))*+(?:\r\n|\n|\r|\Z)")
_SECTION = re.compile(rb"(?:[^\r\n]++(?:\r\n|\n|\r))++(?:\r\n|\n|\r|\Z)")
_BLANK = re.compile(rb"[\r\n]*")
_FOLD = re.compile(rb"(?:\r\n|\n|\r) ")
_PAIR = re.compile(r"([A-Za-z0-9][A-Za-z0-9_-]*): ?(.*)")


class _Section(NamedTuple):
    """A part of a manifest: its octets, which are what is signed, and its attributes by lower-case name."""

    raw: bytes
    attributes: dict[str, str]


def verify(files: dict[str, bytes], source: str) -> frozenset[str] | None:
    """The files that a signature covers, None when the JAR is not signed.

    `files` is the content of the archive by name. Raises ReadingError jar_signature_invalid when one of its
    signatures, its manifest or a file that was signed does not verify.
    """
    related = {
        name.upper(): name for name in files if name.upper().startswith(FOLDER) and name.count("/") == 1
    }
    lists = {name[: -len(LIST)]: name for name in related if name.endswith(LIST)}
    blocks = [name for name in related if name.endswith(BLOCKS)]
    if not lists and not blocks:
        return None
    try:
        if {name.rpartition(".")[0] for name in blocks} != lists.keys():
            raise SignatureError(
                "one of its two files (.SF, and .RSA, .EC or .DSA of the same name) is missing"
            )
        for block in blocks:
            text = files[related[lists[block.rpartition(".")[0]]]]
            _verify_block(files[related[block]], text, related[block])
        covered = [_covered(files[related[name]], files, related) for name in lists.values()]
    except SignatureError as error:
        raise _invalid(source, str(error)) from None
    return frozenset().union(*covered)


def require(covered: frozenset[str], names: Iterable[str], source: str) -> None:
    """Raises ReadingError jar_signature_invalid when one of `names` is not covered by the signature."""
    for name in names:
        if name not in covered:
            raise _invalid(
                source, f"“{visible(name)}” was added after signing: the signature does not cover it"
            )


def _invalid(source: str, how: str) -> ReadingError:
    return ReadingError(
        "jar_signature_invalid",
        f"The signature of {source} does not verify: {how}. Get the file as it was signed, or sign it again with "
        "jarsigner, as the last step.",
        command="jarsigner -keystore signer.p12 FILE ALIAS",
    )


def _verify_block(block: bytes, text: bytes, name: str) -> None:
    try:
        signed_data.verify(block, text)
    except SignatureError as error:
        raise SignatureError(f"in “{visible(name)}”, {error}") from None


def _covered(text: bytes, files: dict[str, bytes], related: dict[str, str]) -> frozenset[str]:
    """The files that this signature file lists, after manifest and files have been held against their digests."""
    if MANIFEST not in related:
        raise SignatureError("its manifest is missing")
    manifest = files[related[MANIFEST]]
    head, listed = _sections(text, "the signature file")
    main, sections = _sections(manifest, "the manifest")
    whole = _matches(head.attributes, _OF_MANIFEST, manifest)
    if not whole and _matches(head.attributes, _OF_MAIN, main.raw) is False:
        raise SignatureError("the head of the manifest was changed after signing")
    for name, entry in listed.items():
        if name not in sections:
            raise SignatureError(f"the manifest no longer lists “{visible(name)}”")
        if not whole:
            _check(entry.attributes, sections[name].raw, f"what the manifest says of “{visible(name)}”")
    return frozenset(name for name in listed if _is_whole(name, sections[name].attributes, files))


def _is_whole(name: str, attributes: dict[str, str], files: dict[str, bytes]) -> bool:
    """Whether a file is what was signed; False for a section without digests, which is about a package and no file."""
    if not any(attribute.endswith(_OF_FILE) for attribute in attributes):
        return False
    if name not in files:
        raise SignatureError(f"“{visible(name)}” was signed, but is not inside any more")
    _check(attributes, files[name], f"“{visible(name)}”")
    return True


def _check(attributes: dict[str, str], data: bytes, what: str) -> None:
    match = _matches(attributes, _OF_FILE, data)
    if match is None:
        raise SignatureError(f"{what} has no digest by SHA-256 or better")
    if not match:
        raise SignatureError(f"{what} was changed after signing")


def _matches(attributes: dict[str, str], suffix: str, data: bytes) -> bool | None:
    """Whether all digests of `data` are right; None when there is none that counts."""
    found = [
        base64.b64encode(hashlib.new(DIGESTS[name.removesuffix(suffix)], data).digest()).decode() == value
        for name, value in attributes.items()
        if name.endswith(suffix) and name.removesuffix(suffix) in DIGESTS
    ]
    return all(found) if found else None


def _sections(data: bytes, what: str) -> tuple[_Section, dict[str, _Section]]:
    """The first section of a manifest, and the others by the file that they name. Raises SignatureError."""
    head = _HEAD.match(data)
    if head is None:
        raise SignatureError(f"{what} is damaged in its head")
    found, at = [_Section(head[0], _attributes(head[0], what))], _blank_end(data, head.end())
    while at < len(data):
        section = _SECTION.match(data, at)
        if section is None:
            raise SignatureError(f"{what} is damaged at octet {at:,}")
        found.append(_Section(section[0], _attributes(section[0], what)))
        at = _blank_end(data, section.end())
    named: dict[str, _Section] = {}
    for part in found[1:]:
        first, name = next(iter(part.attributes.items()))
        if first != "name" or name in named:
            raise SignatureError(f"{what} has a section without a name, or two of one name")
        named[name] = part
    return found[0], named


def _blank_end(data: bytes, at: int) -> int:
    """The end of further blank lines behind a section; no digest counts them."""
    blank = _BLANK.match(data, at)
    return blank.end() if blank else at


def _attributes(raw: bytes, what: str) -> dict[str, str]:
    """The attributes of a section: names do not mind letter case, long lines go on after a blank."""
    found: dict[str, str] = {}
    try:
        lines = re.split(r"\r\n|\n|\r", _FOLD.sub(b"", raw).decode())
    except UnicodeDecodeError:
        raise SignatureError(f"{what} is not in UTF-8") from None
    for line in filter(None, lines):
        pair = _PAIR.fullmatch(line)
        if pair is None or pair[1].lower() in found:
            raise SignatureError(f"{what} has a line that is damaged or there twice")
        found[pair[1].lower()] = pair[2]
    return found
