"""`hangup`: ends the call, with BYE if it is answered and with 603 if it is not.

A callee that is asked whether it takes the call does not, by it.
"""

from typing import Final

from sip.b2bua.call_events import Headers
from sip.core.value import frozen
from sip.softswitch.jambonz.session import Session, Verb
from sip.softswitch.jambonz.verbs.schema import ANY, Shape, headers


@frozen(kw_only=True)
class Hangup:
    """`headers` go into the BYE or the 603."""

    headers: Headers = ()

    def run(self, session: Session) -> None:
        session.hang_up(self.headers)


VERB: Final[Shape[Verb]] = Shape("hangup", Hangup, {**ANY, "headers": ("headers", headers)})
