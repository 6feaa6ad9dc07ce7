"""What the API answered to requests that had a key, so that they are done once: for an hour."""

from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Dialect, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.storage.database import upsert
from gateway.storage.errors import as_storage_error
from gateway.storage.spool import Line, Spool
from gateway.storage.tables import answers
from gateway.storage.write_behind import WriteBehind

#: How long an answer is given again, in milliseconds.
KEPT_MS: Final = 3_600_000
#: Rows kept in memory while the database refuses; older ones go to a file.
MAX_WAITING: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer. `name` is made of token and key, `asked` of the request; `at_ms` is milliseconds
    since 1970."""

    name: str
    asked: str
    status: int
    content_type: str
    body: bytes
    at_ms: int


class _Rows:
    """Answers by name. What is too old goes whenever something is stored."""

    def __init__(self, dialect: Dialect, now_ms: Callable[[], int]) -> None:
        self._upsert = upsert(dialect, answers)
        self._now_ms = now_ms

    async def write(self, connection: AsyncConnection, batch: Mapping[str, Answer]) -> None:
        if batch:
            too_old = answers.c.at_ms < self._now_ms() - KEPT_MS
            await connection.execute(delete(answers).where(too_old))
            await connection.execute(self._upsert, [asdict(answer) for answer in batch.values()])

    def line(self, key: str, value: Answer) -> Line:
        """As a file of what the database did not take has it."""
        return asdict(value) | {"body": b64encode(value.body).decode()}

    def of_line(self, line: Line) -> tuple[str, Answer]:
        """What `line` wrote. Raises KeyError, TypeError or ValueError for anything else."""
        fields: dict[str, Any] = {**line, "body": b64decode(line["body"], validate=True)}
        answer = Answer(**fields)
        return answer.name, answer


class AnswerStore:
    """The table of answers. Open with `open_answers`; `save` returns at once."""

    def __init__(self, engine: AsyncEngine, spool: Spool, now: Callable[[], float]) -> None:
        self._engine = engine
        self._now = now
        rows = _Rows(engine.dialect, self.now_ms)
        self.writer = WriteBehind(engine, rows, "answers", spool, most=MAX_WAITING)

    def now_ms(self) -> int:
        """Milliseconds since 1970."""
        return round(self._now() * 1000)

    def save(self, answer: Answer) -> None:
        """Keep an answer."""
        self.writer.note(answer.name, answer)

    async def get(self, name: str) -> Answer | None:
        """That of the last hour; None where there is none. Raises StorageError."""
        since = self.now_ms() - KEPT_MS
        answer = self.writer.get(name)
        if answer is None:
            statement = select(answers).where(answers.c.name == name)
            with as_storage_error():
                async with self._engine.connect() as connection:
                    row = (await connection.execute(statement)).mappings().first()
            answer = None if row is None else Answer(**row)
        return answer if answer is not None and answer.at_ms >= since else None


@asynccontextmanager
async def open_answers(
    engine: AsyncEngine, spool_folder: Path, now: Callable[[], float]
) -> AsyncIterator[AnswerStore]:
    """The store, its writer running; on exit all that was saved is stored. `now` is seconds since
    1970. Raises StorageError."""
    store = AnswerStore(engine, Spool(spool_folder, "answers"), now)
    async with store.writer.running():
        yield store
