"""Who is registered with whom: /api/v1/registrations, ours with carriers and others' with us."""

from collections.abc import Iterator
from typing import Final, Literal

from aiohttp import web
from pydantic import Field

from gateway.http.ports import Json
from gateway.http.rules.route import Route, asked
from gateway.http.rules.shapes import Page, PageQuery, Shape, cut
from gateway.http.trunks_api import ELSEWHERE, operations_of


class Registered(Shape):
    """A registration."""

    trunk: str
    whose: Literal["ours", "theirs"] = Field(
        description="ours: we register with the trunk's registrar; theirs: it registered with us"
    )
    aor: str = Field(description="the address that is registered")
    state: str = Field(description="registered, registering, failed, …; of theirs: registered")
    peer: str = Field(description="the registrar; of theirs the address that it came from")
    contact: str | None = Field(description="of theirs: where calls go")
    user_agent: str | None = Field(description="of theirs: what it says that it is")
    expires_in_s: float | None = Field(description="null where it does not hold")
    last_status: int | None
    last_error: str | None


async def list_registrations(request: web.Request) -> Page[Registered]:
    """In the order of the trunks: Retell's own first, then as configured."""
    found = [one for trunk in operations_of(request).trunks() for one in _of(trunk)]
    return cut(found, asked(request, PageQuery), _key)


def _key(one: Registered) -> str:
    return f"{one.trunk}|{one.whose}|{one.aor}|{one.contact or ''}"


def _of(trunk: Json) -> Iterator[Registered]:
    ours = trunk["registration"]
    if ours is not None:
        yield Registered(
            trunk=trunk["name"],
            whose="ours",
            aor=ours["aor"],
            state=ours["state"],
            peer=ours["registrar"],
            contact=None,
            user_agent=None,
            expires_in_s=ours["expires_in_s"],
            last_status=ours["last_status"],
            last_error=ours["last_error"],
        )
    for binding in trunk["bindings"] or ():
        yield Registered(
            trunk=trunk["name"],
            whose="theirs",
            aor=binding["aor"],
            state="registered",
            peer=binding["source"],
            contact=binding["contact"],
            user_agent=binding["user_agent"],
            expires_in_s=binding["expires_in_s"],
            last_status=None,
            last_error=None,
        )


ROUTES: Final = (
    Route(
        method="GET",
        path="/registrations",
        handler=list_registrations,
        summary="Registrations, ours and others'",
        role="read",
        query=PageQuery,
        answer=Page[Registered],
        refusals=ELSEWHERE,
    ),
)
