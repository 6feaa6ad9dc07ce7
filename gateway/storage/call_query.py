"""Which calls on record are asked for."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Dialect, and_, func, or_

from gateway.storage.tables import calls


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which records to list, newest first. `before` is the cursor: the last call_id seen. Calls
    that are part of another one are listed with `parts`, or where they are asked for. `number` is
    one of either side, or how one begins and a `*`; `carrier` is a trunk that any leg went by."""

    limit: int = 50
    before: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    parts: bool = False
    number: str | None = None
    carrier: str | None = None
    equal: Mapping[str, str | int] = field(default_factory=dict)

    def where(self, dialect: Dialect) -> ColumnElement[bool]:
        """The same for a database."""
        found = [calls.c[name] == value for name, value in self.equal.items()]
        if not self.parts and "part_of" not in self.equal:
            found.append(calls.c.part_of.is_(None))
        if self.before is not None:
            found.append(calls.c.call_id < self.before)
        if self.since_ms is not None:
            found.append(calls.c.started_ms >= self.since_ms)
        if self.until_ms is not None:
            found.append(calls.c.started_ms < self.until_ms)
        if self.number is not None:
            sides = (calls.c.from_number, calls.c.to_number)
            found.append(or_(*(_is(side, self.number) for side in sides)))
        if self.carrier is not None:
            found.append(_went_by(self.carrier, dialect))
        return and_(True, *found)


def _is(column: Any, number: str) -> ColumnElement[bool]:
    if number.endswith("*"):
        beginning: ColumnElement[bool] = column.startswith(number[:-1], autoescape=True)
        return beginning
    same: ColumnElement[bool] = column == number
    return same


def _went_by(trunk: str, dialect: Dialect) -> ColumnElement[bool]:
    # not LIKE, which takes A for a in SQLite
    find = func.instr if dialect.name == "sqlite" else func.strpos
    # a leg that was dialled as `texts.as_json` writes it, in either of its two ways
    written = (
        f'"trunk":{json.dumps(trunk, ensure_ascii=False)}',
        f'"trunk": {json.dumps(trunk)}',
    )
    dialled = (find(calls.c.attempts, text) > 0 for text in written)
    return or_(calls.c.trunk == trunk, *dialled)
