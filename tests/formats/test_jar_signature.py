"""Signed JARs: what jarsigner writes verifies, and nothing that was changed afterwards does."""

from __future__ import annotations

from functools import cache

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from stores.formats import asn1, jar_signature
from stores.formats.archive import unpack
from tests.formats import zip_writer as w
from tests.formats.tools import PASSWORD, keytool, read, refused, run
from tests.formats.zip_writer import DESCRIPTOR, key_store
from tests.material import mint

ROOT = mint("Signed Root", ca=True)
LEAF = mint("Signed Leaf", ROOT)
OTHER = mint("Signed Other", ROOT)
FILES = key_store(LEAF, ROOT)
MANIFEST = "META-INF/MANIFEST.MF"
KINDS = {"EC": "p256", "EdDSA": "ed25519", "Ed448": "ed448"}
"""Signers minted here; those of the other kinds are made by keytool, whose certificates differ for DSA."""


def element(node: asn1.Node, path: tuple[int, ...]) -> asn1.Node:
    """The element that is reached by these numbers of children."""
    return element(node.children()[path[0]], path[1:]) if path else node


@cache
def signer(kind: str) -> bytes:
    if kind in KINDS:
        minted, lock = (
            mint("Signer", kind=KINDS[kind]),
            serialization.BestAvailableEncryption(PASSWORD.encode()),
        )
        return pkcs12.serialize_key_and_certificates(b"s", minted.key, minted.certificate, None, lock)
    return keytool(
        "-genkeypair", "-alias", "s", "-dname", "CN=Signer", "-keyalg", kind, "-keysize", "2048", out="s"
    )


@cache
def signed(content: bytes, kind: str, options: str = "") -> bytes:
    command = ("jarsigner", "-keystore", "s", "-storepass", PASSWORD, *options.split(), "o.jar", "s")
    return run(*command, files={"o.jar": content, "s": signer(kind)}, out="o.jar")


PLAIN = w.jar(FILES)
SIGNED = (1, 0)
"""SignedData inside its ContentInfo: version, digests, content, certificates, signers."""
WAYS = [
    ("RSA", ""),
    ("RSA", "-digestalg SHA-512 -sigalg SHA512withRSA"),
    ("RSA", "-sigalg RSASSA-PSS"),
    ("RSA", "-internalsf"),
    ("RSA", "-digestalg SHA3-256"),
    ("RSASSA-PSS", "-digestalg SHA-512"),
    ("EC", ""),
    ("EC", "-digestalg SHA-512 -sigalg SHA512withECDSA"),
    ("EC", "-sectionsonly"),
    ("EC", "-sigfile STORE-1"),
    ("DSA", ""),
    ("EdDSA", ""),
    ("Ed448", ""),
]


@pytest.mark.parametrize(("kind", "options"), WAYS)
def test_what_jarsigner_writes_verifies(kind: str, options: str) -> None:
    content = signed(PLAIN, kind, options)
    parsed = read(content, "o.jar", password=None)
    assert [certificate.sha256 for certificate in parsed.certificates] == [LEAF.sha256, ROOT.sha256]
    assert jar_signature.verify(unpack(content, "o.jar"), "o.jar") == frozenset(FILES)


def test_without_a_signature_nothing_is_covered() -> None:
    assert jar_signature.verify(FILES, "o.jar") is None


MANIFESTS = {
    "LF and no blank line at the end": b"Manifest-Version: 1.0\n\nName: main.pem\nNote: here\n",
    "blank lines": b"Manifest-Version: 1.0\r\n\r\n\r\n\r\nName: main.pem\r\nNote: here\r\n\r\n\r\n",
    "no line at all": b"Manifest-Version: 1.0",
    "a section of no file": b"Manifest-Version: 1.0\r\n\r\nName: org/example/\r\nSealed: true\r\n\r\n",
}


@pytest.mark.parametrize("how", MANIFESTS)
def test_manifests_of_any_hand_verify_once_signed(how: str) -> None:
    content = signed(w.jar({MANIFEST: MANIFESTS[how]} | FILES), "EC", "-sectionsonly")
    assert jar_signature.verify(unpack(content, "o.jar"), "o.jar") == frozenset(FILES)


