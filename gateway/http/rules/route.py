"""One way into the API: what is asked, by whom, and what is answered. `bind` makes it work,
`gateway.http.rules.openapi` describes it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, TypeVar

from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import BaseModel

from gateway.http.problems import ProblemError
from gateway.http.rules.idempotency import answered_once
from gateway.http.rules.shapes import Shape, body_of, query_of
from gateway.http.rules.tokens import Role, require
from gateway.http.rules.uploads import UPLOADED, Received, Upload, received

PREFIX: Final = "/api/v1"
#: A model or its JSON; None is nothing; a response is told whole.
Answer: TypeAlias = BaseModel | Mapping[str, Any] | web.StreamResponse | None
Asked = TypeVar("Asked", bound=Shape)

_QUERY: Final = web.RequestKey("query", Shape)
_BODY: Final = web.RequestKey("body", Shape)


class NoQuery(Shape):
    """Nothing may be said in the query."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """`path` is below PREFIX. `answer` is the model of a JSON answer, or the type of a file's
    content, or None where there is no content; `upload` is a file that is sent, in place of a
    `body`; `refusals` are its own problems by status, beside those that every route has."""

    method: str
    path: str
    handler: Callable[[web.Request], Awaitable[Answer]]
    summary: str
    role: Role
    answer: type[BaseModel] | str | None
    status: int = 200
    query: type[Shape] = NoQuery
    body: type[Shape] | None = None
    upload: Upload | None = None
    refusals: Mapping[int, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of what it does, for the document and for the audit: `list_calls`."""
        return self.handler.__name__


_MAKE: Final = {"GET": web.get, "POST": web.post, "PUT": web.put, "DELETE": web.delete}

#: The route that a request came by.
ROUTE: Final = web.RequestKey("route", Route)


def bind(route: Route) -> web.RouteDef:
    """The route for aiohttp's router."""

    async def handle(request: web.Request) -> web.StreamResponse:
        request[ROUTE] = route
        require(request, route.role)
        _no_nul(request)
        request[_QUERY] = query_of(route.query, request.query)
        if route.upload is not None:
            async with received(request, route.upload) as upload:
                request[UPLOADED] = upload
                return await answered_once(request, answer, upload.digest)
        if route.body is not None:
            request[_BODY] = body_of(route.body, await request.read())
        if route.method == "POST":
            return await answered_once(request, answer)
        return await answer(request)

    async def answer(request: web.Request) -> web.StreamResponse:
        return _response(await route.handler(request), route.status)

    return _MAKE[route.method](PREFIX + route.path, _named(handle, route.name))


def asked(request: web.Request, model: type[Asked]) -> Asked:
    """The query of a request whose route has this model."""
    query = request[_QUERY]
    assert isinstance(query, model), f"the route has {type(query).__name__}"
    return query


def sent(request: web.Request, model: type[Asked]) -> Asked:
    """The body of a request whose route has this model."""
    body = request[_BODY]
    assert isinstance(body, model), f"the route has {type(body).__name__}"
    return body


def uploaded(request: web.Request) -> Received:
    """The file of a request whose route takes one."""
    return request[UPLOADED]


def _no_nul(request: web.Request) -> None:
    """PostgreSQL has no text with a NUL, and would seem to be away. Raises ProblemError."""
    if "%00" in request.raw_path or "\0" in request.path:
        raise ProblemError(400, "bad-parameter", "path and query must be without the character NUL")


def _response(answer: Answer, status: int) -> web.StreamResponse:
    if isinstance(answer, web.StreamResponse):
        return answer
    if answer is None:
        return web.Response(status=status)
    if isinstance(answer, BaseModel):
        text = answer.model_dump_json(by_alias=True)
        return web.Response(status=status, text=text, content_type="application/json")
    return web.json_response(answer, status=status)


def _named(handler: Handler, name: str) -> Handler:
    handler.__name__ = name
    return handler
