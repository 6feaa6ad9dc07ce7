"""Passes on what the relay writes to its standard error output: its lines become the log's."""

import asyncio
import json
import logging
from typing import Any, Final

import structlog

log = structlog.get_logger(__name__)

_LEVELS: Final = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


async def pass_on(stream: asyncio.StreamReader) -> str:
    """Logs the relay's lines at their level, with their keys; returns what the last one says."""
    last = ""
    while True:
        try:
            raw = await stream.readline()
        except ValueError:  # longer than the stream's limit, and skipped
            continue
        if not raw:
            return last
        line = _read(raw.decode("utf-8", "replace").strip())
        level = _LEVELS.get(str(line.pop("level", "")), logging.ERROR)
        event = line.pop("event")
        log.log(level, event, **line)
        last = " ".join(str(value) for value in line.values())


def _read(text: str) -> dict[str, Any]:
    """The event and keys of a line; one that is not of the relay's log is a fact itself."""
    try:
        line = json.loads(text)
    except ValueError:
        line = None
    if isinstance(line, dict) and isinstance(line.get("event"), str):
        return line
    return {"event": "relay.says", "line": text}
