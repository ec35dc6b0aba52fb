"""The commands that findings give to copy do what they say, in a real shell."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID

from stores.rules import check
from tests.material import NOW, mint
from tests.rules.offers import offer_key, parsed, upload

ROOT = mint("Root", ca=True, end=3650)
LEAF = mint("Orders Client", ROOT)

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


def run(command: str, folder: Path) -> bytes:
    done = subprocess.run(["sh", "-ec", command], cwd=folder, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def test_a_new_request_has_the_name_and_is_for_clients(tmp_path: Path) -> None:
    (finding,) = offer_key(mint("Gone Client", ROOT, end=-1), ROOT, name="my orders.pem").findings
    run(finding.command, tmp_path)
    request = x509.load_pem_x509_csr((tmp_path / "my orders.csr").read_bytes())
    assert request.subject.rfc4514_string() == "CN=Gone Client"
    usage = request.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert b"PRIVATE KEY" in (tmp_path / "my orders.key").read_bytes()


def test_chain_and_key_are_put_into_one_file(tmp_path: Path) -> None:
    (tmp_path / "orders.pem").write_bytes(LEAF.pem + ROOT.pem)
    (tmp_path / "orders.key").write_bytes(LEAF.key_pem)
    (finding,) = check(parsed([LEAF, ROOT]), upload("key"), NOW).findings
    run(f"{finding.command} -passout pass:changeit", tmp_path)
    made = pkcs12.load_pkcs12((tmp_path / "orders.p12").read_bytes(), b"changeit")
    assert made.cert is not None
    assert made.cert.certificate == LEAF.certificate
    assert made.key is not None


@pytest.mark.parametrize("fits", [True, False])
def test_digests_are_equal_when_the_key_fits(tmp_path: Path, fits: bool) -> None:
    (tmp_path / "orders.pem").write_bytes(LEAF.pem)
    (tmp_path / "orders.key").write_bytes(LEAF.key_pem if fits else ROOT.key_pem)
    (finding,) = (
        found
        for found in offer_key(LEAF, key=ROOT, key_name="orders.key", key_content=b"").findings
        if found.code == "key_mismatch"
    )
    first, second = run(finding.command, tmp_path).decode().splitlines()
    assert (first == second) is fits


def test_certificates_are_written_without_the_key(tmp_path: Path) -> None:
    (tmp_path / "all.pem").write_bytes(LEAF.key_pem + LEAF.pem + ROOT.pem)
    (finding,) = (
        found
        for found in check(parsed([LEAF, ROOT], [LEAF]), upload("trust", "all.pem"), NOW).findings
        if found.code == "key_in_trust_store"
    )
    run(finding.command, tmp_path)
    made = (tmp_path / "all-trust.pem").read_bytes()
    assert b"PRIVATE KEY" not in made
    assert x509.load_pem_x509_certificates(made) == [LEAF.certificate, ROOT.certificate]


@pytest.mark.parametrize("content", [ROOT.der, ROOT.pem])
def test_a_fetched_issuer_is_added_in_either_encoding(tmp_path: Path, content: bytes) -> None:
    leaf = mint("Public Client", ROOT, issuer_url="http://pki.example.org/root.crt")
    (tmp_path / "orders.pem").write_bytes(leaf.pem)
    (tmp_path / "issuer").write_bytes(content)
    (finding,) = offer_key(leaf).findings
    assert finding.command.startswith("curl -s http://pki.example.org/root.crt |")
    run(finding.command.replace("curl -s http://pki.example.org/root.crt", "cat issuer"), tmp_path)
    made = x509.load_pem_x509_certificates((tmp_path / "orders.pem").read_bytes())
    assert made == [leaf.certificate, ROOT.certificate]
