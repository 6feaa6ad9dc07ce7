"""Passes on what the relay writes to its standard error output: its lines become the log's."""

import asyncio
import json
import logging
import re
from typing import Any, Final

import structlog

from sip.media.log_ids import log_ids

log = structlog.get_logger(__name__)

_LEVELS: Final = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_FIELD: Final = re.compile(r'([a-z][a-z_-]*)=("(?:[^"\\]|\\.)*"|[^\s"]*)(?: |$)')
_EVENT: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


async def pass_on(stream: asyncio.StreamReader) -> str:
    """Logs the relay's lines at their level until it ends; returns the last."""
    last = ""
    while True:
        try:
            raw = await stream.readline()
        except ValueError:  # longer than the stream's limit, and skipped
            continue
        if not raw:
            return last
        last = _log(raw.decode("utf-8", "replace").strip())


def _log(line: str) -> str:
    """Logs one line; returns it without its level."""
    fields = _fields(line)
    level, event = _LEVELS.get(fields.pop("level", "")), fields.pop("event", "")
    if level is None or not _EVENT.fullmatch(event):
        log.error("relay.says", line=line)
        return line
    ids = log_ids(fields.pop("call_id")) if "call_id" in fields else {}
    slug = f"relay.{event}"
    log.log(level, slug, **ids, **fields)
    return line.partition(" ")[2]


def _fields(line: str) -> dict[str, Any]:
    """`key=value` and `key="value"`; nothing of a line that has anything else."""
    found: dict[str, Any] = {}
    at = 0
    for match in _FIELD.finditer(line):
        if match.start() != at:
            return {}
        at = match.end()
        key, value = match.groups()
        try:
            found[key] = json.loads(value) if value.startswith('"') else value
        except ValueError:
            return {}
    return found if at == len(line) else {}
