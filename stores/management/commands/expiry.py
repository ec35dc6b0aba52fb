"""`manage.py expiry`: runs the scan now, or says what would be told until an instant, without telling it (DESIGN section 10)."""

from __future__ import annotations

import datetime as dt
import heapq
import itertools
import json
import tempfile
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import IO, Any, NoReturn

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from portal import runs
from portal.models import Team
from portal.names import fold
from portal.templatetags.portal_tags import visible
from stores.forecast import Told, foretell, watched_of
from stores.tasks import find_expiring

_WRONG_USAGE = 2
_SORTED_AT_ONCE = 50_000
"""Lines; more are sorted in temporary files, so that the memory does not grow with what is kept."""
_COLUMNS = (
    ("at", 20),
    ("stage", 8),
    ("fails_at", 20),
    ("team", 16),
    ("store", 20),
    ("certificate", 28),
    ("channel", 8),
)


class Command(BaseCommand):
    """Prints one line for each thing that would be told to each recipient; exit status 0, or 2 for wrong usage."""

    help = "Runs the expiry scan now; with --dry-run says what would be told, to whom and when, and changes nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--at", metavar="DATE", help="until when: 2027-02-01 (its first instant, UTC) or 2027-02-01T08:00+01:00; now if left out"
        )  # fmt: skip
        parser.add_argument("--dry-run", action="store_true", help="only say what would be told")
        parser.add_argument("--json", action="store_true", help="one JSON object per line")
        parser.add_argument("--team", metavar="NAME", help="only this team")

    def handle(self, *args: object, **options: Any) -> None:
        now = timezone.now()
        if options["dry_run"]:
            self._foretell(now, _instant(options["at"], now), options)
        elif options["at"]:
            _refuse("The future can only be asked: add --dry-run to --at.")
        elif options["team"]:
            _refuse("The scan looks at all teams at once: --team goes with --dry-run.")
        else:
            self._scan(as_json=options["json"])

    def _scan(self, *, as_json: bool) -> None:
        find_expiring()
        run = runs.last_watch()
        facts = run.facts if run else {}
        if as_json:
            self.stdout.write(json.dumps(facts))
            return
        self.stdout.write(
            "Versions judged: {versions:,}. Flags written: {flags:,}. Notices queued: {notices:,}. "
            "Versions that could not be judged: {failed:,}.".format(**facts)
        )

    def _foretell(self, now: dt.datetime, until: dt.datetime, options: dict[str, Any]) -> None:
        team = _team(options["team"]) if options["team"] else None
        lines = _sorted(json.dumps(as_json(told)) for told in foretell(watched_of(team), now, until))
        if not options["json"]:
            lines = _table(lines, f"Nothing would be told until {_minute(until)}.")
        for line in lines:
            self.stdout.write(line)


def as_json(told: Told) -> dict[str, str]:
    """What is said of one thing that would be told to one recipient; nobody has an empty address."""
    certificate, recipient = told.certificate, told.recipient
    return {
        "at": told.at.isoformat(),
        "stage": told.stage.value,
        "team": certificate.team.name,
        "store": certificate.store.name,
        "certificate": certificate.name,
        "fails_at": told.ending.not_after.isoformat(),
        "because": told.ending.common_name,
        "recipient": recipient.address if recipient else "",
        "channel": recipient.channel.value if recipient else "portal",
    }


def _instant(text: str | None, now: dt.datetime) -> dt.datetime:
    if text is None:
        return now
    try:
        day = parse_date(text)
        instant = dt.datetime.combine(day, dt.time(), dt.UTC) if day else parse_datetime(text)
    except ValueError:
        instant = None
    if instant is None:
        _refuse(f"--at {text!r} is no date. One is 2027-02-01, or with a time 2027-02-01T08:00+01:00.")
    instant = instant if instant.tzinfo else instant.replace(tzinfo=dt.UTC)
    if instant < now:
        _refuse(f"--at {text} is over. What was told is in the portal's notices; ask for an instant to come.")
    return instant.astimezone(dt.UTC)


def _team(name: str) -> Team:
    team = Team.objects.filter(folded_name=fold(name.strip())).first()
    return team or _refuse(f"There is no team {name!r}.")


def _refuse(sentence: str) -> NoReturn:
    raise CommandError(sentence, returncode=_WRONG_USAGE)


def _sorted(lines: Iterable[str]) -> Iterator[str]:
    """The lines in order, and so by their instant, with which each begins."""
    lines = iter(lines)
    with ExitStack() as files:
        spooled: list[IO[str]] = []
        while chunk := sorted(itertools.islice(lines, _SORTED_AT_ONCE)):
            if len(chunk) < _SORTED_AT_ONCE and not spooled:
                yield from chunk
                return
            file = files.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8"))
            file.writelines(f"{line}\n" for line in chunk)
            file.seek(0)
            spooled.append(file)
        yield from (line.rstrip("\n") for line in heapq.merge(*spooled))


def _table(lines: Iterable[str], nothing: str) -> Iterator[str]:
    """The lines for people to read, below a heading; a sentence where there is none."""
    rows = map(_readable, map(json.loads, lines))
    first = next(rows, None)
    if first is None:
        yield nothing
        return
    yield _row({name: name.replace("_", " ") for name, _ in _COLUMNS}, "recipient, because")
    yield first
    yield from rows


def _readable(told: dict[str, str]) -> str:
    shown = told | {name: _minute(dt.datetime.fromisoformat(told[name])) for name in ("at", "fails_at")}
    return visible(_row(shown, f"{told['recipient'] or '(nobody)'}, {told['because']}"))


def _row(cells: dict[str, str], rest: str) -> str:
    return "  ".join([*(f"{cells[name]:<{width}}" for name, width in _COLUMNS), rest])


def _minute(instant: dt.datetime) -> str:
    return f"{instant.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"
