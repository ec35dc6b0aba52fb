"""Files that attack whoever reads or shows them, and mutations of good ones: refused rightly, in time, telling nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests import fuzz
from tests.shared import HOSTILE, generate, inspect_manifest, judge, need

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
MUTATIONS = int(os.environ.get("STOREKEEPER_FUZZ", "500"))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The hostile files, written once."""
    need(HOSTILE)
    out = tmp_path_factory.mktemp("hostile")
    generate(HOSTILE / "make_hostile.py", out)
    return out


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [("manifest", "expected"), ("nasty_text_manifest", "nasty_text")],
    ids=["files", "texts"],
)
def test_every_hostile_file_is_refused_rightly(hostile: Path, manifest: str, expected: str) -> None:
    answers = inspect_manifest(hostile / f"{manifest}.jsonl")
    judge(HOSTILE / "check_hostile.py", hostile / f"{expected}.jsonl", answers)


def test_mutations_are_answered_within_limits() -> None:
    need(HOSTILE)
    report = fuzz.run(MUTATIONS, seed=20, workers=os.cpu_count() or 1)
    assert report.wrong == []
    assert report.codes.total() == MUTATIONS
    assert len(report.codes) > 5, "the mutations hardly reach anything"
