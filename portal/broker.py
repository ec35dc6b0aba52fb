"""Celery's file-system broker, with messages that appear and are taken whole, inside its own folder."""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.transport import filesystem
from kombu.utils.json import dumps, loads


class Channel(filesystem.Channel):
    """Writes a message under a name that nobody looks for, then renames it; takes one by renaming it.

    Kombu writes into the final file, where a reader can find half a message and fail on it, and takes messages by way of the system's
    temporary folder.
    """

    def _put(self, queue: str, payload: Any, **kwargs: Any) -> None:
        message = Path(self.data_folder_out) / f"{time.time_ns()}_{uuid.uuid4()}.{queue}.msg"
        draft = message.with_suffix(".draft")
        draft.write_text(dumps(payload), "utf-8")
        draft.rename(message)

    def _get(self, queue: str) -> Any:
        folder = Path(self.data_folder_in)
        for message in sorted(folder.iterdir()):
            if message.name.partition(".")[2] != f"{queue}.msg":
                continue
            taken = message.with_suffix(".taken")
            try:
                message.rename(taken)
            except FileNotFoundError:  # another worker was faster
                continue
            content = taken.read_text("utf-8")
            taken.unlink()
            return loads(content)
        raise Empty


class Transport(filesystem.Transport):
    """The transport that the settings name. It waits in short turns, so that a worker hears early that it has to stop."""

    Channel = Channel
    polling_interval = 0.2
    turn = 0.4
    """Seconds; Celery would wait for two, and looks in between only whether to stop."""

    def drain_events(self, connection: Any, timeout: float | None = None) -> None:
        super().drain_events(connection, timeout=min(timeout or self.turn, self.turn))
