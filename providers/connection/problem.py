"""What ends a connection test, and the record of the steps until then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from providers.connection.report import CODES, Side, Step


class Problem(Exception):
    """The diagnosis of a connection that does not work: `code` of `CODES`, one or two sentences, whose side it is on."""

    def __init__(self, code: str, message: str, side: Side) -> None:
        if code not in CODES:
            raise ValueError(f"unknown code {code}")
        super().__init__(message)
        self.code = code
        self.message = message
        self.side = side


class Note:
    """What is to be said of a step under way."""

    def __init__(self) -> None:
        self.detail = ""


class Steps:
    """The steps done so far; each is handed to `on_step` when it ends."""

    def __init__(self, on_step: Callable[[Step], None] | None) -> None:
        self.done: list[Step] = []
        self._on_step = on_step

    @contextmanager
    def step(self, name: str) -> Iterator[Note]:
        """Around one step; a Problem fails it and goes on."""
        note, begin = Note(), time.monotonic()
        try:
            yield note
        except Problem as problem:
            self._add(Step(name, False, _since(begin), problem.message))
            raise
        self._add(Step(name, True, _since(begin), note.detail))

    def _add(self, step: Step) -> None:
        self.done.append(step)
        if self._on_step:
            self._on_step(step)


def _since(begin: float) -> float:
    return round(time.monotonic() - begin, 4)
