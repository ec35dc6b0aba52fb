"""`manage.py inspect`: what would be said of an upload, as JSON, without storing anything (DESIGN section 5)."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, cast

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from stores.formats import limits
from stores.formats.parsed import Inspection, Upload
from stores.inspection import as_json, inspect

_WRONG_USAGE = 2
_STORES = ("key", "trust")
_TEXTS = ("file", "store", "password", "key_file", "alias")


class Command(BaseCommand):
    """Prints one JSON object for FILE, or one line for each line of a manifest; exit status 0, 1 or 2."""

    help = "Reads and checks certificate files as an upload would, and prints what is found as JSON."
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's own interface
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", nargs="?", metavar="FILE", help="the file to inspect")
        parser.add_argument(
            "--store", choices=_STORES, help="what it is to become: a key store or a trust store"
        )
        parser.add_argument(
            "--password-file", type=Path, metavar="P", help="a file whose first line is the password"
        )
        parser.add_argument("--key-file", type=Path, metavar="K", help="a second file with the private key")
        parser.add_argument("--alias", metavar="A", help="which of several private keys to take")
        parser.add_argument(
            "--leave-out", action="store_true", help="leave out trust store certificates that cannot be used"
        )
        parser.add_argument(
            "--manifest", type=Path, metavar="M", help="JSON lines that name files, relative to M"
        )

    def handle(self, *args: object, **options: Any) -> None:
        accepted = self._manifest(options) if options["manifest"] else self._single(options)
        sys.exit(0 if accepted else 1)

    def _single(self, options: dict[str, Any]) -> bool:
        if options["file"] is None or options["store"] is None:
            raise CommandError(
                "Name a FILE and --store key or --store trust, or a --manifest.", returncode=_WRONG_USAGE
            )
        try:
            password = _first_line(options["password_file"]) if options["password_file"] else None
            upload = _upload(
                Path(options["file"]),
                options["key_file"],
                options["store"],
                password,
                options["alias"],
                options["leave_out"],
            )
        except OSError as error:
            raise CommandError(
                f"{error.filename} cannot be read: {error.strerror}.", returncode=_WRONG_USAGE
            ) from None
        except UnicodeDecodeError:
            raise CommandError(f"{options['password_file']} is not UTF-8.", returncode=_WRONG_USAGE) from None
        answer = inspect(upload, timezone.now())
        self._print(answer, options["file"])
        return answer.accepted

    def _manifest(self, options: dict[str, Any]) -> bool:
        given = ("file", "store", "password_file", "key_file", "alias", "leave_out")
        if any(options[name] for name in given):
            raise CommandError(
                "A --manifest names files and options itself; give nothing else.", returncode=_WRONG_USAGE
            )
        all_accepted = True
        for line in _lines(options["manifest"]):
            answer = _of_line(line, options["manifest"].parent)
            all_accepted &= answer.accepted
            self._print(answer, line["file"])
        return all_accepted

    def _print(self, answer: Inspection, file: str) -> None:
        self.stdout.write(json.dumps(as_json(answer, file)))
        self.stdout.flush()


def _first_line(path: Path) -> str:
    """A password, without the line end that editors add."""
    return path.read_text(encoding="utf-8").partition("\n")[0].removesuffix("\r")


def _upload(
    file: Path, key_file: Path | None, store: str, password: str | None, alias: str | None, leave_out: bool
) -> Upload:
    return Upload(
        name=file.name,
        content=_content(file),
        store="key" if store == "key" else "trust",
        password=password,
        key_name=key_file.name if key_file else None,
        key_content=_content(key_file) if key_file else None,
        alias=alias,
        leave_out=leave_out,
        symbols=cast("Literal['refuse', 'warn']", settings.STOREKEEPER_PASSWORD_SYMBOLS),
    )


def _content(path: Path) -> bytes:
    """What is in a file, as far as it matters: one octet over the limit is enough to be told."""
    with path.open("rb") as file:
        return file.read(limits.UPLOAD_BYTES + 1)


def _lines(manifest: Path) -> Iterator[dict[str, Any]]:
    """The lines of a manifest, checked before the first one is answered."""
    try:
        lines = manifest.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{manifest} cannot be read: {error}.", returncode=_WRONG_USAGE) from None
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    return iter([_line(line, f"{manifest}, line {number}") for number, line in numbered])


def _line(text: str, where: str) -> dict[str, Any]:
    try:
        line = json.loads(text)
    except ValueError:
        raise CommandError(f"{where} is no JSON.", returncode=_WRONG_USAGE) from None
    if (
        not isinstance(line, dict)
        or not isinstance(line.get("file"), str)
        or line.get("store") not in _STORES
    ):
        raise CommandError(
            f'{where} is no object with "file" and "store" (key or trust).', returncode=_WRONG_USAGE
        )
    if any(not isinstance(line.get(name), str | None) for name in _TEXTS) or not isinstance(
        line.get("leave_out"), bool | None
    ):
        raise CommandError(f"{where} has a value of the wrong type.", returncode=_WRONG_USAGE)
    return line


def _of_line(line: dict[str, Any], folder: Path) -> Inspection:
    """The answer to one line; a file that is not there is answered like an empty one, and the next line follows."""
    key_file = folder / line["key_file"] if line.get("key_file") else None
    try:
        upload = _upload(
            folder / line["file"],
            key_file,
            line["store"],
            line.get("password"),
            line.get("alias"),
            bool(line.get("leave_out")),
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no such file"
        return Inspection(line["file"], False, "empty_file", f"The file cannot be read: {reason}.")
    return inspect(upload, timezone.now())
