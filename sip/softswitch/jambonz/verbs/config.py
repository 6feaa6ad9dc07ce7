"""`config`: settings of the session, of which none matters to calls without speech.

An application that decides later answers `session:new` with it: the call then waits for commands.
"""

from typing import Final

from sip.core.value import frozen
from sip.softswitch.jambonz.session import Session, Verb
from sip.softswitch.jambonz.verbs.schema import ANY, NO_EFFECT, Shape


@frozen
class Config:
    def run(self, session: Session) -> None:
        pass


VERB: Final[Shape[Verb]] = Shape(
    "config", Config, {**ANY, "notifyEvents": NO_EFFECT, "reset": NO_EFFECT}
)
