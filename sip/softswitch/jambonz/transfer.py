"""A transfer: verbs that run while two talk, until one of them has brought the caller elsewhere.

jambonz hangs up who sent a REFER before it runs a verb. Here that leg stays until the outcome is
known, hears it (RFC 3515), and talks to the caller again where it is a failure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

import structlog

from sip.b2bua.call import Call
from sip.b2bua.leg_report import LegReport
from sip.softswitch.jambonz.runner import Runner

log = structlog.get_logger(__name__)

#: How long a leg that sent a REFER may take to hang up once it has succeeded.
DISMISS_S: Final = 5.0
#: What a transfer comes to that did nothing.
NOTHING_DONE: Final = (603, "Decline")
#: The same where somebody answered, and the one who was to be brought there was not.
NOT_JOINED: Final = (488, "Not Joined")


class Asker(Protocol):
    """Who asked for a transfer, and hears what becomes of it (`sip.b2bua.legs.referral`)."""

    def progress(self, status: int, reason: str) -> None: ...

    def end(self, status: int, reason: str) -> None: ...


class Transfer:
    """One transfer; it lasts as long as its verbs."""

    def __init__(
        self, call: Call, leg: str, asker: Asker | None, give_way: Callable[[], None]
    ) -> None:
        """`leg` is to be brought to somebody else; `give_way` has what the call did before give
        way to the verbs of this, as when that has been done."""
        self.carried = False
        self._leg = leg
        self._call = call
        self._asker = asker
        self._give_way = give_way
        self._last = NOTHING_DONE
        self._task: asyncio.Task[None] | None = None

    def start(self, runner: Runner, on_over: Callable[[Transfer], None]) -> None:
        """Run the verbs that `runner` was given; `on_over(self)` is called when none is left."""
        self.runner = runner
        runner.on_given = self._given
        self._on_over = on_over
        dismiss_s = DISMISS_S if self._asker is not None else 0.0
        self._exchange = self._call.transfer(self._leg, dismiss_s=dismiss_s)
        if self._exchange is not None:
            self._exchange.add_done_callback(self._exchanged)
        self._task = asyncio.get_running_loop().create_task(self._run())

    def stop(self) -> None:
        """Something else is wanted of the call."""
        self.runner.clear()
        self.runner.interrupt()

    async def over(self) -> None:
        """Returns when no verb of it is left."""
        if self._task is not None:
            await asyncio.wait([self._task])

    def on_status(self, report: LegReport) -> None:
        """How far a leg is that was placed while it runs."""
        if self.carried:
            return
        if report.final:
            answered = report.answered_at is not None
            self._last = NOT_JOINED if answered else (report.sip_status, report.sip_reason)
        else:
            self._progress(report.sip_status, report.sip_reason)

    def note_outcome(self, status: int, reason: str) -> None:
        """What a verb found out: how far it is, that the caller is gone elsewhere, or why not."""
        if status < 200:
            self._progress(status, reason)
        elif status < 300:
            self._carry(status, reason)
            if self._leg != self._call.root:  # whoever asked has nobody to talk to any more
                self._call.ua.clock.call_later(DISMISS_S, self._dismiss)
        else:
            self._last = status, reason

    def _dismiss(self) -> None:
        """Whoever asked is hung up, unless the application wants something else of it."""
        if not self._call.doing(self._call.root):
            self._call.hangup()

    def _given(self) -> None:
        """A hook has brought verbs. Where whoever the leg talked to is gone, they are the call's:
        there is nobody to go back to, and what was to follow that talk is not."""
        if self._call.partner(self._leg) is None:
            self._give_way()

    async def _run(self) -> None:
        try:
            while not self._call.over and await self.runner.step():
                pass
        except Exception:
            log.exception("transfer.broke", **self.runner.log_ids)
            self._last = 500, "Server Internal Error"
        finally:
            self._end()

    def _exchanged(self, outcome: asyncio.Future[bool]) -> None:
        if not outcome.cancelled() and outcome.exception() is None and outcome.result():
            self._carry(200, "OK")

    def _progress(self, status: int, reason: str) -> None:
        if 100 < status < 200 and self._asker is not None:
            self._asker.progress(status, reason)

    def _carry(self, status: int, reason: str) -> None:
        if self.carried:
            return
        self.carried = True
        if self._asker is not None:
            self._asker.end(status, reason)
        self._give_way()

    def _end(self) -> None:
        if self._exchange is not None:
            self._call.keep(self._exchange)
        if not self.carried and self._asker is not None:
            self._asker.end(*self._last)
        self.runner.close()
        self._on_over(self)
