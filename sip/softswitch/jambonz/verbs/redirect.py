"""`redirect`: asks a hook of the application for the verbs to run from here on."""

from typing import Final

from sip.core.value import frozen
from sip.softswitch.jambonz.messages import call_status
from sip.softswitch.jambonz.session import Session, Verb
from sip.softswitch.jambonz.verbs.schema import (
    ANY,
    KNOWN_TO_JAMBONZ,
    UNSUPPORTED,
    Shape,
    VerbError,
    hook,
    text,
)


@frozen(kw_only=True)
class Redirect:
    action_hook: str
    verb_id: str | None = None

    async def run(self, session: Session) -> None:
        told = call_status(session.info, session.call.status)
        if self.verb_id is not None:
            told["verb_id"] = self.verb_id
        await session.ask(self.action_hook, told, kind="session:redirect")


def _hook(what: str, key: str, value: object) -> str | None:
    """jambonz would leave for the application at such a URL."""
    url = hook(what, key, value)
    if url is not None and url.startswith(("ws:", "wss:")):
        raise VerbError(f"{what}: {key} at another WebSocket is {KNOWN_TO_JAMBONZ}")
    return url


VERB: Final[Shape[Verb]] = Shape(
    "redirect",
    Redirect,
    {
        **ANY,
        "id": ("verb_id", text),
        "actionHook": ("action_hook", _hook),
        "statusHook": UNSUPPORTED,
    },
    required="actionHook",
)
