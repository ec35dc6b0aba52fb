"""Every command of docs/formats.md is run, and every file that it makes is accepted."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from stores.formats.parsed import StoreKind, Upload
from stores.inspection import examine
from tests.material import NOW, mint

PAGE = Path(__file__).parents[2] / "docs" / "formats.md"
PASSWORD, NEW_PASSWORD = "a-password", "another-password"
ROOT = mint("Documented Root", ca=True, end=3650)
ISSUER = mint("Documented Issuer", ROOT, ca=True, end=1000)
LEAF = mint("Documented Leaf", ISSUER, kind="rsa2048")
PARTNER = mint("Documented Partner", ca=True, end=3650)
GIVEN = {
    "orders.key": LEAF.key_pem,
    "orders.pem": LEAF.pem,
    "issuing-ca.pem": ISSUER.pem,
    "root-ca.pem": ROOT.pem,
    "partner-ca.pem": PARTNER.pem,
}
FULL = [LEAF.sha256, ISSUER.sha256, ROOT.sha256]
KEY_STORES = [
    ("orders-with-key.pem", None, "pem"),
    ("chain.pem", "orders.key", "pem"),
    ("chain.pem", "orders-locked.key", "pem"),
    ("chain.pem", "orders-key.der", "pem"),
    ("orders.p12", None, "pkcs12"),
    ("from-jceks.p12", None, "pkcs12"),
    ("chain.p7b", "orders.key", "pkcs7"),
    ("chain.p7c", "orders.key", "pkcs7"),
    ("orders.jar", None, "jar"),
    ("orders-signed.jar", None, "jar"),
    ("orders.jks", None, "jks"),
]
TRUST_STORES = [
    ("partners.pem", [ROOT, PARTNER], "pem"),
    ("root-ca.cer", [ROOT], "der"),
    ("partners.p12", [ROOT, PARTNER], "pkcs12"),
    ("partners-java.p12", [ROOT, PARTNER], "pkcs12"),
    ("partners.p7b", [ROOT, PARTNER], "pkcs7"),
    ("partners.jks", [ROOT], "jks"),
]
OTHERS = {
    "orders.der",
    "orders-renamed.p12",
    "above.pem",
    "main.pem",
    "privateKey.pem",
    "META-INF",
    "signer.p12",
    "orders.jceks",
}
"""Steps on the way, and what has a test of its own below."""


@cache
def made() -> dict[str, bytes]:
    """What the commands of the page leave behind, run one after the other in one folder."""
    for tool in ("openssl", "keytool", "jar", "jarsigner"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert blocks
    with TemporaryDirectory() as folder:
        for name, content in GIVEN.items():
            Path(folder, name).write_bytes(content)
        passwords = {"PASSWORD": PASSWORD, "NEW_PASSWORD": NEW_PASSWORD}
        quick = {"JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"}
        script = "\n".join(["set -e", *blocks])
        done = subprocess.run(
            ["sh", "-c", script],
            cwd=folder,
            env=os.environ | passwords | quick,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return {path.name: path.read_bytes() if path.is_file() else b"" for path in Path(folder).iterdir()}


def offered(
    name: str, store: StoreKind, second: str | None = None, password: str = PASSWORD
) -> tuple[str | None, str | None, list[str]]:
    key = made()[second] if second else None
    answer = examine(Upload(name, made()[name], store, password, second, key), NOW)
    assert answer.accepted, answer.message
    codes = {finding.code for finding in answer.findings}
    assert codes <= {"password_not_needed", "chain_incomplete"}, codes
    return answer.code, answer.format, [certificate.sha256 for certificate in answer.certificates]


@pytest.mark.parametrize(("name", "second", "kind"), KEY_STORES)
def test_what_the_page_makes_for_a_key_store_is_accepted(name: str, second: str | None, kind: str) -> None:
    assert offered(name, "key", second) == (None, kind, FULL)


@pytest.mark.parametrize(("name", "trusted", "kind"), TRUST_STORES)
def test_what_the_page_makes_for_a_trust_store_is_accepted(
    name: str, trusted: list[object], kind: str
) -> None:
    code, found, digests = offered(name, "trust")
    assert (code, found, sorted(digests)) == (None, kind, sorted(one.sha256 for one in trusted))  # type: ignore[attr-defined]


def test_a_single_certificate_and_another_password_are_accepted() -> None:
    assert offered("orders.der", "key", "orders.key") == (None, "der", [LEAF.sha256])
    assert offered("orders-renamed.p12", "key", password=NEW_PASSWORD) == (None, "pkcs12", FULL)


def test_nothing_that_the_page_makes_goes_untested() -> None:
    tested = (
        {name for name, _, _ in KEY_STORES}
        | {second for _, second, _ in KEY_STORES}
        | {name for name, _, _ in TRUST_STORES}
    )
    assert set(made()) == {*GIVEN, *OTHERS, *tested} - {None}
