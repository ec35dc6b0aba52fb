"""Strict readers of the environment: a value is understood, or refused at start with one sentence that names it.

Every reader takes the value of `NAME`; `secret` also takes the content of the file that `NAME_FILE` names.
"""

from __future__ import annotations

import base64
import ipaddress
import os
import secrets
import sys
from collections.abc import Collection
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

from portal.outbound import OutboundError
from portal.posting import Url

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
YES, NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
DATABASE_SCHEMES = ("postgresql://", "postgres://", "sqlite://")


def settings_or_exit() -> ModuleType:
    """The settings; ends the process with their one sentence when they make no sense."""
    try:
        from portal import settings
    except ImproperlyConfigured as error:
        sys.exit(f"Storekeeper cannot start: {error}")
    return settings


def text(name: str, default: str = "") -> str:
    """The value without white space around it; an empty one counts as unset."""
    return os.environ.get(name, "").strip() or default


def choice(name: str, choices: Collection[str], default: str) -> str:
    """One word out of several."""
    value = text(name, default)
    if value not in choices:
        raise ImproperlyConfigured(f"{name} is {value!r}: it has to be one of {', '.join(sorted(choices))}.")
    return value


def flag(name: str, default: bool = False) -> bool:
    """Yes or no."""
    value = text(name).lower()
    if value and value not in YES + NO:
        raise ImproperlyConfigured(f"{name} is {value!r}: it has to be one of {', '.join(YES + NO)}.")
    return value in YES if value else default


def number(name: str, default: int, least: int, most: int) -> int:
    """A whole number within limits, both included."""
    value = text(name, str(default))
    if not (value.isascii() and value.isdigit() and len(value) < 20 and least <= int(value) <= most):
        raise ImproperlyConfigured(
            f"{name} is {value!r}: it has to be a whole number from {least} to {most}."
        )
    return int(value)


def words(name: str, default: Collection[str] = ()) -> list[str]:
    """Words separated by commas."""
    return [word.strip() for word in text(name).split(",") if word.strip()] or list(default)


def networks(name: str, default: Collection[str] = ()) -> list[Network]:
    """IP networks in CIDR notation, separated by commas."""
    found: list[Network] = []
    for word in words(name, default):
        try:
            found.append(ipaddress.ip_network(word))
        except ValueError:
            example = "as 10.1.0.0/16, with no bit set behind the prefix"
            raise ImproperlyConfigured(f"{name} holds {word!r}: networks are written {example}.") from None
    return found


def folder(name: str, default: Path) -> Path:
    """An absolute folder; a relative one is meant from where the process starts."""
    return Path(text(name, str(default))).expanduser().absolute()


def address(name: str, default: str) -> str:
    """An http or https address without a path, as people type it in their browser."""
    value = text(name, default).rstrip("/")
    if not _is_plain_address(value):
        raise ImproperlyConfigured(
            f"{name} is {value!r}: it has to look like https://storekeeper.example.org."
        )
    return value


def _is_plain_address(value: str) -> bool:
    try:
        parts = urlsplit(value)
        return (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.port != 0
            and not (parts.path or parts.query or parts.fragment or parts.username)
        )
    except ValueError:
        return False


def secret(name: str, default: str = "") -> str:
    """A secret from `NAME` or from the file that `NAME_FILE` names, never from both; no error shows its value."""
    file = text(f"{name}_FILE")
    if not file:
        return text(name, default)
    if text(name):
        raise ImproperlyConfigured(f"{name} and {name}_FILE are both set: keep one of them.")
    try:
        content = Path(file).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ImproperlyConfigured(f"{name}_FILE names {file}, which cannot be read: {reason}.") from None
    if not content:
        raise ImproperlyConfigured(f"{name}_FILE names {file}, which is empty.")
    return content


def secret_address(name: str) -> str:
    """An address with a path that only we may know, or empty."""
    value = secret(name)
    try:
        if value:
            Url.read(value)
    except OutboundError as error:
        raise ImproperlyConfigured(f"{name} cannot be used. {error.sentence}") from None
    return value


def kept_secret(name: str, file: Path) -> str:
    """A secret from the environment, else from `file` if `manage.py first_run` has made it, else empty."""
    given = secret(name)
    if given or not file.exists():
        return given
    try:
        return file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise ImproperlyConfigured(
            f"{file} cannot be read: it holds {name} and must belong to this user."
        ) from None


def make_secret(file: Path, content: str) -> None:
    """Writes a secret that only this user can read, unless there is one; two processes at once agree on one."""
    if file.exists():
        return
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
        out.write(content + "\n")
        out.flush()
        os.fsync(out.fileno())
    try:
        os.link(draft, file)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def new_key_ring() -> str:
    """A key ring (DESIGN section 9) with one fresh key of 256 bits."""
    return f"k{secrets.token_hex(3)}:{base64.b64encode(secrets.token_bytes(32)).decode()}"


def database(name: str, default: Path) -> dict[str, Any]:
    """Django's description of the database that an address names; without one, SQLite in the file `default`."""
    value = secret(name)
    if not value:
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": str(default)}
    try:
        found = environ.Env.db_url_config(value) if value.startswith(DATABASE_SCHEMES) else {}
    except ValueError:
        found = {}
    if not found.get("NAME"):
        raise ImproperlyConfigured(
            f"{name} names no database of a kind we know: it has to look like postgresql://user@host:5432/name."
        )
    return dict(found)


def redis(name: str) -> str:
    """The address of a Redis server; empty when there is none."""
    value = secret(name)
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("redis", "rediss", "unix") and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if value and not usable:
        raise ImproperlyConfigured(f"{name} is not usable: it has to look like redis://host:6379/0.")
    return value
