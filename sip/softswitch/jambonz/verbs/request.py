"""`sip:request`: sends the caller's side a request in its dialog, such as INFO or MESSAGE."""

from typing import Final

import structlog

from sip.b2bua.call_events import Headers
from sip.core.body import Body
from sip.core.value import frozen
from sip.softswitch.jambonz.session import Json, Session, Verb
from sip.softswitch.jambonz.verbs.schema import ANY, Shape, VerbError, headers, hook, text

log = structlog.get_logger(__name__)

#: What leaves the session as it is. Any other method is the softswitch's own, or a verb's.
METHODS: Final = frozenset({"INFO", "MESSAGE", "NOTIFY", "OPTIONS"})
#: What a body is where no Content-Type says so.
PLAIN: Final = "text/plain"


@frozen(kw_only=True)
class Request:
    """`action_hook` is told the status, or that there was none. A leg that is not up gets none."""

    method: str
    body: str = ""
    content_type: str | None = None
    #: the Content-Type among the headers, and the others
    content: tuple[str, Headers] = (PLAIN, ())
    action_hook: str | None = None
    verb_id: str | None = None

    async def run(self, session: Session) -> None:
        told = await self.send(session)
        if self.action_hook is not None:
            if self.verb_id is not None:
                told["verb_id"] = self.verb_id
            await session.ask(self.action_hook, session.about_leg() | told)

    async def send(self, session: Session) -> Json:
        """Send it; what came of it."""
        among_headers, fields = self.content
        content_type = self.content_type or among_headers
        body = Body(content_type, self.body.encode()) if self.body else None
        status = await session.call.request(session.leg, self.method, body=body, headers=fields)
        if status is None:
            log.warning("request.unanswered", method=self.method, **session.log_ids)
            return {"result": "failed", "err": "no answer: the leg is not up, or its peer silent"}
        return {"result": "success", "sip_status": status}


def method(what: str, key: str, value: object) -> str:
    """The method of such a request."""
    name = text(what, key, value).upper()
    if name not in METHODS:
        raise VerbError(f"{what}: {key} must be one of {', '.join(sorted(METHODS))}")
    return name


def content(what: str, key: str, value: object) -> tuple[str, Headers]:
    """The Content-Type among the headers, and the others."""
    if not isinstance(value, dict):
        raise VerbError(f"{what}: {key} must be an object")
    kinds = [str(each) for name, each in value.items() if name.lower() == "content-type"]
    others = {name: each for name, each in value.items() if name.lower() != "content-type"}
    checked = headers(what, key, {"X": kinds[0]}) if kinds else ()
    kind = checked[0][1] if checked else PLAIN
    return kind, headers(what, key, others) or ()


VERB: Final[Shape[Verb]] = Shape(
    "sip:request",
    Request,
    {
        **ANY,
        "id": ("verb_id", text),
        "method": ("method", method),
        "body": ("body", text),
        "headers": ("content", content),
        "actionHook": ("action_hook", hook),
    },
    required="method",
)