def test_names_longer_than_a_line_of_the_manifest_verify() -> None:
    name = "certificates-of-the-orders-client/" + "größe-" * 30 + "main.pem"
    lines = f"certFile={name}\nkeyFile=privateKey.pem\n".encode()
    files = {name: FILES["main.pem"], "privateKey.pem": FILES["privateKey.pem"], DESCRIPTOR: lines}
    assert read(signed(w.jar(files), "RSA"), "o.jar", password=None).keys


def test_a_file_that_came_later_is_covered_by_the_second_signature() -> None:
    first = signed(PLAIN, "RSA")
    later = run("jar", "-uf", "o.jar", "new.txt", files={"o.jar": first, "new.txt": b"new"}, out="o.jar")
    assert jar_signature.verify(unpack(later, "o.jar"), "o.jar") == frozenset(FILES)
    second = signed(later, "EC", "-sigfile SECOND")
    assert jar_signature.verify(unpack(second, "o.jar"), "o.jar") == frozenset({*FILES, "new.txt"})


@pytest.mark.parametrize("missing", ["main.pem", "privateKey.pem", DESCRIPTOR])
def test_what_the_descriptor_names_and_itself_must_be_covered(missing: str) -> None:
    early = {name: content for name, content in FILES.items() if name != missing}
    late = w.jar(unpack(signed(w.jar(early), "EC"), "o.jar") | {missing: FILES[missing]})
    with refused("jar_signature_invalid", f"“{missing}” was added after signing", "jarsigner"):
        read(late, "o.jar", password=None)


def contents(kind: str, options: str = "") -> dict[str, bytes]:
    return unpack(signed(PLAIN, kind, options), "o.jar")


CHANGES: dict[str, dict[str, bytes | None]] = {
    "the chain": {"main.pem": LEAF.pem},
    "the key": {"privateKey.pem": OTHER.key_pem},
    "the descriptor": {DESCRIPTOR: b"# edited\n" + FILES[DESCRIPTOR]},
    "the manifest emptied": {MANIFEST: b"Manifest-Version: 1.0\r\n\r\n"},
    "the manifest removed": {MANIFEST: None},
    "a file removed": {"main.pem": None},
    "the signature file removed": {"META-INF/S.SF": None},
    "the signature file emptied": {"META-INF/S.SF": b""},
    "the block removed": {"META-INF/S.EC": None},
    "the block emptied": {"META-INF/S.EC": b""},
    "the block no block": {"META-INF/S.EC": b"\x30\x03\x02\x01\x00"},
    "the block under another name": {"META-INF/S.EC": None, "META-INF/T.EC": b"\x30\x00"},
    "a second signature file": {"META-INF/T.SF": b"Signature-Version: 1.0\r\n\r\n"},
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_was_changed_after_signing_is_refused(what: str) -> None:
    changed = {**contents("EC"), **CHANGES[what]}
    files = {name: content for name, content in changed.items() if content is not None}
    with refused("jar_signature_invalid", "o.jar"):
        read(w.jar(files), "o.jar", password=None)


@pytest.mark.parametrize("options", ["", "-sectionsonly"])
def test_a_change_is_found_as_well_when_the_manifest_was_made_to_fit(options: str) -> None:
    files = contents("EC", options)
    other = unpack(signed(w.jar(FILES | {"main.pem": LEAF.pem}), "EC", options), "o.jar")
    with refused("jar_signature_invalid", "main.pem", "was changed after signing"):
        jar_signature.verify(files | {"main.pem": LEAF.pem, MANIFEST: other[MANIFEST]}, "o.jar")
    with refused("jar_signature_invalid", "it signs another text"):
        jar_signature.verify(other | {"META-INF/S.EC": files["META-INF/S.EC"]}, "o.jar")


@pytest.mark.parametrize("name", [*FILES, MANIFEST, "META-INF/S.SF"])
def test_no_octet_of_what_was_signed_can_be_changed(name: str) -> None:
    files = contents("RSA")
    for at in range(0, len(files[name]), 9):
        changed = files[name][:at] + bytes([files[name][at] ^ 1]) + files[name][at + 1 :]
        with refused("jar_signature_invalid"):
            jar_signature.verify(files | {name: changed}, "o.jar")


@pytest.mark.parametrize(
    ("kind", "block"), [("RSA", "META-INF/S.RSA"), ("EC", "META-INF/S.EC"), ("DSA", "META-INF/S.DSA")]
)
def test_a_changed_octet_in_the_block_is_found_but_where_nobody_signed_it(kind: str, block: str) -> None:
    """The subject of the signer's certificate may change: then its issuer is not inside. The tag of NULL says nothing."""
    files = contents(kind)
    whole = files[block]
    subject = element(asn1.parse(whole), (*SIGNED, 3, 0, 0, 5))
    free = {
        *range(subject.start, subject.end),
        *(at for at in range(len(whole)) if whole[at : at + 2] == b"\5\0"),
    }
    for at in set(range(len(whole))) - free:
        with refused("jar_signature_invalid"):
            jar_signature.verify(
                files | {block: whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]}, "o.jar"
            )


