"""What an operator sees of the SIP edge, and may do to it: /api/v1/trunks, /api/v1/bans and
/api/v1/refused.

The softswitch knows; the application only shows. Where it serves a jambonz elsewhere
(`sip.listen: []`) there are no trunks of ours, and it says so.
"""

from typing import Final

from aiohttp import web
from pydantic import Field

from gateway.http.app_keys import OPERATIONS, SETTINGS
from gateway.http.ports import Json, Operations
from gateway.http.problems import ProblemError
from gateway.http.rules.route import Route, asked
from gateway.http.rules.shapes import Page, PageQuery, Shape, cut
from gateway.http.rules.times import Time


class Gateway(Shape):
    """An address of a trunk that calls go to."""

    uri: str
    state: str = Field(description="up, down, trying or unknown")
    since: Time
    watched_by: str = Field(description="options, or calls")
    last_status: int | None = Field(description="of its last answer")
    last_error: str | None
    round_trip_ms: float | None


class Registration(Shape):
    """Our registration with a trunk's registrar."""

    state: str
    registrar: str
    aor: str
    since: Time
    expires_in_s: float | None = Field(description="null where it does not hold")
    last_status: int | None
    last_error: str | None


class Binding(Shape):
    """A contact that registered with us."""

    contact: str
    aor: str
    source: str
    expires_in_s: float
    user_agent: str | None


class TrunkCalls(Shape):
    """How many calls a trunk has, and may have."""

    now: int
    limit: int | None


class Identify(Shape):
    """What proves a request to be this trunk's: names only, never what they stand for."""

    addresses: list[str]
    login: str | None
    certificates: list[str]
    headers: list[str]
    registration: bool


class Trunk(Shape):
    """A carrier or PBX, or Retell."""

    name: str
    kind: str
    profile: str | None
    up: bool | None = Field(description="whether calls can be placed; null: it is never called")
    gateways: list[Gateway]
    registration: Registration | None
    bindings: list[Binding] | None
    calls: TrunkCalls
    identify: Identify


class Ban(Shape):
    """A source that is not listened to."""

    address: str = Field(description="an IPv4 address, or an IPv6 network of 64 bits")
    since: Time
    until: Time
    reason: str
    strikes: int


class RefusedCalls(Shape):
    """Calls that were refused before the application heard of them, all alike."""

    source: str
    trunk: str | None
    from_: str = Field(alias="from", description="the number in its From")
    to: str
    reason: str
    detail: str
    fix: str | None = Field(description="what mends it, where that is known")
    fault: str
    sip_status: int | None = Field(description="null where no answer was given")
    count: int
    first_at: Time
    last_at: Time


async def list_trunks(request: web.Request) -> Page[Json]:
    """Retell's own first, then in the order of the configuration."""
    trunks = operations_of(request).trunks()
    return cut(trunks, asked(request, PageQuery), lambda trunk: str(trunk["name"]))


async def get_trunk(request: web.Request) -> Json:
    """One trunk."""
    return _trunk(request, operations_of(request))


async def register_trunk(request: web.Request) -> Json:
    """The trunk, once the registrar has answered."""
    operations = operations_of(request)
    trunk = _trunk(request, operations)
    if await operations.register_now(trunk["name"]) is None:
        message = f"we do not register with trunk {trunk['name']}: register: true is not set"
        raise ProblemError(409, "does-not-register", message)
    return _trunk(request, operations)


async def list_bans(request: web.Request) -> Page[Json]:
    """The bans that hold, oldest first."""
    bans = operations_of(request).bans()
    return cut(bans, asked(request, PageQuery), lambda ban: str(ban["address"]))


async def lift_ban(request: web.Request) -> None:
    """End a ban. 404 if that address is not banned."""
    address = request.match_info["address"]
    if not operations_of(request).unban(address):
        raise ProblemError(404, "no-such-ban", f"{address} is not banned")


async def list_refused(request: web.Request) -> Page[Json]:
    """Calls refused at the door, which have no record, the latest first."""
    refused = operations_of(request).refused()
    return cut(refused, asked(request, PageQuery), _refused_key)


def _refused_key(refused: Json) -> str:
    """By what the softswitch counts them: the port and the number are those of the latest."""
    host = str(refused["source"]).rpartition(":")[0]
    return f"{host}|{refused['trunk']}|{refused['reason']}"


def operations_of(request: web.Request) -> Operations:
    """The softswitch. Raises ProblemError where there is none, or none yet."""
    operations = request.app[OPERATIONS]()
    if operations is not None:
        return operations
    if request.app[SETTINGS].settings.sip.listen:
        raise ProblemError(503, "starting", "the softswitch is not up yet; ask again in a moment")
    raise ProblemError(
        409,
        "no-softswitch",
        "this gateway has no softswitch of its own (sip.listen is empty): its trunks and bans are"
        " those of the jambonz that it serves",
    )


def _trunk(request: web.Request, operations: Operations) -> Json:
    name = request.match_info["name"]
    for trunk in operations.trunks():
        if trunk["name"] == name:
            return trunk
    raise ProblemError(404, "no-such-trunk", f"there is no trunk {name}")


#: The problems of whatever asks the softswitch.
ELSEWHERE: Final = {409: "no-softswitch", 503: "starting"}

ROUTES: Final = (
    Route(
        method="GET",
        path="/trunks",
        handler=list_trunks,
        summary="Every trunk with its gateways, registration and calls",
        role="read",
        query=PageQuery,
        answer=Page[Trunk],
        refusals=ELSEWHERE,
    ),
    Route(
        method="GET",
        path="/trunks/{name}",
        handler=get_trunk,
        summary="One trunk",
        role="read",
        answer=Trunk,
        refusals={404: "no-such-trunk", **ELSEWHERE},
    ),
    Route(
        method="POST",
        path="/trunks/{name}/register",
        handler=register_trunk,
        summary="Register with a trunk now",
        role="operate",
        answer=Trunk,
        refusals={404: "no-such-trunk", **ELSEWHERE, 409: "no-softswitch, does-not-register"},
    ),
    Route(
        method="GET",
        path="/bans",
        handler=list_bans,
        summary="The bans that hold, oldest first",
        role="read",
        query=PageQuery,
        answer=Page[Ban],
        refusals=ELSEWHERE,
    ),
    Route(
        method="DELETE",
        path="/bans/{address:.+}",  # that of an IPv6 network has a slash
        handler=lift_ban,
        summary="Lift a ban",
        role="operate",
        answer=None,
        status=204,
        refusals={404: "no-such-ban", **ELSEWHERE},
    ),
    Route(
        method="GET",
        path="/refused",
        handler=list_refused,
        summary="Calls refused at the door, the latest first",
        role="read",
        query=PageQuery,
        answer=Page[RefusedCalls],
        refusals=ELSEWHERE,
    ),
)
