"""Structured logs: one event a line, JSON for machines, colours on a terminal.

Ours come through structlog, other libraries' through the standard logging module; both end in
the same format. Secrets are masked by the name of their key, whatever their type. A line of a call
has its `call_id`, whichever of its other ids it was written with. No line costs whoever writes it
more than making it: what goes wrong on its way is not theirs.
"""

import json
import logging
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache, partial
from time import time_ns
from typing import Any, Final, Literal, Protocol

import orjson
import structlog
from pydantic import SecretStr
from structlog.typing import EventDict, Processor, WrappedLogger

from gateway.iso import to_the_second
from gateway.log_calls import ID_KEYS, CallIds, Watch
from gateway.log_queue import LogQueue
from gateway.visible import visible

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
    second, rest_ns = divmod(time_ns(), 1_000_000_000)
    event["timestamp"] = f"{to_the_second(second)}.{rest_ns // 1000:06}Z"
    return event


# structlog's own renderer makes an encoder for every line.
_encode = json.JSONEncoder(default=str).encode


def _render_json(_: WrappedLogger, __: str, event: EventDict) -> str:
    """One line, of ASCII whatever a peer wrote: nothing in it moves a terminal's cursor."""
    try:
        line = orjson.dumps(event, default=str)
    except TypeError:  # half characters, numbers beyond 64 bits, keys that are no texts
        return _encode(event)
    if line.isascii() and b"\x7f" not in line:
        return line.decode()
    return _encode(event).replace("\x7f", "\\u007f")


def _tame(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """The same for a terminal, which gets texts as they are."""
    for key, value in event.items():
        if isinstance(value, str) and not value.isprintable():
            event[key] = "\n".join(map(visible, value.split("\n")))
    return event


#: Without local variables, which may hold secrets.
_show_traceback = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)


