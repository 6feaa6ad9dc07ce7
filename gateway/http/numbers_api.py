"""What each configured number does at this moment: /api/v1/numbers."""

from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web
from pydantic import Field

from config.choices import Choice, choices
from config.settings import NumberSettings, Settings
from gateway.calls.schedule import open_at
from gateway.http.app_keys import CALLS, SETTINGS
from gateway.http.problems import ProblemError
from gateway.http.rules.route import Route, asked
from gateway.http.rules.shapes import Page, PageQuery, Shape, cut


class Answerer(Shape):
    """Who may answer a number."""

    trunk: str = Field(description="the trunk that it is called over")
    to: str = Field(description="what is called there")
    agent: str | None = Field(description="Retell's agent, or the name that the record has")
    method: str | None = Field(description="trunk or dial: how Retell is asked; null: not Retell")
    weight: int


class OpenHours(Shape):
    """The schedule of a number."""

    name: str
    time_zone: str
    open: bool = Field(description="whether it is open at this moment")


class Elsewhere(Shape):
    """Where callers go out of hours."""

    announcement: str | None = Field(description="a file of media.sounds that they hear first")
    entry: str | None = Field(description="an entry of directory")
    trunk: str | None
    to: str | None


class Phone(Shape):
    """A number or name that is called over a trunk."""

    trunk: str
    to: str


class Number(Shape):
    """An entry of `numbers`, and what it does at this moment."""

    number: str = Field(description='as configured: a number, TRUNK/EXTENSION, or "*"')
    does: str = Field(description="agents: one of them is called; closed: closed says where to")
    agents: list[Answerer]
    schedule: OpenHours | None = Field(description="null: it is always open")
    closed: Elsewhere | None = Field(description="where callers go out of hours")
    fallback: Phone | None = Field(description="where they go if the agent cannot be reached")
    fax: Phone | None = Field(description="where fax machines go")
    recorded: bool
    announcement: bool = Field(description="whether one is heard before the agent")


async def list_numbers(request: web.Request) -> Page[Number]:
    """In the order of the configuration."""
    names = list(request.app[SETTINGS].settings.numbers)
    part = cut(names, asked(request, PageQuery), str)
    return Page(items=[_shown(request, name) for name in part.items], next=part.next)


async def get_number(request: web.Request) -> Number:
    """One of them."""
    name = request.match_info["number"]
    if name not in request.app[SETTINGS].settings.numbers:
        raise ProblemError(404, "no-such-number", f"numbers has no {name}")
    return _shown(request, name)


def _shown(request: web.Request, name: str) -> Number:
    settings = request.app[SETTINGS].settings
    entry = settings.numbers[name]
    hours = _hours(settings, entry, datetime.fromtimestamp(request.app[CALLS].now(), UTC))
    recorded = False
    if settings.recording is not None:
        recorded = settings.recording.all if entry.record is None else entry.record
    return Number(
        number=name,
        does="agents" if hours is None or hours.open else "closed",
        agents=[_answerer(one) for one in choices(settings, name, entry)],
        schedule=hours,
        closed=None if entry.closed is None else Elsewhere(**entry.closed.model_dump()),
        fallback=_phone(entry.fallback or settings.retell.fallback),
        fax=_phone(entry.fax),
        recorded=recorded,
        announcement=entry.announcement is not None,
    )


def _hours(settings: Settings, entry: NumberSettings, now: datetime) -> OpenHours | None:
    if entry.schedule is None:
        return None
    schedule = settings.schedules[entry.schedule]
    return OpenHours(
        name=entry.schedule, time_zone=str(schedule.time_zone), open=open_at(schedule, now)
    )


def _answerer(choice: Choice) -> Answerer:
    return Answerer(
        trunk=choice.trunk,
        to=choice.to,
        agent=choice.agent,
        method=choice.method,
        weight=choice.weight,
    )


def _phone(target: Any) -> Phone | None:
    return None if target is None else Phone(trunk=target.trunk, to=target.to)


ROUTES: Final = (
    Route(
        method="GET",
        path="/numbers",
        handler=list_numbers,
        summary="What each configured number does at this moment",
        role="read",
        query=PageQuery,
        answer=Page[Number],
    ),
    Route(
        method="GET",
        path="/numbers/{number:.+}",  # that of one trunk alone has a slash
        handler=get_number,
        summary="What one number does at this moment",
        role="read",
        answer=Number,
        refusals={404: "no-such-number"},
    ),
)
