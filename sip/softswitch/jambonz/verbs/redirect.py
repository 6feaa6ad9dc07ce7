"""`redirect`: asks a hook of the application for the verbs to run from here on."""

from typing import Final

from sip.core.value import frozen
from sip.softswitch.jambonz.messages import call_status
from sip.softswitch.jambonz.session import Session, Verb
from sip.softswitch.jambonz.verbs.schema import ANY, UNSUPPORTED, Shape, hook


@frozen(kw_only=True)
class Redirect:
    action_hook: str

    async def run(self, session: Session) -> None:
        await session.ask(self.action_hook, call_status(session.info, session.call.status))


VERB: Final[Shape[Verb]] = Shape(
    "redirect",
    Redirect,
    {**ANY, "actionHook": ("action_hook", hook), "statusHook": UNSUPPORTED},
    required="actionHook",
)