def _tracebacks(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Write out an error, where there is one."""
    return _show_traceback(logger, method, event) if "exc_info" in event else event


_ids: Final = CallIds()
#: Says which other ids a call has: `name_call(call_id, call_sid, sip_call_id, …)`.
name_call: Final = _ids.name


def _add_call_id(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    if "call_id" not in event and (call_id := _ids.of(event)) is not None:
        event["call_id"] = call_id
    return event


#: Of the HTTP request that is served, for every line that comes of it.
request_id: Final[ContextVar[str]] = ContextVar("request_id", default="")


def _add_request_id(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    if own := request_id.get():
        event.setdefault("request_id", own)
    return event


class Out(Protocol):
    """Where lines go."""

    def write(self, line: str, /) -> object: ...

    def isatty(self) -> bool: ...


class _StandardError:
    """What `sys.stderr` is at the moment of writing: a program around us may put another stream in
    its place and close it."""

    def write(self, line: str) -> None:
        sys.stderr.write(line)
        sys.stderr.flush()

    def isatty(self) -> bool:
        return sys.stderr.isatty()


class _Lines:
    """The logger behind structlog's: every level is the same to it."""

    def __init__(self, write: Callable[[Any], object]) -> None:
        self.debug = self.info = self.warning = self.error = self.critical = self.log = write


class _Harmless:
    """A line that cannot be made, or written, is lost without harm to who wrote it."""

    def _proxy_to_logger(self, name: str, /, *event: Any, **keys: Any) -> Any:
        try:
            return super()._proxy_to_logger(name, *event, **keys)  # type: ignore[misc]
        except Exception as error:
            if isinstance(_present.out, LogQueue):
                _present.out.lose(f"{event}: {type(error).__name__}")


class _Handler(logging.Handler):
    """Where other libraries' lines join ours."""

    def __init__(self, write: Callable[[Any], object]) -> None:
        super().__init__()
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(Exception):
            self._write(self.format(record))


@dataclass(slots=True)
class _Present:
    """Where lines go now."""

    out: Out


_present: Final = _Present(_StandardError())


def configure(
    level: str = "info",
    style: Style = "auto",
    out: Out | None = None,
    *,
    watch: Iterable[str] = (),
) -> None:
    """Set up logging for the process. `auto` is console on a terminal, else JSON.

    `out` is a `LogQueue` where nobody may wait for a reader, else the standard error output. Of
    calls that `watch` has a number, trunk, agent or id of, every line is logged.
    """
    out = out or _StandardError()
    _present.out = out
    levels = logging.getLevelNamesMapping()
    number = levels[level.upper()]
    console = style == "console" or (style == "auto" and out.isatty())
    watched = Watch(watch)

    def only_wanted(_: WrappedLogger, method: str, event: EventDict) -> EventDict:
        if not watched.wants(event) and levels[method.upper()] < number:
            raise structlog.DropEvent
        return event

    shared: list[Processor] = [structlog.stdlib.add_log_level, _stamp, mask_secrets]
    last: list[Processor] = (
        [_tame, structlog.dev.ConsoleRenderer(colors=out.isatty())]
        if console
        else [
            _tracebacks,
            _render_json,
        ]
    )
    last.append(_end_line)
    filtering = structlog.make_filtering_bound_logger(logging.DEBUG if watched else number)
    structlog.configure(
        processors=[
            _add_call_id,
            _add_request_id,
            *([only_wanted] if watched else []),
            *shared,
            _Finish(last, _with_call_id if console else _with_call_id_json, out),
        ],
        wrapper_class=type("Logger", (_Harmless, filtering), {}),
        logger_factory=lambda *_: _Lines(out.write),
        cache_logger_on_first_use=False,  # the level may change, and a call writes two lines
    )
    handler = _Handler(out.write)
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
    if isinstance(out, LogQueue):
        out.told = _telling(last)


def reconfigure(level: str, style: Style, *, watch: Iterable[str] = ()) -> None:
    """The same while the program runs; lines go where they went."""
    configure(level, style, _present.out, watch=watch)


def dropped() -> int:
    """How many lines were dropped so far, because nobody took them or they could not be made."""
    return _present.out.dropped if isinstance(_present.out, LogQueue) else 0


class _Finish:
    """Makes the text of a line, at once; and where it has an id of a call that is not known yet, of
    an INVITE that has just come, its `call_id` when it is written."""

    def __init__(
        self, last: Sequence[Processor], complete: Callable[[str, str], str], out: Out
    ) -> None:
        self._last = last
        self._complete = complete
        self._waits = isinstance(out, LogQueue)

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> Any:
        ids = {}
        if self._waits and "call_id" not in event:
            ids = {key: event[key] for key in ID_KEYS if key in event}
        text = _rendered(self._last, logger, method, event)
        return ((partial(self._named, text, ids),), {}) if ids else text

    def _named(self, text: str, ids: Mapping[str, Any]) -> str:
        call_id = _ids.of(ids)
        return text if call_id is None else self._complete(text, call_id)


def _rendered(last: Sequence[Processor], logger: Any, method: str, event: EventDict) -> str:
    rendered: Any = event
    for processor in last:
        rendered = processor(logger, method, rendered)
    return str(rendered)


def _with_call_id_json(text: str, call_id: str) -> str:
    return f'{{"call_id":"{call_id}",{text[1:]}'


def _with_call_id(text: str, call_id: str) -> str:
    line, end, rest = text.partition("\n")
    return f"{line} call_id={call_id}{end}{rest}"


def _end_line(_: WrappedLogger, __: str, text: Any) -> Any:
    return f"{text}\n"


def _telling(last: Sequence[Processor]) -> Callable[[int, str], str]:
    """What makes the line about lost ones."""

    def told(count: int, why: str) -> str:
        event = {"event": "log.dropped", "lines": count, "reason": why, "fault": "operator"}
        return _rendered(last, None, "error", _stamp(None, "error", {**event, "level": "error"}))

    return told


def seconds(value: float | None) -> Any:
    """A duration for a log line: milliseconds are enough."""
    return None if value is None else round(value, 3)
