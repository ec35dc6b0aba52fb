"""`check --deploy` refuses each dangerous or embedded part by its code, and finds nothing wrong with a sound deployment."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from pytest_django.fixtures import Settings

from portal import checks
from tests.deployment import PRODUCTION, manage


def codes(**environment: str) -> set[str]:
    """The codes that a deployment check prints."""
    result = manage("check", "--deploy", "--fail-level", "WARNING", **environment)
    found = set(re.findall(r"\((\w+\.[EW]\d+)\)", result.stderr))
    assert (result.returncode == 0) == (not found)
    return found


def test_a_sound_deployment_has_nothing_to_report() -> None:
    assert codes(**PRODUCTION) == set()


def test_the_embedded_default_is_refused_part_by_part(tmp_path: Path) -> None:
    found = codes(STOREKEEPER_VAR=str(tmp_path))
    assert {f"portal.E{number:03}" for number in range(2, 9)} | {"portal.W011"} <= found


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"DATABASE_URL": ""}, "portal.E002"),
        ({"DATABASE_URL": "sqlite:////srv/x.sqlite3"}, "portal.E002"),
        ({"REDIS_URL": ""}, "portal.E003"),
        ({"STOREKEEPER_S3_BUCKET": ""}, "portal.E004"),
        ({"STOREKEEPER_SMTP_HOST": ""}, "portal.E005"),
        ({"STOREKEEPER_MAIL_FROM": ""}, "portal.E005"),
        ({"SECRET_KEY": ""}, "portal.E006"),
        ({"SECRET_KEY": "short"}, "security.W009"),
        ({"STOREKEEPER_KEYS": ""}, "portal.E007"),
        ({"STOREKEEPER_KEYS": "one:" + "A" * 10}, "portal.E001"),
        ({"STOREKEEPER_URL": "http://storekeeper.example.org"}, "portal.E008"),
        ({"STOREKEEPER_HOSTS": "storekeeper.example.org,*"}, "portal.E009"),
        ({"DEBUG": "yes"}, "portal.E010"),
        ({"STOREKEEPER_STATIC": ""}, "portal.W011"),
    ],
    ids=str,
)
def test_one_wrong_setting_is_refused_by_its_code(changed: dict[str, str], code: str, tmp_path: Path) -> None:
    assert code in codes(**{**PRODUCTION, "STOREKEEPER_VAR": str(tmp_path), **changed})


def test_a_key_ring_is_refused_without_being_shown() -> None:
    result = manage("check", STOREKEEPER_KEYS="one:s3cret")
    assert "portal.E001" in result.stderr
    assert "s3cret" not in result.stderr


class TestFiles:
    @pytest.fixture(autouse=True)
    def code(self, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A small deployment in a folder of the test."""
        for name in [name for name in os.environ if name.endswith("_FILE")]:
            monkeypatch.delenv(name)
        (tmp_path / "portal").mkdir(mode=0o755)
        settings.BASE_DIR, settings.VAR, settings.KEYS = tmp_path, tmp_path / "var", tmp_path / "var" / "keys"
        settings.SECRET_KEY_FILE = settings.STOREKEEPER_KEYS_FILE = tmp_path / "var" / "keys" / "ring"
        return tmp_path

    def test_files_of_one_owner_are_fine(self) -> None:
        self.make("portal/views.py", 0o644)
        self.make("var/keys/ring", 0o600)
        assert checks.files_of_others(None) == []

    @pytest.mark.parametrize("name", ["portal/views.py", "var/keys/ring"])
    def test_a_file_that_others_can_change_is_refused(self, name: str) -> None:
        file = self.make(name, 0o602)
        first = checks.files_of_others(None)[0]
        assert first.id == "portal.E012"
        assert str(file) in first.msg

    def test_a_folder_that_others_can_change_is_refused(self, code: Path) -> None:
        (code / "portal").chmod(0o777)
        assert [found.id for found in checks.files_of_others(None)] == ["portal.E012"]

    def test_a_secret_that_others_can_read_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("STOREKEEPER_SMTP_PASSWORD_FILE", str(self.make("var/password", 0o644)))
        assert [found.id for found in checks.files_of_others(None)] == ["portal.W013"]

    def make(self, name: str, mode: int) -> Path:
        """A file with these permissions."""
        file: Path = django_settings.BASE_DIR / name
        file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        file.touch()
        file.chmod(mode)
        return file
