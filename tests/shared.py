"""Where the corpora lie: real and hostile files with known truth, made by generators outside of this repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("STOREKEEPER_SHARED", ROOT.parent / "shared"))
CORPUS, HOSTILE = SHARED / "corpus", SHARED / "hostile"


def need(folder: Path, *tools: str) -> None:
    """Skips the test, saying why, where the generators or the tools they call are missing."""
    if not folder.is_dir():
        pytest.skip(f"{folder.name}: set STOREKEEPER_SHARED to the folder that holds it")
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"{folder.name}: needs {', '.join(missing)}")


def generate(script: Path, out: Path) -> None:
    """Has a generator write its files."""
    done = subprocess.run(
        [sys.executable, script, out], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def inspect_manifest(manifest: Path) -> Path:
    """The answers of `manage.py inspect --manifest`, in a file beside the manifest; not all may be accepted."""
    answers = manifest.with_suffix(".answers")
    command: list[str | Path] = [sys.executable, ROOT / "manage.py", "inspect", "--manifest", manifest]
    with answers.open("w") as out:
        done = subprocess.run(
            command, stdout=out, stderr=subprocess.PIPE, text=True, timeout=900, check=False
        )
    assert done.returncode in (0, 1), done.stderr
    assert done.stderr == ""
    return answers


def judge(script: Path, expected: Path, answers: Path) -> None:
    """Fails with what the checker prints unless all answers are right."""
    done = subprocess.run(
        [sys.executable, script, expected, answers], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
