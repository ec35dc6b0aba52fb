"""The commands that come with refusals of PKCS#12, JAR and JKS do what they promise."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from stores.formats.parsed import Inspection, StoreKind, Upload
from stores.inspection import examine
from tests.formats import jks_writer, zip_writer
from tests.formats.tools import PASSWORD, keytool, run
from tests.formats.zip_writer import DESCRIPTOR, key_store
from tests.material import NOW, mint

ROOT = mint("Command Root", ca=True)
LEAF = mint("Command Leaf", ROOT)
CHAIN = [LEAF.sha256, ROOT.sha256]
FILES = key_store(LEAF, ROOT)


def answer(content: bytes, name: str, password: str | None = None, store: StoreKind = "key") -> Inspection:
    return examine(Upload(name, content, store, password), NOW)


def command_for(
    content: bytes, name: str, code: str, password: str | None = None, store: StoreKind = "key"
) -> str:
    """The command that comes with the refusal of a file."""
    refusal = answer(content, name, password, store)
    assert refusal.code == code, refusal.message
    (finding,) = refusal.findings
    assert name in finding.command
    return finding.command


def accepted(content: bytes, name: str, password: str | None = None) -> list[str]:
    inspection = answer(content, name, password)
    assert inspection.accepted, inspection.message
    return [certificate.sha256 for certificate in inspection.certificates]


BROKEN = {
    "descriptor_missing": {name: content for name, content in FILES.items() if name != DESCRIPTOR},
    "descriptor_invalid": FILES | {DESCRIPTOR: b""},
}


@pytest.mark.parametrize("code", BROKEN)
def test_a_descriptor_is_added_or_written_anew(code: str) -> None:
    content = zip_writer.jar(BROKEN[code])
    command = command_for(content, "o.jar", code)
    assert accepted(run("sh", "-ec", command, files={"o.jar": content}, out="o.jar"), "o.jar") == CHAIN


def test_a_jar_is_made_again_from_its_files() -> None:
    command = command_for(zip_writer.jar(FILES)[:-1], "o.jar", "malformed")
    assert accepted(run("sh", "-ec", command, files=FILES, out="o.jar"), "o.jar") == CHAIN


def test_a_jar_is_signed_again() -> None:
    pair = ("-genkeypair", "-alias", "ALIAS", "-dname", "CN=Signer", "-keyalg", "EC", "-storetype", "PKCS12")
    signer = keytool(*pair, out="signer.p12")
    broken = zip_writer.jar(FILES | {"META-INF/S.SF": b"", "META-INF/S.EC": b""})
    command = command_for(broken, "o.jar", "jar_signature_invalid")
    files = {"signer.p12": signer, "o.jar": zip_writer.jar(FILES)}
    signed = run("sh", "-ec", f"{command} -storepass {PASSWORD}", files=files, out="o.jar")
    assert accepted(signed, "o.jar") == CHAIN


def test_a_jceks_becomes_a_pkcs12() -> None:
    pair = ("-genkeypair", "-alias", "one", "-dname", "CN=one", "-keyalg", "EC", "-groupname", "secp256r1")
    content = keytool(*pair, "-storetype", "JCEKS", out="o.jceks")
    command = command_for(content, "o.jceks", "unsupported_format")
    passwords = f"-noprompt -srcstorepass {PASSWORD} -deststorepass {PASSWORD}"
    assert accepted(
        run("sh", "-ec", f"{command} {passwords}", files={"o.jceks": content}, out="store.p12"),
        "o.p12",
        PASSWORD,
    )


def test_a_key_gets_the_password_of_its_store() -> None:
    sealed = jks_writer.protected(LEAF.key_der, "its-own")
    content = jks_writer.store(jks_writer.key("alias", [LEAF, ROOT], sealed=sealed))
    command = command_for(content, "o.jks", "wrong_password", PASSWORD)
    passwords = f"-storepass {PASSWORD} -keypass its-own -new {PASSWORD}"
    assert (
        accepted(
            run("sh", "-ec", f"{command} {passwords}", files={"o.jks": content}, out="o.jks"),
            "o.jks",
            PASSWORD,
        )
        == CHAIN
    )


def test_the_entries_of_a_java_key_store_are_listed() -> None:
    content = jks_writer.store(jks_writer.key("orders", [LEAF, ROOT]))
    command = command_for(content, "o.jks", "wrong_password", "guessed")
    listed = run("sh", "-ec", f"{command} -storepass {PASSWORD} > out", files={"o.jks": content}, out="out")
    assert b"orders, " in listed


@pytest.mark.parametrize("store", ["key", "trust"])
def test_a_pkcs12_gets_another_password(store: StoreKind) -> None:
    lock = serialization.BestAvailableEncryption(b"p@ss")
    content = (
        pkcs12.serialize_key_and_certificates(b"o", LEAF.key, LEAF.certificate, [ROOT.certificate], lock)
        if store == "key"
        else pkcs12.serialize_java_truststore([pkcs12.PKCS12Certificate(ROOT.certificate, b"root")], lock)
    )
    command = command_for(content, "o.p12", "restricted_password", "p@ss", store)
    command = command.replace("-in o.p12", "-in o.p12 -passin pass:p@ss").replace(
        "-export", f"-export -passout pass:{PASSWORD}"
    )
    made = run("sh", "-ec", command, files={"o.p12": content}, out="exported-again.p12")
    inspection = answer(made, "o.p12", PASSWORD, store)
    assert inspection.accepted, inspection.message
