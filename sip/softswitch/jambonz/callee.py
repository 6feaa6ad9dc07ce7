"""Verbs that a callee alone hears, once it has answered: whether it takes the call.

jambonz's `dial:confirm`: "press 1 to accept", or the announcement of who calls.
"""

from collections.abc import Iterable
from typing import Final

import structlog

from sip.b2bua.call_events import Headers
from sip.b2bua.hub import Parting
from sip.softswitch.jambonz.runner import Runner
from sip.softswitch.jambonz.session import Json, Verb
from sip.softswitch.jambonz.verbs.config import Config
from sip.softswitch.jambonz.verbs.dtmf import Dtmf
from sip.softswitch.jambonz.verbs.gather import Gather
from sip.softswitch.jambonz.verbs.hangup import Hangup
from sip.softswitch.jambonz.verbs.pause import Pause
from sip.softswitch.jambonz.verbs.play import Play
from sip.softswitch.jambonz.verbs.tag import Tag

log = structlog.get_logger(__name__)

#: What may be run for a callee that is asked. Of jambonz's, `say` is missing: nothing speaks here.
ALLOWED: Final = (Config, Dtmf, Gather, Hangup, Pause, Play, Tag)


async def accepts(caller: Runner, leg: str, hook: str) -> bool:
    """Ask a hook what the callee `leg` is to hear, and run it; whether it takes the call.

    Without an ack it does not: nobody knows who would get the caller.
    """
    runner = CalleeRunner(caller, leg)
    verbs = await caller.application.ask(hook, runner.about_leg(), kind="dial:confirm")
    return verbs is not None and await runner.accepts(verbs)


class CalleeRunner(Runner):
    """The verbs for one callee. It accepts by staying until none is left."""

    def __init__(self, caller: Runner, leg: str) -> None:
        """`caller` runs the verbs of the dial that the leg of that name is of."""
        super().__init__(
            caller.application,
            caller.dialler,
            caller.sounds,
            caller.detect,
            caller.note_outcome,
            caller.ask_callee,
            leg,
        )
        self._refused = False

    async def accepts(self, verbs: Iterable[Verb]) -> bool:
        """Run them; whether the callee takes the call."""
        self.give(verbs)
        while await self.step():
            pass
        return not self._refused

    def give(self, verbs: Iterable[Verb]) -> None:
        """What no callee can be asked refuses the call, and the application hears why."""
        given = list(verbs)
        if all(isinstance(verb, ALLOWED) for verb in given):
            super().give(given)
            return
        text = "a callee that is asked whether it accepts can have no such verb"
        log.warning("confirm.bad-verbs", leg=self.leg, error=text, **self.log_ids)
        self.application.socket.error(f"dial:confirm: {text}", {})
        self._refuse()

    # `Session`

    def about_leg(self) -> Json:
        return self.about_callee(self.leg)

    def hang_up(self, headers: Headers) -> None:
        leg = self.call.legs.get(self.leg)
        if leg is not None and headers:
            self.call.hang_up_leg(self.leg, leg, Parting(headers=headers))
        self._refuse()

    def _refuse(self) -> None:
        self._refused = True
        self.clear()
