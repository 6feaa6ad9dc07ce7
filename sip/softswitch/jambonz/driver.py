"""Runs one call for its application: verbs in, hooks and call status out.

As in jambonz, verbs run one after another; those that an ack or a `redirect` brings take the place
of what is left; when none is left, the call waits for commands while the application stays. What a
verb does is its own business (`verbs/`).
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import ClassVar

import aiohttp
import structlog

from sip.b2bua.call import Call
from sip.b2bua.call_events import Cause
from sip.b2bua.call_state import EndedBy
from sip.b2bua.leg_report import LegReport
from sip.softswitch.dialling.dialler import Dialler
from sip.softswitch.jambonz import messages
from sip.softswitch.jambonz.application import Application
from sip.softswitch.jambonz.callee import accepts
from sip.softswitch.jambonz.commands import COMMANDS, Commands
from sip.softswitch.jambonz.detecting import Detecting
from sip.softswitch.jambonz.link import AppError, AppLink
from sip.softswitch.jambonz.runner import Runner
from sip.softswitch.jambonz.session import Verb
from sip.softswitch.jambonz.session_info import SessionInfo
from sip.softswitch.jambonz.socket import LAST_ACK_S, AppSocket, Json
from sip.softswitch.jambonz.sounds import NO_SOUNDS, Sounds
from sip.softswitch.jambonz.transfers import Transfers
from sip.softswitch.jambonz.verbs import JAMBONZ_COMMANDS
from sip.softswitch.jambonz.verbs.config import record
from sip.softswitch.jambonz.verbs.schema import KNOWN_TO_JAMBONZ, VerbError

log = structlog.get_logger(__name__)


class Driver:
    """One call and its application. `run` lasts as long as the call."""

    #: whether the application hears of the call before it has taken it: jambonz says nothing of one
    #: that came before the first ack
    tells_at_once: ClassVar[bool] = False

    def __init__(
        self,
        link: AppLink,
        dialler: Dialler,
        info: SessionInfo,
        make_call: Callable[[Callable[[LegReport], None]], Call],
        sounds: Sounds = NO_SOUNDS,
    ) -> None:
        """`make_call(on_status)` makes the call that `info` tells of."""
        self.dialler = dialler
        self.sounds = sounds
        self.info = info
        #: the application gave verbs that can be run
        self._started = False
        self.call = make_call(self._on_status)
        self._socket = AppSocket(
            link,
            self.call.ua.ids,
            call_sid=self.call.status.call_sid,
            on_command=self._on_command,
            on_gone=self._on_gone,
        )
        self.application = Application(self._socket, self.call, info)
        self._detecting = Detecting(self.application, partial(self._redirect, queued=False))
        #: the verbs that `session:new` brought, and those after them
        self.main = self._runner(_no_outcome)
        self._commands = Commands(self.application, partial(self._runner, _no_outcome))
        #: what runs beside them
        self._transfers = Transfers(self.application, self.main, self._runner)
        self.call.on_refer = self._transfers.heard

    async def run(self) -> None:
        """Run the call until it is over and the application knows."""
        try:
            self.application.note_dropped(self.info.untold)
            await self.main.do(self._begin())
            if self._started:
                await self._work()
        except Exception:
            log.exception("call.broke", **self.application.log_ids)
            self.call.reject(500, None)
        finally:
            self.call.hangup()
            await self._finish()

    def end(self, cause: Cause | None = None) -> None:
        """Hang up, whatever is going on: by command, or for a `cause` of the softswitch's own."""
        self.main.clear()
        self.call.hangup(cause=cause)
        self._interrupt()

    def shut_down(self, retry_after_s: int) -> None:
        """The same because the switch is closing; both peers and the application are told so."""
        self.main.clear()
        self.call.shut_down(retry_after_s)
        self._interrupt()

    # the call's life

    async def _begin(self) -> None:
        """Ask the application; the call is started if it gave verbs that can be run."""
        session = messages.new_session(self.info, self.call.status)
        told: object = None
        try:
            told = await self._socket.open(session)
            verbs = self.application.read(told)
            if not verbs:
                raise VerbError("no application provided")
        except (AppError, VerbError) as error:
            log.error(
                "call.no-verbs",
                error=str(error),
                fault=error.fault.value,
                **self.application.log_ids,
            )
            if isinstance(error, VerbError):
                self._socket.error(str(error), told)
            # jambonz answers 480 (JAMBONES_WEBHOOK_ERROR_RETURN); the reason stays in the log
            self.call.reject(480, None)
            return
        self._started = True
        self._detecting.application_knows()
        self.main.give(verbs)
        self._on_status(self.call.status)

    async def _work(self) -> None:
        """Run verb after verb; wait for commands when none is left."""
        main = self.main
        while not self.call.over:
            if await main.step():
                continue
            if self._socket.gone:
                return
            await main.do(self.call.idle())

    def _runner(self, note_outcome: Callable[[int, str], None], leg: str | None = None) -> Runner:
        return Runner(
            self.application,
            self.dialler,
            self.sounds,
            self._detecting.want,
            note_outcome,
            accepts,
            leg,
        )

    def _interrupt(self) -> None:
        """Stop what is being done."""
        if self._started:
            self._transfers.stop()
            self.main.interrupt()

    async def _finish(self) -> None:
        """Give back the media, say the last word, close the socket."""
        await self._detecting.close()
        await self._transfers.close()
        await self._commands.close()
        await self.call.close()
        self.main.close()
        if not (self._started or self.tells_at_once):
            await self._socket.close(aiohttp.WSCloseCode.GOING_AWAY)
            return
        last = messages.call_status(self.info, self.call.status, ended_by=self._ended_by)
        last["media"] = messages.media_counters(self.call.stats)
        self._socket.status(self.application.tagged(last))
        await self._socket.close()

    @property
    def _ended_by(self) -> EndedBy | None:
        """Who ended the call, if there was one."""
        return self.call.ended_by

    # what the application says unasked

    def _on_gone(self) -> None:
        """jambonz: verbs that are queued still run; a call that only waits for commands ends."""
        if self.main.empty and self.main.waiting and self._transfers.none:
            self._interrupt()

    def _on_command(self, command: Json) -> None:
        try:
            self._command(str(command["command"]), command["data"], command)
        except VerbError as error:
            self._socket.error(str(error), command)

    def _command(self, name: str, data: object, command: Json) -> None:
        match name, data:
            case "redirect", list():
                self._redirect(self.application.read(data), bool(command.get("queueCommand")))
            case "transfer", list():
                self._transfers.commanded(self.application.read(data), command.get("callSid"))
            case "record", _:
                record("record", "data", data).apply(self.call)
            case "call:status", {"call_status": "completed" | "no-answer"}:
                self.end()
            case _ if name in COMMANDS:
                self._commands.run(name, data, command)
            case _ if name in JAMBONZ_COMMANDS:
                raise VerbError(f"command {name!r} with this data is {KNOWN_TO_JAMBONZ}")
            case _:
                raise VerbError(f"command {name!r} is not known")

    def _redirect(self, verbs: list[Verb], queued: bool) -> None:
        runner = self._transfers.current
        if queued:
            runner.give(verbs)
            if runner.waiting and self._started:
                runner.interrupt()
            return
        for transfer in self._transfers.undecided:
            transfer.stop()
        runner.clear()
        runner.give(verbs)
        if self._started:
            runner.interrupt()

    # what the application hears

    def _on_status(self, status: LegReport) -> None:
        first = status is self.call.status
        if status.final and status.detail is not None:
            log.warning(
                "leg.failed",
                reason=status.detail,
                leg_sip_call_id=status.sip_call_id,
                **self.application.log_ids,
            )
        if self.call.over:
            self._hurry()
        self._detecting.on_status(status)
        if not (self._started or self.tells_at_once):
            return
        if not first:
            self._transfers.on_status(status)
            dialled = self.application.dialled(status.call_sid)
            self._socket.status(messages.child_status(self.info, self.call.status, status, dialled))
        elif not status.final:  # the last word comes with the media's counters
            self._socket.status(self.application.tagged(messages.call_status(self.info, status)))

    def _hurry(self) -> None:
        """The call is over: its application is not waited for as one that may still decide."""
        self._socket.hurry()
        if not self._started:  # perhaps it is not even connected
            asyncio.get_running_loop().call_later(LAST_ACK_S, self._give_up)

    def _give_up(self) -> None:
        if not self._started:
            self.main.interrupt()


def _no_outcome(_: int, __: str) -> None:
    """Nobody asked for a transfer."""
