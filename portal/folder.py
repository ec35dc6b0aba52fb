"""Files in a local folder that are on the disk when they are said to be."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.core.files.storage import FileSystemStorage


class Folder(FileSystemStorage):
    """Writes through to the disk: a row that names a file may outlive a loss of power, so the file has to as well."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._on_disk: set[Path] = set()
        """Folders of which this process knows that they are on the disk themselves."""

    def _save(self, name: str, content: Any) -> str:
        saved: str = super()._save(name, content)  # type: ignore[misc]
        path = Path(self.path(saved))
        _write_through(path)
        _write_through(path.parent)
        if path.parent not in self._on_disk:
            _write_through(path.parent.parent)
            self._on_disk.add(path.parent)
        return saved


def _write_through(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
