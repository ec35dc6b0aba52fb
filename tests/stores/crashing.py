"""Kills a child process at any instant of its work: around and within each file, before each statement, around each commit."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from unittest import mock

from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db import connection, connections

MOST = 500


class _Countdown:
    """Ends this process at its n-th instant."""

    def __init__(self, left: int) -> None:
        self.left = left

    def __call__(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def before_each(self, execute: Callable[..., Any], *rest: Any) -> Any:
        self()
        return execute(*rest)

    def around(self, target: object, name: str) -> Any:
        """A patch with an instant before and one after each call."""
        plain = getattr(target, name)

        def call(*given: Any, **named: Any) -> Any:
            self()
            result = plain(*given, **named)
            self()
            return result

        return mock.patch.object(target, name, call)

    def in_the_middle(self) -> Any:
        """A patch with an instant between two halves of each file."""

        def chunks(file: ContentFile[bytes], chunk_size: int | None = None) -> Iterator[bytes]:
            content = file.read()
            yield content[: len(content) // 2]
            self()
            yield content[len(content) // 2 :]

        return mock.patch.object(ContentFile, "chunks", chunks)


def survives(work: Callable[[], object], instant: int) -> bool:
    """Does the work in a child that is killed at this instant, counted from one; whether the work was done before it came.

    AssertionError when the child ends in any other way.
    """
    connections.close_all()  # a child must not share them
    child = os.fork()
    if child == 0:
        _work_until(work, instant)
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    assert killed or os.waitstatus_to_exitcode(status) == 0, f"ended with {status}"
    return not killed


def _work_until(work: Callable[[], object], instant: int) -> None:
    failed = 1
    try:
        # A browser's event loop in the parent has Django keep two sets of connections, and only one of them was closed.
        inherited = connections.all(initialized_only=True)
        for one in inherited:
            del connections[one.alias]
        countdown = _Countdown(instant)
        with ExitStack() as patched:
            patched.enter_context(connection.execute_wrapper(countdown.before_each))
            patched.enter_context(countdown.around(connection, "commit"))
            patched.enter_context(countdown.around(storages["sealed"], "save"))
            patched.enter_context(countdown.around(storages["sealed"], "delete"))
            patched.enter_context(countdown.in_the_middle())
            work()
        failed = 0
    finally:
        os._exit(failed)


def at_every_instant(work: Callable[[int], object], check: Callable[[int], None]) -> int:
    """Begins the work anew for each instant, kills it then, and checks what it has left; how many instants there were."""
    for instant in range(1, MOST):
        done = survives(lambda instant=instant: work(instant), instant)  # type: ignore[misc]
        check(instant)
        if done:
            return instant - 1
    raise AssertionError("instants without end")
