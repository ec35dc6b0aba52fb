"""System checks: a key ring that is no key ring is always refused, a dangerous deployment by `check --deploy`."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, Tags, register

from portal import env
from portal.vault import KeyRing

Apps = Sequence[AppConfig] | None
EMBEDDED = "It belongs to the embedded default, for one person on one machine."


@register(Tags.security)
def key_ring(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    """The key ring can be read; before the first run there is none."""
    try:
        if settings.STOREKEEPER_KEYS:
            KeyRing.from_text(settings.STOREKEEPER_KEYS)
    except ValueError as error:
        return [
            Error(
                f"STOREKEEPER_KEYS cannot be used: {error}.",
                hint="docs/operations.md says how to make a key.",
                id="portal.E001",
            )
        ]
    return []


def _refuses(number: int, sentence: str, hint: str, is_wrong: Callable[[], bool]) -> None:
    """Registers a deployment check that consists of one question."""

    def check(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
        return [Error(sentence, hint=hint, id=f"portal.E{number:03}")] if is_wrong() else []

    register(check, Tags.security, deploy=True)


_refuses(
    2, f"The database is SQLite. {EMBEDDED}", "Set DATABASE_URL=postgresql://...", lambda: settings.SQLITE
)
_refuses(
    3,
    f"Broker and cache are files and the database. {EMBEDDED}",
    "Set REDIS_URL=redis://...",
    lambda: not settings.REDIS_URL,
)
_refuses(
    4,
    f"Sealed originals go to a folder of this machine. {EMBEDDED}",
    "Set STOREKEEPER_S3_BUCKET and what your S3 service needs beside it.",
    lambda: not settings.S3_BUCKET,
)
_refuses(
    5,
    f"Mail is written to files. {EMBEDDED}",
    "Set STOREKEEPER_SMTP_HOST and STOREKEEPER_MAIL_FROM.",
    lambda: not settings.EMAIL_HOST or "@localhost" in settings.DEFAULT_FROM_EMAIL,
)
_refuses(
    6,
    "SECRET_KEY is not set, so every machine and start would have its own.",
    "Set SECRET_KEY or SECRET_KEY_FILE to a secret of 50 random characters or more.",
    lambda: not env.secret("SECRET_KEY"),
)
_refuses(
    7,
    "STOREKEEPER_KEYS is not set, so private keys would be sealed with a key that lies beside them.",
    "Set STOREKEEPER_KEYS or STOREKEEPER_KEYS_FILE, and keep a copy of the ring in a safe place.",
    lambda: not env.secret("STOREKEEPER_KEYS"),
)
_refuses(
    8,
    "People reach the portal over plain HTTP, so cookies and keys would travel unprotected.",
    "Set STOREKEEPER_URL to the https:// address that people type.",
    lambda: not settings.HTTPS,
)
_refuses(
    9,
    "STOREKEEPER_HOSTS lets any host name in.",
    "Name the hosts that people type.",
    lambda: any(host.strip() in ("*", "") for host in settings.ALLOWED_HOSTS),
)
_refuses(
    10, "DEBUG is on: pages would show the code and its secrets.", "Unset DEBUG.", lambda: settings.DEBUG
)


@register(Tags.security, deploy=True)
def collected_static_files(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    """Static files have been collected, so that browsers may keep them for ever."""
    if settings.STOREKEEPER_STATIC:
        return []
    hint = "Set STOREKEEPER_STATIC to a folder and run `manage.py collectstatic`."
    return [
        checks.Warning(
            "Static files are served from the installed packages, uncompressed.", hint=hint, id="portal.W011"
        )
    ]


@register(Tags.security, deploy=True)
def files_of_others(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    """Nobody else can change the code or what it keeps, or read the secrets."""
    open_to_change = [
        Error(
            f"{path} can be changed by every user of this machine.",
            hint=f"chmod o-w {path}",
            id="portal.E012",
        )
        for path in _watched()
        if _mode(path) & stat.S_IWOTH
    ]
    open_to_read = [
        checks.Warning(
            f"{path} can be read by every user of this machine.", hint=f"chmod o-r {path}", id="portal.W013"
        )
        for path in _secrets()
        if _mode(path) & stat.S_IROTH
    ]
    return [*open_to_change, *open_to_read]


def _watched() -> Iterator[Path]:
    yield from (settings.BASE_DIR, settings.VAR, settings.KEYS, *_secrets())
    for package in ("portal", "stores", "providers", "templates"):
        for folder, _, files in os.walk(settings.BASE_DIR / package):
            yield Path(folder)
            yield from (Path(folder) / file for file in files if file.endswith((".py", ".html")))


def _secrets() -> list[Path]:
    """Every file that a secret is read from."""
    named = [Path(value) for name, value in os.environ.items() if name.endswith("_FILE") and _is_ours(name)]
    return [*named, settings.SECRET_KEY_FILE, settings.STOREKEEPER_KEYS_FILE]


def _is_ours(name: str) -> bool:
    return name.startswith("STOREKEEPER_") or name in (
        "SECRET_KEY_FILE",
        "DATABASE_URL_FILE",
        "REDIS_URL_FILE",
    )


def _mode(path: Path) -> int:
    """The permissions; none for what is not there."""
    try:
        return path.stat().st_mode
    except OSError:
        return 0
