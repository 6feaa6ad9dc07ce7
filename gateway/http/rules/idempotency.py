"""`Idempotency-Key`: a POST that is sent again gets the answer of the first one, and does nothing.

As draft-ietf-httpapi-idempotency-key-header has it: the key is the client's, here one token's, and
holds for an hour, over a restart too. Only what was done (2xx) is remembered; what was refused may
be tried again.
"""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import structlog
from aiohttp import web

from gateway.http.problems import ProblemError
from gateway.http.rules.once import Once
from gateway.http.rules.tokens import TOKEN
from gateway.storage.answers import Answer, AnswerStore
from gateway.storage.errors import StorageError

log = structlog.get_logger(__name__)

HEADER: Final = "Idempotency-Key"
#: Told of an answer that was given before.
REPLAYED: Final = "Idempotency-Replayed"
#: Seconds for which one is looked for in memory alone, and how many.
AT_HAND_S: Final = 600.0
MOST: Final = 1_000
#: Characters that a key may have.
LONGEST: Final = 255


@dataclass(frozen=True, slots=True)
class Key:
    """A request's key: `name` is made of it and of the token, `asked` of the request."""

    name: str
    asked: str


#: Of a request that has a key.
KEY: Final = web.RequestKey("idempotency_key", Key)

Work: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Answers:
    """The answers that were given to requests with a key."""

    def __init__(self, store: AnswerStore, now: Callable[[], float]) -> None:
        """`now` is monotonic, in seconds."""
        self._store = store
        self._at_hand = Once[Answer](AT_HAND_S, MOST, now)

    async def give(
        self, name: str, asked: str, work: Callable[[], Awaitable[web.StreamResponse]]
    ) -> tuple[Answer, bool]:
        """The answer of that name, which `work` makes if there is none; and whether there was."""
        stored = False

        async def find_or_make() -> Answer:
            nonlocal stored
            if (known := await self._known(name)) is not None:
                stored = True
                return known
            answer = self._answer(name, asked, await work())
            self._store.save(answer)
            return answer

        answer, again = await self._at_hand.run(name, find_or_make)
        return answer, again or stored

    def _answer(self, name: str, asked: str, response: web.StreamResponse) -> Answer:
        assert isinstance(response, web.Response), "no POST streams its answer"
        assert isinstance(response.body, bytes | None), "and none is a file"
        return Answer(
            name=name,
            asked=asked,
            status=response.status,
            content_type=response.content_type,
            body=response.body or b"",
            at_ms=self._store.now_ms(),
        )

    async def _known(self, name: str) -> Answer | None:
        try:
            return await self._store.get(name)
        except StorageError as error:
            # steering a call waits for no database: only what a run before this one did is unknown
            log.warning("api.answers-unread", error=str(error))
            return None


ANSWERS: Final = web.AppKey("answers", Answers)


async def answered_once(
    request: web.Request, work: Work, body: bytes | None = None
) -> web.StreamResponse:
    """The answer to a POST, which `work` makes where the key is none, or new. `body` is a digest of
    one that was read elsewhere. Raises ProblemError: 422 for a key that was another request's."""
    key = request.headers.get(HEADER)
    if key is None:
        return await work(request)
    if not 0 < len(key) <= LONGEST or not key.isprintable():
        detail = f"{HEADER} must be 1 to {LONGEST} printable characters"
        raise ProblemError(400, "bad-idempotency-key", detail)
    name = _digest(request[TOKEN].name.encode(), key.encode(errors="replace"))
    body = await request.read() if body is None else body
    asked = _digest(request.path_qs.encode(), body)
    request[KEY] = Key(name, asked)
    answer, again = await request.app[ANSWERS].give(name, asked, lambda: work(request))
    if answer.asked != asked:
        raise reused()
    return web.Response(
        status=answer.status,
        body=answer.body,
        content_type=answer.content_type,
        headers={REPLAYED: "true"} if again else None,
    )


def reused() -> ProblemError:
    """The key was another request's."""
    detail = f"this {HEADER} was sent with another request within the hour: make a new one"
    return ProblemError(422, "idempotency-key-reused", detail)


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\n".join(parts)).hexdigest()
