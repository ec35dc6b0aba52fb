"""Real files by openssl, keytool, jarsigner and cryptography, each with what must be said of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.shared import CORPUS, generate, inspect_manifest, judge, need

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_every_real_file_is_answered_rightly(tmp_path: Path) -> None:
    need(CORPUS, "openssl", "keytool", "jar", "jarsigner")
    generate(CORPUS / "make_corpus.py", tmp_path)
    answers = inspect_manifest(tmp_path / "manifest.jsonl")
    judge(CORPUS / "check_corpus.py", tmp_path / "expected.jsonl", answers)
