"""Structured logs: one event a line, JSON for machines, colours on a terminal.

Ours come through structlog, other libraries' through the standard logging module; both end in
the same format. Secrets are masked by the name of their key, whatever their type.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal, TextIO, cast

import orjson
import structlog
from pydantic import SecretStr
from structlog._config import BoundLoggerLazyProxy
from structlog.typing import EventDict, Processor, WrappedLogger

Style = Literal["auto", "json", "console"]

MASK = "**********"
_SECRET_WORDS = ("password", "secret", "token", "api_key", "authorization", "signature", "cookie")

#: What these log as information (requests, set-up of their own) is debugging to an operator.
_CHATTY = (
    *("aiohttp.access", "aiosqlite", "alembic", "asyncio"),
    *("httpcore", "httpx", "retell", "sqlalchemy"),
)


def mask_secrets(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Replace what a secret's key or type gives away."""
    for key, value in event.items():
        if isinstance(value, SecretStr) or _names_secret(key):
            event[key] = MASK
    return event


@lru_cache(maxsize=1024)  # keys are few and every line has a dozen
def _names_secret(key: str) -> bool:
    low = key.lower()
    return any(word in low for word in _SECRET_WORDS)


def _stamp(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Add the moment, in UTC."""
    event["timestamp"] = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return event


# structlog's own renderer makes an encoder for every line.
_encode = json.JSONEncoder(default=str).encode


def _render_json(_: WrappedLogger, __: str, event: EventDict) -> str:
    """One line, of ASCII whatever a peer wrote: nothing in it moves a terminal's cursor."""
    try:
        line = orjson.dumps(event, default=str)
    except TypeError:  # half characters, numbers beyond 64 bits, keys that are no texts
        return _encode(event)
    return line.decode() if line.isascii() else _encode(event)


#: Without local variables, which may hold secrets.
_show_traceback = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)


def _tracebacks(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Write out an error, where there is one."""
    return _show_traceback(logger, method, event) if "exc_info" in event else event


class _StandardError:
    """What `sys.stderr` is at the moment of writing: loggers are made once and kept, while a
    program around us may put another stream in its place and close it."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()

    def isatty(self) -> bool:
        return sys.stderr.isatty()


def configure(
    level: str = "info",
    style: Style = "auto",
    stream: TextIO | None = None,
) -> None:
    """Set up logging for the process. `auto` is console on a terminal, else JSON."""
    out = stream or cast(TextIO, _StandardError())
    number = logging.getLevelNamesMapping()[level.upper()]
    console = style == "console" or (style == "auto" and out.isatty())
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        _stamp,
        mask_secrets,
    ]
    last: list[Processor] = (
        [structlog.dev.ConsoleRenderer(colors=out.isatty())]
        if console
        else [
            _tracebacks,
            _render_json,
        ]
    )
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=stream is None,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))


def reconfigure(level: str, style: Style) -> None:
    """The same for a process that has logged already: every logger is made anew."""
    configure(level, style)
    for module in tuple(sys.modules.values()):
        logger = getattr(module, "log", None)
        if isinstance(logger, BoundLoggerLazyProxy):
            vars(logger).pop("bind", None)  # what it was first used as, kept for speed


def seconds(value: float | None) -> Any:
    """A duration for a log line: milliseconds are enough."""
    return None if value is None else round(value, 3)
