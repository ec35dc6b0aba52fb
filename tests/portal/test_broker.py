"""The file-system broker hands every message to one taker, whole."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Empty

import pytest
from kombu import Connection

from portal.broker import Channel, Transport

QUEUE = "celery"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "queue").mkdir()
    (tmp_path / "control").mkdir()
    return tmp_path


@pytest.fixture
def channel(folder: Path) -> Iterator[Channel]:
    with connect(folder) as connection:
        yield connection.default_channel


def connect(folder: Path) -> Connection:
    queue = str(folder / "queue")
    options = {"data_folder_in": queue, "data_folder_out": queue, "control_folder": str(folder / "control")}
    return Connection("filesystem://localhost", transport=Transport, transport_options=options)


def test_messages_come_in_order_and_leave_nothing_behind(channel: Channel, folder: Path) -> None:
    for number in range(3):
        channel._put(QUEUE, {"number": number, "text": "größer"})
    channel._put("other", {"number": 99})
    assert [channel._get(QUEUE)["number"] for _ in range(3)] == [0, 1, 2]
    with pytest.raises(Empty):
        channel._get(QUEUE)
    assert [file.name.split(".", 1)[1] for file in (folder / "queue").iterdir()] == ["other.msg"]


def test_a_message_in_the_making_is_not_seen(channel: Channel, folder: Path) -> None:
    (folder / "queue" / "1_a.celery.draft").write_text('{"half')
    with pytest.raises(Empty):
        channel._get(QUEUE)


def test_many_takers_share_messages_and_none_gets_half_of_one(folder: Path) -> None:
    body = {"text": "x" * 20_000}

    def write(number: int) -> None:
        with connect(folder) as connection:
            connection.default_channel._put(QUEUE, {**body, "number": number})

    def take(_: int) -> list[int]:
        found: list[int] = []
        with connect(folder) as connection:
            while len(found) < 200:
                try:
                    found.append(connection.default_channel._get(QUEUE)["number"])
                except Empty:
                    if done:
                        return found
        return found

    done: list[bool] = []
    with ThreadPoolExecutor(12) as pool:
        takers = [pool.submit(take, number) for number in range(4)]
        list(pool.map(write, range(200)))
        done.append(True)
        taken = [number for taker in takers for number in taker.result()]
    assert sorted(taken) == list(range(200))


def test_a_worker_that_waits_looks_up_twice_a_second(folder: Path) -> None:
    begun = time.monotonic()
    with connect(folder) as connection, pytest.raises(TimeoutError):
        connection.drain_events(timeout=60)
    assert time.monotonic() - begun < 2
