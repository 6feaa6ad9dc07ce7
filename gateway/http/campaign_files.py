"""A campaign as it is sent, CSV or JSON: which calls are wanted, and which lines are wrong."""

from collections.abc import Iterator
from typing import Any, Final, Literal

import orjson
from pydantic import Field, ValidationError

from config.settings import Settings
from gateway.http.problems import ProblemError
from gateway.http.rules.shapes import Shape, body_of, words_of
from gateway.http.rules.uploads import Received
from gateway.http.wishes import CallOptions, CallWish, sound_problem, wish_of
from gateway.outbound.campaign_csv import CsvError, Row, read_rows
from gateway.outbound.campaigns import MOST
from gateway.outbound.wish import Wish
from gateway.storage.wanted import Mode
from gateway.value import frozen

CSV: Final = "text/csv"
#: The code of a line that is no call, whatever the queue would say of it.
BAD_LINE: Final = "bad-line"


class CampaignQuery(Shape):
    """How a campaign is begun."""

    name: str = Field("", max_length=128, description="what people call it, up to 128 characters")
    check: bool = Field(False, description="true: only say what is wrong, and begin nothing")
    skip_bad: bool = Field(False, description="true: leave out the lines that are wrong")
    agent: str | None = Field(None, description="the agent, where a line of a CSV names none")
    from_: str | None = Field(
        None, alias="from", description="our number, where a line of a CSV names none"
    )
    mode: Mode | None = Field(
        None, description="callee_first, retell or twilio, where a line of a CSV says none of them"
    )
    callback: str | None = Field(None, description="the URL that hears of all its calls")
    window: str | None = Field(None, description="a name in schedules, where a line has none")
    on_machine: Literal["hangup", "message", "agent"] | None = Field(
        None, description="hangup, message or agent: machines are told from people"
    )
    message: str | None = Field(
        None,
        description=(
            "for on_machine=message: a file of media.sounds; with mode twilio, words that are said"
        ),
    )


class CampaignWish(Shape):
    """A campaign as JSON."""

    name: str = Field("", max_length=128, description="what people call it")
    defaults: CallOptions | None = Field(
        None, description="what holds for every call that does not say otherwise"
    )
    calls: list[dict[str, Any]] = Field(
        description=f"1 to {MOST} calls, each as POST /calls takes it"
    )


@frozen
class Bad:
    """A line that cannot be queued, `code` and `reason` saying why."""

    line: int
    code: str
    reason: str


@frozen
class Listed:
    """What a file asks for: calls by line, lines that are wrong, and who is to hear of them."""

    name: str
    calls: list[tuple[int, Wish]]
    errors: list[Bad]
    callbacks: set[str]


def read_campaign(file: Received, query: CampaignQuery, settings: Settings) -> Listed:
    """Every line of it. It may take seconds: run it in a thread. Raises ProblemError where the file
    as a whole is none."""
    if file.content_type == CSV:
        try:
            return _listed("", read_rows(file.file, MOST), _defaults(query), settings)
        except CsvError as error:
            raise ProblemError(422, "bad-file", str(error)) from None
    raw = file.file.read()
    wish = body_of(CampaignWish, raw)
    if len(wish.calls) > MOST:
        raise ProblemError(422, "bad-file", f"the campaign has more than {MOST} calls")
    # as it was said, since what a line says of its own is laid over it
    defaults = _defaults(query) | (orjson.loads(raw).get("defaults") or {})
    rows = (Row(number, fields) for number, fields in enumerate(wish.calls, 1))
    return _listed(wish.name, rows, defaults, settings)


def _defaults(query: CampaignQuery) -> dict[str, Any]:
    """What the query says of every call."""
    said = {
        "agent": query.agent,
        "from": query.from_,
        "mode": query.mode,
        "callback": query.callback,
        "window": query.window,
    }
    amd = {"on_machine": query.on_machine, "message": query.message}
    amd = {name: value for name, value in amd.items() if value is not None}
    return {name: value for name, value in said.items() if value is not None} | (
        {"amd": amd} if amd else {}
    )


def _listed(name: str, rows: Iterator[Row], defaults: dict[str, Any], settings: Settings) -> Listed:
    listed = Listed(name, [], [], set())
    seen: dict[str, int] = {}
    sounds: dict[Any, str | None] = {}
    for row in rows:
        wrong = row.wrong
        if not wrong:
            try:
                wish = wish_of(CallWish.model_validate({**defaults, **row.fields}), settings)
            except ValidationError as error:
                wrong = words_of(error, CallWish, "member")
        if wrong:
            listed.errors.append(Bad(row.line, BAD_LINE, wrong))
            continue
        wanted = wish.wanted
        sound = wanted.mode, wanted.amd
        if sound not in sounds:
            sounds[sound] = sound_problem(wanted, settings)
        first = seen.setdefault(wanted.to_number, row.line)
        if (wrong := sounds[sound] or "") != "":
            listed.errors.append(Bad(row.line, "no-such-sound", wrong))
        elif first != row.line:
            reason = f"{wanted.to_number} is on line {first} already"
            listed.errors.append(Bad(row.line, "duplicate", reason))
        else:
            listed.calls.append((row.line, wish))
            if wanted.callback is not None:
                listed.callbacks.add(wanted.callback)
    return listed
