"""Files for what the database did not take: a folder beside it, one JSON object a line.

`NAME.jsonl` waits for the database, and is read when it takes rows again, at the latest by the next
start. What `NAME.aside.jsonl` and `NAME.damaged.jsonl` hold is for a person to look at; nothing
reads them.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

import orjson
from sqlalchemy.engine import make_url

from gateway.storage.texts import as_json

Line: TypeAlias = Mapping[str, Any]

#: The folder of a database that is no file.
DEFAULT_FOLDER: Final = "gateway-spool"


def spool_folder(url: str, given: Path | None = None) -> Path:
    """Where a database's files are: where the operator says, else beside an SQLite file, else in
    the working directory."""
    parsed = make_url(url)
    if given is not None:
        return given
    if parsed.get_backend_name() == "sqlite" and parsed.database not in (None, "", ":memory:"):
        return Path(f"{parsed.database}.spool")
    return Path(DEFAULT_FOLDER)


class Spool:
    """The files of one table. All of it blocks, and raises OSError."""

    def __init__(self, folder: Path, name: str) -> None:
        self.file = folder / f"{name}.jsonl"
        self._aside = folder / f"{name}.aside.jsonl"
        self._damaged = folder / f"{name}.damaged.jsonl"
        #: whether lines wait for the database
        self.holds = self.file.exists()

    def add(self, lines: Iterable[Line]) -> None:
        """Put lines by, safely on the disk when it returns."""
        _append(self.file, lines)
        self.holds = True

    def read(self) -> tuple[list[Line], list[str]]:
        """What was put by, oldest first, and the lines that are none: a full disk cuts the last."""
        lines: list[Line] = []
        damaged = []
        for raw in self.file.read_bytes().splitlines():
            try:
                line = orjson.loads(raw)
            except orjson.JSONDecodeError:
                line = None
            if isinstance(line, dict):
                lines.append(line)
            else:
                damaged.append(raw.decode(errors="replace"))
        return lines, damaged

    def done(self) -> None:
        """The database has them."""
        self.file.unlink(missing_ok=True)
        self.holds = False

    def set_aside(self, line: Line, error: str) -> Path:
        """Keep a row that the database does not take; the file that it is in now."""
        _append(self._aside, [{"error": error, **line}])
        return self._aside

    def keep_damaged(self, texts: Iterable[str]) -> Path:
        """Keep what cannot be read; the file that it is in now."""
        _append(self._damaged, [{"text": text} for text in texts])
        return self._damaged


def _append(file: Path, lines: Iterable[Line]) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    data = "".join(as_json(line) + "\n" for line in lines).encode()
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "ab") as stream:
        size = os.fstat(descriptor).st_size
        try:
            stream.write(data)
            stream.flush()
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, size)  # all of it or nothing
            raise
