"""Runs openssl and the JDK's tools in a folder of their own, and offers what they write to the readers."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from stores import formats
from stores.formats.errors import ReadingError
from stores.formats.parsed import Parsed, StoreKind, Upload

PASSWORD = "changeit"
_QUICK = {"JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"}


def run(*command: str, files: Mapping[str, bytes], out: str) -> bytes:
    """Runs a command in an empty folder that holds `files`; what it leaves in the file `out`."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    with TemporaryDirectory() as folder:
        for name, content in files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        done = subprocess.run(
            command, cwd=folder, capture_output=True, timeout=60, env=os.environ | _QUICK, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{command}: {done.stdout.decode()}{done.stderr.decode()}")
        return Path(folder, out).read_bytes()


def keytool(*options: str, out: str, **files: bytes) -> bytes:
    """keytool with the password of these tests; `out` is the key store."""
    return run(
        "keytool", *options, "-noprompt", "-keystore", out, "-storepass", PASSWORD, files=files, out=out
    )


def read(
    content: bytes, name: str, store: StoreKind = "key", password: str | None = PASSWORD, **more: Any
) -> Parsed:
    """What the readers make of an upload."""
    return formats.read(Upload(name, content, store, password, **more))


@contextmanager
def refused(code: str, *words: str) -> Iterator[None]:
    """Expects a reading error of this code whose sentence or command has these words."""
    with pytest.raises(ReadingError) as caught:
        yield
    assert caught.value.code == code, caught.value.sentence
    for word in words:
        assert word in f"{caught.value.sentence} {caught.value.command}"
