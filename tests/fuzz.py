"""Mutations of valid files through the sandbox: `python -m tests.fuzz [N] [--seed S]`, or `make fuzz N=100000`.

Wrong is: a reader that crashes, one that has to be stopped for its CPU time (10 s) or memory (256 MiB), a code outside
the table, a message that is empty, too long or not plain, a stack trace, and the password or a key in any text.
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any

from stores import sandbox, sandbox_server
from stores.formats import limits
from stores.formats.parsed import Inspection, Upload
from stores.inspection import as_json, examine
from tests.shared import HOSTILE

_BATCH = 200
Job = tuple[Iterable[int], int]
"""Numbers of mutations, and their seed."""
_ANY: dict[str, object] = {"codes": ["any"]}


@dataclass
class Report:
    """What came out: sentences for what is wrong, how often each code was answered, the longest time."""

    wrong: list[str] = field(default_factory=list)
    codes: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    """Seconds on the clock, the slowest file."""

    def add(self, other: Report) -> None:
        self.wrong += other.wrong
        self.codes += other.codes
        self.slowest = max(self.slowest, other.slowest)


def run(count: int, seed: int, workers: int) -> Report:
    """Mutations 0 to `count` of `seed`, spread over processes."""
    report = Report()
    batches = [(range(start, min(start + _BATCH, count)), seed) for start in range(0, count, _BATCH)]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for number, found in enumerate(pool.map(_batch, batches), 1):
            report.add(found)
            if sys.stderr.isatty():
                print(
                    f"\r{min(number * _BATCH, count):,} of {count:,}, {len(report.wrong)} wrong",
                    end="",
                    file=sys.stderr,
                )
    return report


def _batch(job: Job) -> Report:
    """All of a batch in one process under the limits that a single file has; only if that goes wrong each file in a sandbox of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
        try:
            return pool.submit(_within_limits, job).result()
        except Exception:  # noqa: BLE001 - whatever went wrong, it is seen again below, and with the file's number
            return _read(job, sandbox.run)


def _within_limits(job: Job) -> Report:
    sandbox_server.limit(sandbox_server.address_space() + limits.MEMORY_BYTES)
    return _read(job, lambda function, *args: function(*args))


def _read(job: Job, call: Callable[..., Inspection]) -> Report:
    """Reads the mutations, each by `call(examine, ...)`."""
    numbers, seed = job
    mutation, password, problems = _tools()
    report = Report()
    for number in numbers:
        name, store, content = mutation(number, seed)
        begin = time.perf_counter()
        try:
            answer = call(examine, Upload(name, content, store, password), dt.datetime.now(dt.UTC))
        except sandbox.SandboxError as error:
            report.wrong.append(f"mutation {number} of seed {seed} ({name}): {type(error).__name__}: {error}")
            continue
        report.slowest = max(report.slowest, time.perf_counter() - begin)
        report.codes[answer.code or "accepted"] += 1
        report.wrong += [
            f"mutation {number} of seed {seed} ({name}): {text}" for text in _wrong(problems, name, answer)
        ]
    return report


def _wrong(problems: Callable[..., list[str]], name: str, answer: Inspection) -> list[str]:
    found: list[str] = problems({"file": name, **_ANY}, as_json(answer, name))
    return found


def _tools() -> tuple[Any, str, Any]:
    """The generator's `mutation`, the password of its files, and the checker's `problems`."""
    if str(HOSTILE) not in sys.path:
        sys.path.insert(0, str(HOSTILE))
    make, check = importlib.import_module("make_hostile"), importlib.import_module("check_hostile")
    return make.mutation, make.PASSWORD, check.problems


def main() -> int:
    """Prints what was found; exit status 1 when anything is wrong."""
    parser = argparse.ArgumentParser(description="Reads mutations of valid files in the sandbox.")
    parser.add_argument("count", nargs="?", type=int, default=2_000, metavar="N")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    begin = time.perf_counter()
    report = run(given.count, given.seed, given.workers)
    print(*report.wrong, sep="\n", end="\n" if report.wrong else "")
    print(", ".join(f"{code} {count:,}" for code, count in report.codes.most_common()))
    seconds = time.perf_counter() - begin
    print(
        f"{given.count:,} mutations of seed {given.seed} in {seconds:.0f} s, slowest {report.slowest:.2f} s, {len(report.wrong)} wrong"
    )
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
