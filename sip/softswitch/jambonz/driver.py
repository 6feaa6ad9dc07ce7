"""Runs one call for its application: verbs in, hooks and call status out.

As in jambonz, verbs run one after another; those that an ack or a `redirect` brings take the place
of what is left; when none is left, the call waits for commands while the application stays.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import assert_never

import aiohttp
import structlog

from sip.b2bua.call import Call
from sip.b2bua.leg_report import LegReport
from sip.b2bua.media_failure import media_failure
from sip.media.plane import MediaError
from sip.softswitch.dialling.dialler import DialError, Dialler
from sip.softswitch.dialling.identity import ANONYMOUS, Caller, Identity
from sip.softswitch.dialling.targets import PhoneTarget
from sip.softswitch.jambonz import messages
from sip.softswitch.jambonz.link import AppError, AppLink
from sip.softswitch.jambonz.socket import AppSocket, Json
from sip.softswitch.jambonz.verbs import (
    Answer,
    Config,
    Decline,
    Dial,
    Hangup,
    Redirect,
    Tag,
    Verb,
    VerbError,
    parse_verbs,
)

log = structlog.get_logger(__name__)

#: Characters of a header's name in the log.
MAX_SHOWN = 64


class Driver:
    """One call and its application. `run` lasts as long as the call."""

    def __init__(
        self,
        link: AppLink,
        dialler: Dialler,
        identity: Identity,
        make_call: Callable[[Callable[[LegReport], None]], Call],
        session: Callable[[Call], Json],
    ) -> None:
        """`make_call(on_status)` makes the call of the caller `identity`, `session(call)` its
        `session:new`."""
        self._dialler = dialler
        self._identity = identity
        self._dropped: set[str] = set()
        self._verbs: deque[Verb] = deque()
        self._step: asyncio.Task[None] | None = None
        self._customer_data: Json = {}
        self._dialled: tuple[str, str] = ("", "")
        self._running: Verb | None = None
        self._started = False
        self.call = make_call(self._on_status)
        self.session = session(self.call)
        self._socket = AppSocket(
            link,
            self.call.ua.ids,
            call_sid=self.call.status.call_sid,
            on_command=self._on_command,
            on_gone=self._on_gone,
        )

    async def run(self) -> None:
        """Until the call is over and the application has been told."""
        try:
            if await self._begin():
                await self._work()
        except Exception:
            log.exception("call ended by an error of ours", **self._who())
        finally:
            self.call.hangup()
            await self._finish()

    def end(self) -> None:
        """Hang up, whatever is going on: by command, or because the switch is closing."""
        self._verbs.clear()
        self.call.hangup()
        self._interrupt()

    # the application's side

    async def _begin(self) -> bool:
        """Ask the application; False if it gave no verbs that can be run."""
        try:
            verbs = parse_verbs(await self._socket.open(self.session))
            if not verbs:
                raise VerbError("no application provided")
        except (AppError, VerbError) as error:
            log.error("no verbs for the call", error=str(error), **self._who())
            # jambonz answers 480 (JAMBONES_WEBHOOK_ERROR_RETURN); the reason stays in the log
            self.call.reject(480, None)
            return False
        self._started = True
        self._verbs.extend(verbs)
        self._on_status(self.call.status)
        return True

    async def _work(self) -> None:
        """Verb after verb; waits for commands when none is left."""
        while not self.call.over:
            work: Coroutine[None, None, None]
            if self._verbs and self._at_once(self._verbs[0]):
                self._verbs.popleft()
                continue
            if self._verbs:
                work = self._execute(self._verbs.popleft())
            elif self._socket.gone:
                return
            else:
                work = self.call.idle()
            self._step = asyncio.get_running_loop().create_task(work)
            try:
                await asyncio.wait([self._step])
                if not self._step.cancelled():
                    self._step.result()
            finally:
                if not self._step.done():
                    self._step.cancel()
                    await asyncio.gather(self._step, return_exceptions=True)
                self._step = None

    def _interrupt(self) -> None:
        """Stop what is being done; the next verb takes its place."""
        if self._step is not None:
            self._step.cancel()

    async def _finish(self) -> None:
        """Give back the media, say the last word, close the socket."""
        await self.call.close()
        if not self._started:
            await self._socket.close(aiohttp.WSCloseCode.GOING_AWAY)
            return
        last = messages.call_status(self.session, self.call.status, ended_by=self.call.ended_by)
        last["media"] = messages.media_counters(self.call.stats)
        self._socket.status(self._tagged(last))
        await self._socket.close()

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
                verbs = parse_verbs(data)
                queued = bool(command.get("queueCommand"))
                if not queued:
                    self._verbs.clear()
                self._verbs.extend(verbs)
                if not queued or self._waiting:
                    self._interrupt()
            case "call:status", {"call_status": "completed" | "no-answer"}:
                self.end()
            case _:
                raise VerbError(f"command {name!r} is not supported by this softswitch")

    @property
    def _waiting(self) -> bool:
        return self._running is None

    # verbs

    def _at_once(self, verb: Verb) -> bool:
        """Run a verb that takes no time; False if it is none."""
        match verb:
            case Decline():
                self.call.reject(verb.status, verb.reason, verb.headers)
            case Hangup():
                self.call.hangup(verb.headers)
            case Tag():
                self._customer_data = verb.data
            case Config():
                pass
            case Dial() | Answer() | Redirect():
                return False
            case _:
                assert_never(verb)
        return True

    async def _execute(self, verb: Verb) -> None:
        self._running = verb
        try:
            if isinstance(verb, Dial):
                await self._dial(verb)
            elif isinstance(verb, Answer):
                await self._answer()
            elif isinstance(verb, Redirect):
                await self._ask(verb.action_hook, self._tagged(self._parent()))
        finally:
            self._running = None

    async def _answer(self) -> None:
        try:
            await self.call.answer()
        except MediaError as error:
            status, reason = media_failure(error)
            log.error("cannot answer", error=str(error), **self._who())
            self.call.reject(status, reason)

    async def _dial(self, dial: Dial) -> None:
        target = dial.target
        number = target.number if isinstance(target, PhoneTarget) else str(target.uri)
        self._dialled = (number, dial.caller_id or self.session["from"])
        try:
            child = await self._place(dial)
        except DialError as error:
            log.warning("cannot dial", error=str(error), dialled=number, **self._who())
            child = self.call.refused(error.status, error.reason)
        if dial.action_hook is not None:
            result = messages.dial_result(self.session, self.call.status, child)
            await self._ask(dial.action_hook, self._tagged(result))

    async def _place(self, dial: Dial) -> LegReport:
        """The B-leg, through to its end. Raises DialError where none can be tried."""
        dialler, target, caller = self._dialler, dial.target, self._caller(dial)
        trunk = dialler.trunk_of(target)
        passed = dialler.headers(trunk, target, caller, (*dial.headers, *target.headers))
        self.note_dropped(passed.dropped)
        with dialler.room(trunk):
            attempts = await dialler.attempts(trunk, target, caller, passed.headers)
            child = await self.call.dial(
                attempts,
                answer_on_bridge=dial.answer_on_bridge,
                timeout_s=dial.timeout_s,
                time_limit_s=dial.time_limit_s,
            )
        if attempts.problems:
            log.info("gateways passed over", problems=attempts.problems, **self._who())
        return child

    def _caller(self, dial: Dial) -> Caller:
        """Whom the B-leg shows: the same caller keeps name and secrecy, another has neither."""
        number, identity = self._dialled[1], self._identity
        if number == ANONYMOUS:
            return Caller(number=number, name=dial.caller_name, withheld=identity.withheld)
        name = identity.name if number == identity.number else None
        return Caller(number=number, name=dial.caller_name or name)

    def note_dropped(self, dropped: Iterable[tuple[str, str]]) -> None:
        """Say once a call which headers do not go on."""
        for name, why in dropped:
            if name.lower() not in self._dropped:
                self._dropped.add(name.lower())
                log.info("header dropped", header=name[:MAX_SHOWN], reason=why, **self._who())

    async def _ask(self, hook: str, data: Json) -> None:
        """Call a hook; verbs in its ack take the place of what is left."""
        try:
            answer = await self._socket.hook(hook, data)
            if isinstance(answer, list) and answer:
                verbs = parse_verbs(answer)
                self._verbs.clear()
                self._verbs.extend(verbs)
        except AppError as error:
            log.warning("hook without answer", hook=hook, error=str(error), **self._who())
        except VerbError as error:
            log.warning("hook answered with bad verbs", hook=hook, error=str(error), **self._who())
            self._socket.error(str(error), answer)

    # what the application is told

    def _on_status(self, status: LegReport) -> None:
        if status.final and status.detail is not None:
            log.warning("leg failed", reason=status.detail, leg=status.sip_call_id, **self._who())
        if not self._started:
            return  # jambonz says nothing before the first ack
        if status is not self.call.status:
            number, caller_id = self._dialled
            told = messages.child_status(
                self.session, self.call.status, status, number=number, caller_id=caller_id
            )
            self._socket.status(self._tagged(told))
        elif not status.final:  # the last word comes with the media's counters
            self._socket.status(self._tagged(self._parent()))

    def _parent(self) -> Json:
        return messages.call_status(self.session, self.call.status)

    def _tagged(self, data: Json) -> Json:
        if self._customer_data:
            data["customerData"] = self._customer_data
        return data

    def _who(self) -> dict[str, str]:
        status = self.call.status
        return {"call_sid": status.call_sid, "sip_call_id": status.sip_call_id}
