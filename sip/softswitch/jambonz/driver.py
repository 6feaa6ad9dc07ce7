"""Runs one call for its application: verbs in, hooks and call status out.

As in jambonz, verbs run one after another; those that an ack or a `redirect` brings take the place
of what is left; when none is left, the call waits for commands while the application stays. What a
verb does is its own business (`verbs/`).
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import Any

import aiohttp
import structlog

from sip.b2bua.call import Call
from sip.b2bua.call_events import Cause
from sip.b2bua.leg_report import LegReport
from sip.media.plane import MediaError
from sip.softswitch.dialling.dialler import Dialler
from sip.softswitch.jambonz import messages
from sip.softswitch.jambonz.link import AppError, AppLink
from sip.softswitch.jambonz.session import Dialled, Verb
from sip.softswitch.jambonz.session_info import SessionInfo
from sip.softswitch.jambonz.socket import LAST_ACK_S, AppSocket, Json
from sip.softswitch.jambonz.sounds import NO_SOUNDS, Sounds
from sip.softswitch.jambonz.verbs import JAMBONZ_COMMANDS, parse_verbs
from sip.softswitch.jambonz.verbs.config import record
from sip.softswitch.jambonz.verbs.schema import KNOWN_TO_JAMBONZ, VerbError

log = structlog.get_logger(__name__)

#: Characters of a header's name in the log.
MAX_SHOWN = 64


class Driver:
    """One call and its application: the `Session` of its verbs. `run` lasts as long as the call."""

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
        self.customer_data: Json = {}
        self.dialled = Dialled()
        self._dropped: set[str] = set()
        self._verbs: deque[Verb] = deque()
        #: the task of this call, while it runs a verb or waits for commands
        self._doing: asyncio.Task[Any] | None = None
        self._interrupted = False
        #: nothing is being done: the call waits for commands
        self._waiting = True
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

    async def run(self) -> None:
        """Run the call until it is over and the application knows."""
        try:
            self.note_dropped(self.info.untold)
            await self._do(self._begin())
            if self._started:
                await self._work()
        except Exception:
            log.exception("call.broke", **self.log_ids)
            self.call.reject(500, None)
        finally:
            self.call.hangup()
            await self._finish()

    def end(self, cause: Cause | None = None) -> None:
        """Hang up, whatever is going on: by command, or for a `cause` of the softswitch's own."""
        self._verbs.clear()
        self.call.hangup(cause=cause)
        self._interrupt()

    def shut_down(self, retry_after_s: int) -> None:
        """The same because the switch is closing; both peers and the application are told so."""
        self._verbs.clear()
        self.call.shut_down(retry_after_s)
        self._interrupt()

    # the call's life

    async def _begin(self) -> None:
        """Ask the application; the call is started if it gave verbs that can be run."""
        session = messages.new_session(self.info, self.call.status)
        told: object = None
        try:
            told = await self._socket.open(session)
            verbs = self._read(told)
            if not verbs:
                raise VerbError("no application provided")
        except (AppError, VerbError) as error:
            log.error("call.no-verbs", error=str(error), fault=error.fault.value, **self.log_ids)
            if isinstance(error, VerbError):
                self._socket.error(str(error), told)
            # jambonz answers 480 (JAMBONES_WEBHOOK_ERROR_RETURN); the reason stays in the log
            self.call.reject(480, None)
            return
        self._started = True
        self._verbs.extend(verbs)
        self._on_status(self.call.status)

    async def _work(self) -> None:
        """Run verb after verb; wait for commands when none is left."""
        while not self.call.over:
            if self._verbs:
                work = self._verbs.popleft().run(self)
                if work is None:
                    continue
                self._waiting = False
            elif self._socket.gone:
                return
            else:
                work = self.call.idle()
            await self._do(work)
            self._waiting = True

    async def _do(self, work: Coroutine[Any, Any, None]) -> None:
        """Run it until it is done or interrupted.

        It runs in the call's own task, since a task for every verb costs more than most verbs. An
        interruption cancels that task and is taken back here.
        """
        task = self._doing = asyncio.current_task()
        assert task is not None
        try:
            await work
            if self._interrupted:
                # in its very last step: the cancellation is still to be raised
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            if not self._interrupted:
                raise
        finally:
            self._doing = None
        if self._interrupted:
            self._interrupted = False
            if task.uncancel():  # the switch is closing as well
                raise asyncio.CancelledError

    def _interrupt(self) -> None:
        """Stop what is being done; the next verb takes its place."""
        if self._started:
            self._stop()

    def _stop(self) -> None:
        if self._doing is not None and not self._interrupted:
            self._interrupted = True
            self._doing.cancel()

    async def _finish(self) -> None:
        """Give back the media, say the last word, close the socket."""
        await self.call.close()
        if not self._started:
            await self._socket.close(aiohttp.WSCloseCode.GOING_AWAY)
            return
        last = messages.call_status(self.info, self.call.status, ended_by=self.call.ended_by)
        last["media"] = messages.media_counters(self.call.stats)
        self._socket.status(self._tagged(last))
        await self._socket.close()

    # what the application says unasked

    def _on_gone(self) -> None:
        """jambonz: verbs that are queued still run; a call that only waits for commands ends."""
        if not self._verbs and self._waiting:
            self._interrupt()

    def _on_command(self, command: Json) -> None:
        try:
            self._command(str(command["command"]), command["data"], command)
        except VerbError as error:
            self._socket.error(str(error), command)

    def _command(self, name: str, data: object, command: Json) -> None:
        match name, data:
            case "redirect", list():
                verbs = self._read(data)
                queued = bool(command.get("queueCommand"))
                if not queued:
                    self._verbs.clear()
                self._verbs.extend(verbs)
                if not queued or self._waiting:
                    self._interrupt()
            case "record", _:
                record("record", "data", data).apply(self.call)
            case "call:status", {"call_status": "completed" | "no-answer"}:
                self.end()
            case _ if name in JAMBONZ_COMMANDS:
                raise VerbError(f"command {name!r} with this data is {KNOWN_TO_JAMBONZ}")
            case _:
                raise VerbError(f"command {name!r} is not known")

    def _read(self, data: object) -> list[Verb]:
        """The verbs of an ack or a command. Raises VerbError.

        The application hears what of them is taken although it is not done; the call goes on.
        """
        return parse_verbs(data, lambda text: self._socket.error(text, data, msg="NotSupported"))

    # what verbs may ask of us: `Session`

    @property
    def log_ids(self) -> dict[str, str]:
        status = self.call.status
        return {"call_sid": status.call_sid, "sip_call_id": status.sip_call_id}

    async def ask(self, hook: str, data: Json, *, kind: str = "verb:hook") -> None:
        await self._asked(hook, data, kind)

    async def _asked(self, hook: str, data: Json, kind: str) -> bool:
        """Call a hook; whether verbs in its ack took the place of those that were left."""
        try:
            told = await self._socket.hook(hook, self._tagged(data), kind=kind)
            if isinstance(told, list) and told:
                verbs = self._read(told)
                self._verbs.clear()
                self._verbs.extend(verbs)
                return True
        except AppError as error:
            log.warning(
                "hook.failed", hook=hook, error=str(error), fault=error.fault.value, **self.log_ids
            )
        except VerbError as error:
            log.warning(
                "hook.bad-verbs",
                hook=hook,
                error=str(error),
                fault=error.fault.value,
                **self.log_ids,
            )
            self._socket.error(str(error), told)
        return False

    def listen_for_fax(self, hook: str) -> None:
        try:
            self.call.notice_fax(partial(self.call.errands.add, self._fax_heard, hook))
        except MediaError as error:
            log.warning("fax.not-heard", error=str(error), **self.log_ids)
            self._socket.error(f"config: amd: {error.text}", {}, msg="NotSupported")

    async def _fax_heard(self, hook: str) -> None:
        log.info("fax.heard", **self.log_ids)
        told = messages.fax_tone(self.info, self.call.status)
        if await self._asked(hook, told, "verb:hook"):
            self._interrupt()

    def tell(self, hook: str, data: Json) -> None:
        self._socket.tell_hook(hook, self._tagged(data))

    def note_dropped(self, dropped: Iterable[tuple[str, str]]) -> None:
        for name, why in dropped:
            if name.lower() not in self._dropped:
                self._dropped.add(name.lower())
                log.info("header.dropped", header=name[:MAX_SHOWN], reason=why, **self.log_ids)

    # what the application hears

    def _on_status(self, status: LegReport) -> None:
        if status.final and status.detail is not None:
            log.warning(
                "leg.failed",
                reason=status.detail,
                leg_sip_call_id=status.sip_call_id,
                **self.log_ids,
            )
        if status is self.call.status and status.final:
            self._hurry()
        if not self._started:
            return  # jambonz says nothing before the first ack
        if status is not self.call.status:
            told = messages.child_status(self.info, self.call.status, status, self.dialled)
            self._socket.status(told)
        elif not status.final:  # the last word comes with the media's counters
            self._socket.status(self._tagged(messages.call_status(self.info, status)))

    def _hurry(self) -> None:
        """The call is over: its application is not waited for as one that may still decide."""
        self._socket.hurry()
        if not self._started:  # perhaps it is not even connected
            asyncio.get_running_loop().call_later(LAST_ACK_S, self._give_up)

    def _give_up(self) -> None:
        if not self._started:
            self._stop()

    def _tagged(self, data: Json) -> Json:
        if self.customer_data:
            data["customerData"] = self.customer_data
        return data