def test_weak_digests_do_not_count() -> None:
    digests = signed(PLAIN, "RSA", "-digestalg SHA-1")
    with refused("jar_signature_invalid", "no digest by SHA-256 or better"):
        read(digests, "o.jar", password=None)
    with refused("jar_signature_invalid", "SHA-1", "too weak"):
        read(signed(PLAIN, "RSA", "-sigalg SHA1withRSA"), "o.jar", password=None)
    with_both = signed(digests, "EC", "-sigfile SECOND")
    assert "SHA-1-Digest" in unpack(with_both, "o.jar")[MANIFEST].decode()


def test_letter_case_of_the_files_of_a_signature_does_not_hide_it() -> None:
    files = {name.lower() if name.startswith("META-INF/") and name != DESCRIPTOR else name: content
             for name, content in contents("EC").items()}  # fmt: skip
    assert jar_signature.verify(files, "o.jar") == frozenset(FILES)
    with refused("jar_signature_invalid"):
        jar_signature.verify(files | {"main.pem": b"other"}, "o.jar")


def sections(*texts: str) -> bytes:
    return "".join(text.replace("\n", "\r\n") + "\r\n\r\n" for text in texts).encode()


BROKEN_MANIFESTS = {
    "a section without a name": (sections("Manifest-Version: 1.0", "SHA-256-Digest: AAAA"), "without a name"),
    "a name twice": (sections("Manifest-Version: 1.0", "Name: a\nX: 1", "Name: a\nX: 1"), "two of one name"),
    "an attribute twice": (sections("Manifest-Version: 1.0", "Name: a\nX: 1\nx: 1"), "there twice"),
    "a line that is none": (sections("Manifest-Version: 1.0", "Name: a\nwords"), "a line that is damaged"),
    "a blank at the beginning": (sections(" Manifest-Version: 1.0"), "a line that is damaged"),
    "no UTF-8": (b"Manifest-Version: \xff\r\n\r\n", "not in UTF-8"),
}


@pytest.mark.parametrize("what", BROKEN_MANIFESTS)
def test_manifests_that_can_be_read_in_two_ways_are_refused(what: str) -> None:
    manifest, why = BROKEN_MANIFESTS[what]
    with refused("jar_signature_invalid", "the manifest", why):
        jar_signature.verify(contents("EC") | {MANIFEST: manifest}, "o.jar")


def remade(block: bytes, path: tuple[int, ...], content: bytes) -> bytes:
    """A signature block whose element at `path` (numbers of children) is replaced."""
    node = asn1.parse(block)
    if not path:
        return content
    parts = [child.raw for child in node.children()]
    parts[path[0]] = remade(parts[path[0]], path[1:], content)
    return asn1.encode(node.tag, *parts)


BLOCKS = {
    "no signer": (*SIGNED, 4),
    "no certificate": (*SIGNED, 3),
    "no digest": (*SIGNED, 1),
}


@pytest.mark.parametrize("what", BLOCKS)
def test_a_block_without_one_of_its_parts_is_refused(what: str) -> None:
    files = contents("EC")
    tag = {3: 0xA0}.get(BLOCKS[what][-1], asn1.SET)
    block = remade(files["META-INF/S.EC"], BLOCKS[what], asn1.encode(tag))
    with refused("jar_signature_invalid"):
        jar_signature.verify(files | {"META-INF/S.EC": block}, "o.jar")


def test_a_block_with_thousands_of_signers_is_refused_before_they_are_verified() -> None:
    files = contents("EC")
    signers = element(asn1.parse(files["META-INF/S.EC"]), (*SIGNED, 4))
    block = remade(files["META-INF/S.EC"], (*SIGNED, 4), asn1.encode(asn1.SET, signers.content * 5000))
    with refused("jar_signature_invalid", "5,000 signers"):
        jar_signature.verify(files | {"META-INF/S.EC": block}, "o.jar")
