"""`manage.py probe`: connection tests from a shell, as JSON (DESIGN section 13)."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from portal.outbound import Policy
from providers import addresses
from providers.connection import Report, Target, probe
from providers.connection.material import MaterialError, client_material, trust_entries

_WRONG_USAGE = 2
_AT_ONCE = 20
_TYPES: dict[str, type] = {
    "host": str, "port": int, "server_name": str, "tls": bool, "client": str, "client_password": str, "trust": str,
    "path": str, "pins": list,
}  # fmt: skip
_DEFAULT_PORTS = {True: 443, False: 80}
_PORTS = range(1, 65_536)


class Command(BaseCommand):
    """Prints one JSON object for HOST, or one line for each line of a manifest; exit status 0, 1 or 2."""

    help = "Tries connections as the portal does, and prints what is found as JSON."
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's own interface
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "host", nargs="?", metavar="HOST[:PORT]", help="the server; an IPv6 address in brackets"
        )
        parser.add_argument("--server-name", metavar="NAME", help="the name to ask for and to check")
        parser.add_argument("--plain", action="store_true", help="without TLS")
        parser.add_argument("--client", metavar="FILE", help="our certificate and key: PEM, PKCS#12, JKS")
        parser.add_argument("--client-password-file", type=Path, metavar="P", help="first line: its password")
        parser.add_argument(
            "--trust", metavar="FILE", help="trust only these; else the system's public roots"
        )
        parser.add_argument("--path", metavar="PATH", help="the HTTP path to ask for")
        parser.add_argument(
            "--pin", action="append", metavar="PIN", help="a pinned key; may be given several times"
        )
        parser.add_argument(
            "--manifest", type=Path, metavar="M", help="JSON lines that name hosts, files relative to M"
        )

    def handle(self, *args: object, **options: Any) -> None:
        if options["manifest"]:
            lines, folder = list(_lines(options)), options["manifest"].parent
        else:
            lines, folder = [_line_of(options)], Path()
        policy = Policy.from_settings()
        all_fine = True
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            for report in threads.map(lambda line: _report(line, folder, policy), lines):
                all_fine &= report.ok
                self.stdout.write(json.dumps(report.as_json()))
                self.stdout.flush()
        sys.exit(0 if all_fine else 1)


def _lines(options: dict[str, Any]) -> Iterator[object]:
    """What the lines of a manifest hold; None for a line that is no JSON."""
    given = ("host", "server_name", "plain", "client", "client_password_file", "trust", "path", "pin")
    if any(options[name] for name in given):
        raise CommandError(
            "A --manifest names hosts and options itself; give nothing else.", returncode=_WRONG_USAGE
        )
    try:
        lines = options["manifest"].read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(
            f"{options['manifest']} cannot be read: {error}.", returncode=_WRONG_USAGE
        ) from None
    return (_parsed(line) for line in lines if line.strip())


def _parsed(line: str) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _line_of(options: dict[str, Any]) -> dict[str, object]:
    """The options as a line of a manifest."""
    if options["host"] is None:
        raise CommandError("Name a HOST, with its port or without, or a --manifest.", returncode=_WRONG_USAGE)
    host, port = _host_and_port(options["host"])
    line = {name: options[name] for name in ("server_name", "client", "trust", "path")}
    line |= {"host": host, "port": port, "tls": not options["plain"], "pins": options["pin"]}
    if file := options["client_password_file"]:
        try:
            line["client_password"] = file.read_text(encoding="utf-8").partition("\n")[0].removesuffix("\r")
        except (OSError, UnicodeDecodeError):
            raise CommandError(f"{file} cannot be read as UTF-8.", returncode=_WRONG_USAGE) from None
    return line


def _host_and_port(text: str) -> tuple[str, int | None]:
    """HOST, HOST:PORT, [IPv6], [IPv6]:PORT, and an IPv6 address alone."""
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]") or addresses.is_ip_address(text):
        return text, None
    if not (port.isascii() and port.isdigit() and len(port) < 6):
        raise CommandError(f"{text!r} has no port after its colon.", returncode=_WRONG_USAGE)
    return host, int(port)


def _report(line: object, folder: Path, policy: Policy) -> Report:
    """The answer to one line, also to one that makes no sense."""
    try:
        target = _target(line, folder)
    except MaterialError as error:
        return Report(ok=False, code=error.code, message=error.sentence, side="ours")
    return probe(target, policy, now=timezone.now())


def _target(line: object, folder: Path) -> Target:
    """The target that a line describes. Raises MaterialError."""
    values = _checked(line)
    tls = values.get("tls", True)
    client, trust = values.get("client"), values.get("trust")
    try:
        return Target(
            host=_host(values["host"]),
            port=values.get("port", _DEFAULT_PORTS[tls]),
            tls=tls,
            server_name=addresses.host(values["server_name"]) if values.get("server_name") else "",
            client=client_material(folder / client, values.get("client_password")) if client else None,
            trust=trust_entries(folder / trust) if trust else None,
            path=values.get("path"),
            pins=tuple(addresses.pins(values.get("pins", ()))),
        )
    except ValueError as error:
        raise MaterialError("bad_line", str(error)) from None


def _host(text: str) -> str:
    try:
        return addresses.host(text)
    except ValueError as error:
        raise MaterialError("dns_failure", str(error)) from None


def _checked(line: object) -> dict[str, Any]:
    """The values of a line, null ones left out. Raises MaterialError bad_line."""
    if not isinstance(line, dict) or not isinstance(line.get("host"), str):
        raise MaterialError("bad_line", 'The line is no JSON object with a "host".')
    values = {name: line[name] for name in _TYPES if line.get(name) is not None}
    for name, value in values.items():
        if type(value) is not _TYPES[name] or (
            isinstance(value, list) and not all(isinstance(one, str) for one in value)
        ):
            raise MaterialError("bad_line", f"The value of {name!r} is of the wrong type.")
    if values.get("port", 1) not in _PORTS:
        raise MaterialError("bad_line", "A port is a number from 1 to 65535.")
    return values
