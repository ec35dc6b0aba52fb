"""The shape of the code: imports point one way, pure modules stay pure, no file grows past reading."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LOOKS_UPWARD = {"portal/urls.py", "portal/celery.py"}
FORBIDDEN = {
    "portal": {"stores", "providers", "tests"},
    "stores": {"providers", "tests"},
    "providers": {"tests"},
}
PURE = ("stores/formats", "stores/rules", "stores/expiry.py")
WITHOUT_DJANGO = "providers/connection"
"""It may use `portal.outbound`, the way out to the network."""
MOST_LINES = 500


def sources() -> list[Path]:
    """Every Python file of ours."""
    folders = ("portal", "stores", "providers", "tests")
    return [
        ROOT / "manage.py",
        *(file for folder in folders for file in sorted((ROOT / folder).rglob("*.py"))),
    ]


def imported(file: Path) -> Iterator[str]:
    """The names that a file imports, written out in full."""
    package = file.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(file.read_text("utf-8"), str(file))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            yield ".".join((*above, *filter(None, [node.module])))


def name_of(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("file", sources(), ids=name_of)
def test_imports_point_from_providers_over_stores_to_portal(file: Path) -> None:
    if name_of(file) in LOOKS_UPWARD:
        return
    forbidden = FORBIDDEN.get(name_of(file).partition("/")[0], set())
    assert not {name for name in imported(file) if name.partition(".")[0] in forbidden}


@pytest.mark.parametrize("file", [file for file in sources() if name_of(file).startswith(PURE)], ids=name_of)
def test_formats_and_rules_know_nothing_of_the_portal(file: Path) -> None:
    assert not {
        name for name in imported(file) if name.partition(".")[0] in {"django", "portal", "celery", "environ"}
    }


@pytest.mark.parametrize(
    "file", [file for file in sources() if name_of(file).startswith(WITHOUT_DJANGO)], ids=name_of
)
def test_the_connection_test_knows_nothing_of_django(file: Path) -> None:
    allowed = {"portal", "portal.outbound"}
    strange = {
        name for name in imported(file) if name.partition(".")[0] in {"django", "celery", "environ", "portal"}
    }
    assert strange <= allowed


@pytest.mark.parametrize(
    "modules", ["stores.formats, stores.rules, stores.expiry", "providers.connection.material"]
)
def test_what_is_pure_runs_without_django(modules: str) -> None:
    script = f"import sys, {modules}; sys.exit('django' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == 0


def test_no_file_is_too_long_to_read() -> None:
    ours = [*sources(), *(ROOT / "templates").rglob("*.html"), *(ROOT / "portal" / "static").rglob("*.*")]
    lengths = {name_of(file): len(file.read_text("utf-8").splitlines()) for file in ours}
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES} == {}


def test_a_relative_import_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The walker above could not fail if it overlooked the short forms."""
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    file = tmp_path / "portal" / "views.py"
    file.parent.mkdir()
    file.write_text("from ..stores import models\nfrom . import env\nimport providers.models as m\n", "utf-8")
    assert list(imported(file)) == ["stores", "portal", "providers.models"]
