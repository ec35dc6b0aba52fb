"""`manage.py inspect`: the contract that others rely on (DESIGN section 5)."""

from __future__ import annotations

import json
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12
from django.core.management import CommandError, call_command

from tests.material import mint
from tests.shared import ROOT as CHECKOUT

ROOT = mint("Root", ca=True, end=36_500)
LEAF = mint("orders.example", ROOT, end=36_500)
KEYS = {"file", "accepted", "code", "message", "format", "certificates", "findings"}
CERTIFICATE = {"sha256", "subject", "issuer", "serial", "not_before", "not_after", "key_type"}
P12 = pkcs12.serialize_key_and_certificates(
    b"orders", LEAF.key, LEAF.certificate, [ROOT.certificate], BestAvailableEncryption("größe".encode())
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a few files."""
    files = {
        "orders.pem": LEAF.key_pem + LEAF.pem + ROOT.pem,
        "chain.pem": LEAF.pem + ROOT.pem,
        "orders.key": LEAF.key_pem,
    }
    for name, content in {**files, "orders.p12": P12, "words.txt": b"words"}.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "password").write_text("größe\nsecond line\n", encoding="utf-8")
    return tmp_path


def run(*arguments: object) -> tuple[int, list[dict[str, Any]]]:
    """Exit status and what was printed, one object a line."""
    out = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("inspect", *map(str, arguments), stdout=out)
    return int(ended.value.code or 0), [json.loads(line) for line in out.getvalue().splitlines()]


def manifest(folder: Path, *lines: dict[str, object]) -> Path:
    path = folder / "manifest.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def test_an_accepted_file_is_described_whole(folder: Path) -> None:
    status, (answer,) = run(folder / "orders.pem", "--store", "key")
    assert status == 0
    assert answer.keys() == KEYS
    assert (answer["accepted"], answer["code"], answer["format"]) == (True, None, "pem")
    assert answer["file"] == str(folder / "orders.pem")
    assert [certificate.keys() for certificate in answer["certificates"]] == [CERTIFICATE, CERTIFICATE]
    leaf = answer["certificates"][0]
    assert (leaf["sha256"], leaf["subject"], leaf["issuer"]) == (LEAF.sha256, "CN=orders.example", "CN=Root")
    assert leaf["not_before"] == f"{LEAF.certificate.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ}"


def test_a_refused_file_ends_with_status_one(folder: Path) -> None:
    status, (answer,) = run(folder / "words.txt", "--store", "trust")
    assert status == 1
    assert (answer["accepted"], answer["code"], answer["format"]) == (False, "unsupported_format", None)
    assert [finding.keys() for finding in answer["findings"]] == [{"code", "severity", "text"}]
    assert answer["findings"][0]["text"] == answer["message"]


def test_key_and_password_come_from_files(folder: Path) -> None:
    status, (answer,) = run(folder / "chain.pem", "--store", "key", "--key-file", folder / "orders.key")
    assert (status, answer["accepted"]) == (0, True)
    status, (answer,) = run(folder / "orders.p12", "--store", "key", "--password-file", folder / "password")
    assert (status, answer["format"]) == (0, "pkcs12")
    assert "größe" not in json.dumps(answer, ensure_ascii=False)


def test_a_manifest_is_answered_line_by_line_in_order(folder: Path) -> None:
    path = manifest(
        folder,
        {"file": "orders.p12", "store": "key", "password": "größe"},
        {"file": "words.txt", "store": "key"},
        {"file": "gone.pem", "store": "key"},
        {"file": "chain.pem", "store": "key", "key_file": "orders.key", "alias": None, "leave_out": False},
    )
    status, answers = run("--manifest", path)
    assert status == 1
    assert [(answer["file"], answer["accepted"]) for answer in answers] == [
        ("orders.p12", True), ("words.txt", False), ("gone.pem", False), ("chain.pem", True),
    ]  # fmt: skip
    assert all(answer["message"] for answer in answers)


def test_a_manifest_in_which_all_is_well_ends_with_status_zero(folder: Path) -> None:
    assert run("--manifest", manifest(folder, {"file": "orders.pem", "store": "key"}))[0] == 0


def test_unusable_certificates_are_left_out_on_demand(folder: Path) -> None:
    dead = mint("Dead Root", ca=True, begin=-4000, end=-1000)
    (folder / "bundle.pem").write_bytes(ROOT.pem + dead.pem)
    assert run(folder / "bundle.pem", "--store", "trust")[1][0]["code"] == "expired"
    status, (answer,) = run(folder / "bundle.pem", "--store", "trust", "--leave-out")
    assert status == 0
    assert [certificate["sha256"] for certificate in answer["certificates"]] == [ROOT.sha256]
    assert [finding["code"] for finding in answer["findings"]] == ["left_out"]


@pytest.mark.parametrize(
    "arguments",
    [
        [], ["a.pem"], ["gone.pem", "--store", "key"], ["--manifest", "gone.jsonl"], ["a.pem", "--manifest", "m"],
        ["--manifest", "m", "--store", "key"],
    ],
)  # fmt: skip
def test_wrong_usage_ends_with_status_two(arguments: list[str]) -> None:
    with pytest.raises(CommandError) as caught:
        call_command("inspect", *arguments)
    assert caught.value.returncode == 2


@pytest.mark.parametrize(
    "line",
    ["no JSON", "[]", "{}", '{"file": "a"}', '{"file": "a", "store": "x"}', '{"file": 1, "store": "key"}'],
)
def test_a_manifest_that_makes_no_sense_is_refused_before_anything_is_answered(
    folder: Path, line: str
) -> None:
    path = manifest(folder, {"file": "orders.pem", "store": "key"})
    path.write_text(path.read_text() + line + "\n")
    out = StringIO()
    with pytest.raises(CommandError, match="line 2") as caught:
        call_command("inspect", "--manifest", str(path), stdout=out)
    assert (caught.value.returncode, out.getvalue()) == (2, "")


@pytest.mark.parametrize(
    ("arguments", "status"), [(["--store", "key"], 0), (["--store", "trust"], 1), (["--store", "both"], 2)]
)
def test_the_shell_sees_the_exit_status(folder: Path, arguments: list[str], status: int) -> None:
    command: list[str | Path] = [
        sys.executable,
        CHECKOUT / "manage.py",
        "inspect",
        folder / "orders.pem",
        *arguments,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert done.stdout.count("\n") == (1 if status < 2 else 0)
    assert "Traceback" not in done.stderr
