"""The environment is understood or refused with one sentence, and no sentence shows a secret."""

from __future__ import annotations

import re
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from portal import env
from portal.vault import KeyRing
from tests.deployment import ROOT, manage

FALLBACK = Path("/srv/fallback")


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object], str], str]:
    """Sets NAME, reads it, and gives the sentence of the refusal."""

    def read(reader: Callable[[], object], value: str) -> str:
        monkeypatch.setenv("NAME", value)
        with pytest.raises(ImproperlyConfigured) as caught:
            reader()
        sentence = str(caught.value)
        assert "NAME" in sentence
        assert sentence.endswith(".")
        return sentence

    return read


class TestWithNothingSet:
    """The embedded default needs no environment at all."""

    @pytest.fixture(autouse=True, params=[None, "", "  "])
    def unset(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("NAME", raising=False)
        monkeypatch.delenv("NAME_FILE", raising=False)
        if request.param is not None:
            monkeypatch.setenv("NAME", request.param)

    def test_every_reader_has_its_default(self) -> None:
        assert env.text("NAME", "x") == "x"
        assert env.flag("NAME", True) is True
        assert env.number("NAME", 8000, 1, 65535) == 8000
        assert env.choice("NAME", ("warn", "refuse"), "refuse") == "refuse"
        assert env.words("NAME", ["a"]) == ["a"]
        assert env.networks("NAME") == []
        assert env.folder("NAME", FALLBACK) == FALLBACK
        assert env.address("NAME", "http://localhost:8000") == "http://localhost:8000"
        assert env.secret("NAME") == ""
        assert env.redis("NAME") == ""
        assert env.database("NAME", FALLBACK)["NAME"] == str(FALLBACK)


@pytest.mark.parametrize(
    ("value", "expected"), [("1", True), ("YES", True), ("on", True), ("0", False), ("False", False)]
)
def test_a_flag_is_yes_or_no(monkeypatch: pytest.MonkeyPatch, value: str, expected: bool) -> None:
    monkeypatch.setenv("NAME", value)
    assert env.flag("NAME", not expected) is expected


@pytest.mark.parametrize("value", ["2", "ja", "truee"])
def test_a_flag_that_is_neither_is_refused(refused: Callable[..., str], value: str) -> None:
    assert value in refused(lambda: env.flag("NAME"), value)


@pytest.mark.parametrize("value", ["0", "65536", "-1", "8000.5", "eight", "\uff18", "1" * 5000])
def test_a_number_outside_its_limits_is_refused(refused: Callable[..., str], value: str) -> None:
    assert "from 1 to 65535" in refused(lambda: env.number("NAME", 8000, 1, 65535), value)


@pytest.mark.parametrize("value", ["1", "65535", "08000"])
def test_a_number_may_reach_its_limits(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("NAME", value)
    assert env.number("NAME", 8000, 1, 65535) == int(value)


def test_a_choice_names_what_can_be_chosen(refused: Callable[..., str]) -> None:
    assert "refuse, warn" in refused(lambda: env.choice("NAME", ("warn", "refuse"), "refuse"), "ignore")


def test_networks_are_read_in_cidr_notation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAME", "10.0.0.0/8, 127.0.0.1 ,fd00::/8,")
    assert [str(network) for network in env.networks("NAME")] == ["10.0.0.0/8", "127.0.0.1/32", "fd00::/8"]


@pytest.mark.parametrize("value", ["10.0.0.1/8", "localhost", "10.0.0.0/33", "10.0.0.0/8;::1"])
def test_a_network_that_is_none_is_refused_by_name(refused: Callable[..., str], value: str) -> None:
    assert value in refused(lambda: env.networks("NAME"), value)


@pytest.mark.parametrize(
    "value",
    [
        "storekeeper.example.org",
        "ftp://a.example",
        "https://",
        "https://a.example/path",
        "https://u@a.example",
        "https://a:b",
    ],
)
def test_an_address_has_a_scheme_and_a_host_only(refused: Callable[..., str], value: str) -> None:
    refused(lambda: env.address("NAME", ""), value)


def test_an_address_loses_its_last_slash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAME", "https://storekeeper.example.org:8443/")
    assert env.address("NAME", "") == "https://storekeeper.example.org:8443"


class TestSecrets:
    def test_comes_from_a_file_without_its_final_newline(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "secret").write_text("s3cret\n")
        monkeypatch.setenv("NAME_FILE", str(tmp_path / "secret"))
        assert env.secret("NAME") == "s3cret"

    def test_both_ways_at_once_are_refused(
        self, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("NAME_FILE", "/srv/secret")
        assert "s3cret" not in refused(lambda: env.secret("NAME"), "s3cret")

    @pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff\xfe\x00"])
    def test_a_file_without_a_secret_is_refused(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None
    ) -> None:
        file = tmp_path / "secret"
        if content is not None:
            file.write_bytes(content)
        monkeypatch.setenv("NAME_FILE", str(file))
        with pytest.raises(ImproperlyConfigured, match=str(file)):
            env.secret("NAME")

    def test_the_environment_wins_over_the_kept_one(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        env.make_secret(tmp_path / "kept", "kept")
        assert env.kept_secret("NAME", tmp_path / "kept") == "kept"
        monkeypatch.setenv("NAME", "given")
        assert env.kept_secret("NAME", tmp_path / "kept") == "given"
        assert env.kept_secret("OTHER", tmp_path / "missing") == ""

    def test_a_made_secret_is_for_its_owner_alone_and_stays(self, tmp_path: Path) -> None:
        file = tmp_path / "keys" / "ring"
        env.make_secret(file, "first")
        env.make_secret(file, "second")
        assert file.read_text() == "first\n"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert [path.name for path in file.parent.iterdir()] == ["ring"]

    def test_processes_that_make_one_at_once_agree(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        file = tmp_path / "ring"
        monkeypatch.setattr(
            Path, "exists", lambda path: False
        )  # all have looked before the first has written

        def make_and_read(number: int) -> str:
            env.make_secret(file, f"secret {number}")
            return file.read_text()

        with ThreadPoolExecutor(16) as pool:
            assert len(set(pool.map(make_and_read, range(64)))) == 1

    def test_a_new_key_ring_is_one(self) -> None:
        assert len(KeyRing.from_text(env.new_key_ring()).keys) == 1
        assert env.new_key_ring() != env.new_key_ring()


class TestDatabase:
    def test_reads_what_an_address_says(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NAME", "postgresql://keeper:p%40ss@db.example.org:5433/store")
        found = env.database("NAME", FALLBACK)
        assert found["ENGINE"] == "django.db.backends.postgresql"
        assert (found["USER"], found["PASSWORD"]) == ("keeper", "p@ss")
        assert (found["HOST"], found["PORT"], found["NAME"]) == ("db.example.org", 5433, "store")

    @pytest.mark.parametrize(
        "value",
        ["mysql://a:s3cret@b/c", "s3cret", "postgresql://a:s3cret@db", "postgresql://a:s3cret@db:port/name"],
    )
    def test_another_one_is_refused_without_its_password(
        self, refused: Callable[..., str], value: str
    ) -> None:
        assert "s3cret" not in refused(lambda: env.database("NAME", FALLBACK), value)

    @pytest.mark.parametrize(
        "value", ["http://:s3cret@host", "localhost:6379", "redis://:s3cret@host:port/0"]
    )
    def test_a_redis_address_is_one(self, refused: Callable[..., str], value: str) -> None:
        assert "s3cret" not in refused(lambda: env.redis("NAME"), value)

    @pytest.mark.parametrize(
        "value", ["hc.example.org/s3cret", "ftp://x/s3cret", "https://x/s3cret y", "https://u:s3cret@x/"]
    )
    def test_a_secret_address_is_one(self, refused: Callable[..., str], value: str) -> None:
        assert "s3cret" not in refused(lambda: env.secret_address("NAME"), value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "eighty"),
        ("DEBUG", "perhaps"),
        ("STOREKEEPER_URL", "storekeeper"),
        ("STOREKEEPER_EXPIRY_INTERVAL", "0"),
        ("STOREKEEPER_PASSWORD_SYMBOLS", "allow"),
        ("STOREKEEPER_OUTBOUND_ALLOW", "everything"),
        ("STOREKEEPER_SMTP_SECURITY", "maybe"),
        ("STOREKEEPER_MAIL_FROM", "nobody"),
        ("SECRET_KEY_FILE", "/nowhere"),
        ("DATABASE_URL", "oracle://x/y"),
        ("REDIS_URL", "http://x"),
        ("STOREKEEPER_PING_URL", "hc.example.org/ping"),
    ],
)
def test_a_command_ends_with_one_sentence_on_nonsense(name: str, value: str) -> None:
    result = manage("check", **{name: value})
    assert result.returncode == 1
    assert result.stderr.startswith("Storekeeper cannot start: ")
    assert result.stderr.count("\n") == 1
    assert name in result.stderr


def test_every_name_is_explained() -> None:
    """The table of docs/operations.md and the code name the same settings, and the same ones as coming from a file."""
    code = "".join((ROOT / "portal" / file).read_text() for file in ("settings.py", "gunicorn.py"))
    read = re.findall(r'env\.(\w+)\(\s*"([A-Z0-9_]+)"', code)
    page = (ROOT / "docs/operations.md").read_text().partition("## Settings")[2].partition("\n## ")[0]
    first_cells = "".join(line.split("|")[1] for line in page.splitlines() if line.startswith("| `"))
    explained = re.findall(r"`([A-Z0-9_]+)`(¹?)", first_cells)
    assert {name for _, name in read} == {name for name, _ in explained}
    from_file = {
        name
        for reader, name in read
        if reader in ("secret", "secret_address", "kept_secret", "database", "redis")
    }
    assert from_file == {name for name, mark in explained if mark}
