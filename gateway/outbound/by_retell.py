"""Has Retell's API place calls (mode `retell`): each comes back to us as a call from Retell, and
goes out by our carriers.

Of one try:

    create-phone-call ─placed──> its INVITE is here ─its end─> Retell's reason ──────> Ended
            │            │          ^                                                    ^
            ├─in doubt: asked again with the same key                                    │
            │            └─over at Retell before any INVITE came───────────────────────> ┤
            └─refused──────────────────────────────────────────────────────────────────> ┘
"""

import asyncio
from contextlib import suppress
from typing import Final

import structlog

from config.settings import Settings
from gateway.calls.carriers import carriers_for, pick_of
from gateway.calls.endings import NO_ROUTE, Fault, Refusal
from gateway.calls.expected_calls import AtRetell, Expected
from gateway.calls.guard import Chooser
from gateway.calls.live_calls import LiveCalls
from gateway.calls.no_way import NoWay
from gateway.outbound.news import AgentAnswered, Ended, OnNews
from gateway.outbound.ports import NotNowError
from gateway.outbound.results import not_begun, result_of
from gateway.outbound.retell_results import NOT_DIALLED, cause_of, fault_of, of_reason, words_of
from gateway.outbound.retell_try import RetellTry
from gateway.outbound.retell_wish import to_place
from gateway.retell.client import RetellClient
from gateway.retell.failures import RetellError, RetellFailure
from gateway.retell.rooms import RetellRooms
from gateway.retell.wishes import ToPlace
from gateway.retell.workspaces import RetellWorkspaces
from gateway.storage.call_records import CallStore
from gateway.storage.errors import StorageError
from gateway.storage.queued_call import Result
from gateway.storage.retell_joins import Told, note_retell
from gateway.storage.wanted import Wanted

log = structlog.get_logger("gateway.call")


#: How often Retell is asked about a call of which nothing is heard, in seconds.
ASK_EVERY_S: Final = 20.0
#: How long nothing may be heard of a call, neither from Retell nor by SIP.
LOST_S: Final = 600.0
#: How long what is in doubt is asked again, and the pause between two times.
DOUBT_S: Final = 300.0
DOUBT_PAUSE_S: Final = 15.0
#: After the end of a call that was answered, its webhook is waited for; then Retell is asked.
SETTLE_S: Final = 2.0
#: A call that is told to end does so at once.
HANGUP_S: Final = 15.0
#: When to try again what Retell could not be asked for, where it does not say.
AGAIN_S: Final = 5.0
#: When to look again whether the number's workspace has room.
FULL_S: Final = 1.0
#: Failures before anything was sent.
_NOT_SENT: Final = frozenset({RetellFailure.UNREACHABLE, RetellFailure.NOT_ASKED})
#: Refusals that were no different for the request in doubt.
_ANSWERS: Final = frozenset(
    {
        RetellFailure.PAYMENT,
        RetellFailure.BAD_REQUEST,
        RetellFailure.UNKNOWN_AGENT,
        RetellFailure.UNKNOWN_NUMBER,
        RetellFailure.UNPROCESSABLE,
    }
)

_NO_AMD: Final = Refusal(501, "Not Implemented", "amd-unsupported", Fault.CALLER)
_NO_KEY: Final = Refusal(501, "Not Implemented", "no-api-key", Fault.OPERATOR)
_NO_FROM: Final = Refusal(484, "Address Incomplete", "no-from", Fault.CALLER)


class ByRetell:
    """The queue's `Placer` of calls that Retell places."""

    def __init__(
        self,
        settings: Settings,
        calls: LiveCalls,
        retell: RetellWorkspaces,
        store: CallStore,
        rooms: RetellRooms | None = None,
    ) -> None:
        self._settings = settings
        self._calls = calls
        self._retell = retell
        self._store = store
        self._rooms = rooms
        self._tries: dict[str, RetellTry] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def configure(self, settings: Settings) -> None:
        """Place calls by these settings from now on."""
        self._settings = settings

    async def begin(self, call_id: str, queued_id: str, wanted: Wanted, on_news: OnNews) -> None:
        """As `Placer.begin`."""
        if self._calls.draining:
            raise NotNowError("draining", AGAIN_S)
        if self._rooms is not None and self._rooms.for_number(wanted.from_number).full:
            raise NotNowError("retell-full", FULL_S)
        if (no_way := self.judge(wanted)) is not None:
            on_news(not_begun(self._calls.now(), no_way))
            return
        workspace = self._settings.retell.workspace_of(wanted.from_number)
        no_room = self._calls.placing.full(workspace, wanted.from_number)
        if no_room is not None:
            raise NotNowError(no_room.refusal.cause, FULL_S)
        one = self._tries[call_id] = RetellTry(
            call_id, queued_id, wanted, on_news, self._calls.now()
        )
        one.room = self._calls.placing.take(workspace, wanted.from_number)
        self._store.save(one.record)
        self._calls.expected.expect(self._expected(one))
        log.info("call.wanted", call_id=call_id, queued_id=queued_id, to=wanted.to_number)
        try:
            placed = await self._client(one).create_phone_call(self._wish(one))
        except RetellError as error:
            if not error.uncertain:
                await self._refused(one, error)
                return
            log.warning("call.in-doubt", call_id=call_id, failure=error.failure, error=error.detail)
        except BaseException:
            self._drop(one)
            raise
        else:
            self._placed(one, placed.call_id)
        task = asyncio.create_task(self._follow(one))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def cancel(self, call_id: str) -> bool:
        """As `Placer.cancel`."""
        one = self._tries.get(call_id)
        if one is None:
            return False
        one.cancelled = True
        one.changed.set()
        return True

    def judge(self, wanted: Wanted) -> NoWay | None:
        """As `Placer.judge`."""
        if wanted.amd is not None:
            words = (
                "Retell itself finds out who answers its calls: set voicemail_option of the agent"
            )
            return NoWay(_NO_AMD, f"{words}, or have the person called first (mode callee_first)")
        if not self._retell.for_number(wanted.from_number).usable:
            return NoWay(_NO_KEY, "retell.api_key is not set, nor a key of the number's workspace")
        if not wanted.from_number:
            return NoWay(_NO_FROM, "Retell calls from a number that is imported there: say which")
        carriers = self._carriers(wanted)
        return carriers if isinstance(carriers, NoWay) else None

    def trunks(self, wanted: Wanted) -> tuple[str, ...]:
        """As `Placer.trunks`."""
        carriers = self._carriers(wanted)
        return () if isinstance(carriers, NoWay) else carriers

    async def close(self) -> None:
        """Follow no call any more; those under way go on without us."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _carriers(self, wanted: Wanted) -> tuple[str, ...] | NoWay:
        """By which trunks the call that comes back may go."""
        to, settings = wanted.to_number, self._settings
        routed = carriers_for(settings, to, wanted.from_number, pick=pick_of(to))
        if isinstance(routed, NoWay):
            return routed
        found = [one for one in routed if wanted.trunk in (None, one)]
        if not found:
            words = f"outbound.routes leads {to} to {', '.join(routed)}, and not to {wanted.trunk}"
            return NoWay(NO_ROUTE, words)
        barred = {one: self._calls.outgoing.judge(to, one, Chooser.API) for one in found}
        left = tuple(one for one in found if barred[one] is None)
        return left or next(no_way for no_way in barred.values() if no_way is not None)

    # -- what becomes of it -----------------------------------------------------------------------

    def _expected(self, one: RetellTry) -> Expected:
        wanted = one.wanted
        return Expected(
            call_id=one.call_id,
            from_number=wanted.from_number,
            to_number=wanted.to_number,
            agent=wanted.agent,
            trunk=wanted.trunk,
            time_limit_s=wanted.time_limit_s,
            came=one.came,
            watch=one.watch,
            over=one.told,
        )

    async def _refused(self, one: RetellTry, error: RetellError) -> None:
        """Retell was not asked, or would not have it: nothing was placed."""
        throttled = error.failure is RetellFailure.THROTTLED
        if throttled and self._rooms is not None:
            self._rooms.for_number(one.wanted.from_number).throttled(error.retry_after_s)
        passing = throttled or error.failure in _NOT_SENT
        if passing and not one.cancelled:
            self._drop(one)
            try:
                await self._store.forget(one.call_id)
            except StorageError as failed:
                log.error("call.record-unwritten", call_id=one.call_id, error=str(failed))
            wait_s = AGAIN_S if error.retry_after_s is None else error.retry_after_s
            raise NotNowError(cause_of(error.failure), wait_s)
        log.warning(
            "call.not-placed",
            call_id=one.call_id,
            failure=error.failure,
            http_status=error.status or None,
            reason=words_of(error),
        )
        result = Result.CANCELLED if one.cancelled else Result.AGENT_FAILED
        self._end(one, result, cause=cause_of(error.failure), detail=words_of(error))

    def _placed(self, one: RetellTry, retell_call_id: str) -> None:
        """Retell has the call, and counts it from now on."""
        one.learnt(retell_call_id)
        one.tell(AgentAnswered(self._calls.now()))
        self._store.save(one.record)

    async def _follow(self, one: RetellTry) -> None:
        try:
            await self._to_its_end(one)
        except Exception:
            log.exception("call.not-followed", call_id=one.call_id)

    async def _to_its_end(self, one: RetellTry) -> None:
        """From the request to the end, whoever tells of it first."""
        if one.retell_call_id is None:
            await self._clear_up(one)
        quiet_s = 0.0
        while one.known and not one.settled:
            if await one.heard_within(ASK_EVERY_S):
                quiet_s = 0.0
            elif one.live is None:
                quiet_s = 0.0 if await self._ask(one) else quiet_s + ASK_EVERY_S
                if quiet_s >= LOST_S:
                    break
        if one.cancelled:
            await self._call_off(one)
        elif one.answered and one.said is None:
            await one.heard_within(SETTLE_S)
            if one.said is None:
                await self._ask(one)
        self._conclude(one)

    async def _clear_up(self, one: RetellTry) -> None:
        """Ask again, with the same key, what became of a request in doubt."""
        error: RetellError | None = None
        for _ in range(round(DOUBT_S / DOUBT_PAUSE_S)):
            await one.heard_within(DOUBT_PAUSE_S)
            if one.settled or one.known:
                return
            try:
                placed = await self._client(one).create_phone_call(self._wish(one))
            except RetellError as failed:
                error = failed
                if failed.failure in _ANSWERS:
                    break
            else:
                self._placed(one, placed.call_id)
                return
        one.failed = error

    async def _ask(self, one: RetellTry) -> bool:
        """Ask Retell how the call is; whether it said so."""
        if one.retell_call_id is None:
            return False
        try:
            found = await self._client(one).get_call(one.retell_call_id)
        except RetellError as error:
            log.info("call.unread", call_id=one.call_id, failure=error.failure, error=error.detail)
            return False
        if found.over:
            said = AtRetell(found.call_id, found.disconnection_reason, found.duration_s)
            one.told(said)
            await self._note(one, said)
        return True

    async def _note(self, one: RetellTry, said: AtRetell) -> None:
        """Put Retell's word into the record, as its webhook would."""
        try:
            await note_retell(
                self._store,
                Told(
                    call_id=one.call_id,
                    retell_call_id=said.retell_call_id,
                    disconnection_reason=said.disconnection_reason,
                ),
            )
        except StorageError as error:
            log.error("call.record-unwritten", call_id=one.call_id, error=str(error))

    async def _call_off(self, one: RetellTry) -> None:
        """End it, wherever it is."""
        live = one.live
        self._calls.expected.refuse(one.call_id)
        if live is not None and not one.over:
            self._calls.withdraw(live)
        if one.retell_call_id is not None and one.said is None:
            try:
                await self._client(one).stop_call(one.retell_call_id)
            except RetellError as error:  # it rings yet: its INVITE is what we refuse
                log.info("call.not-stopped", call_id=one.call_id, error=error.detail)
        with suppress(TimeoutError):
            async with asyncio.timeout(HANGUP_S):
                while live is not None and not one.over:
                    await one.heard_within(HANGUP_S)

    def _conclude(self, one: RetellTry) -> None:
        """Say how it ended."""
        call, said = one.live, one.said
        reason = None if said is None else said.disconnection_reason
        if one.cancelled:
            self._end(one, Result.CANCELLED, cause="cancelled")
        elif call is not None and call.machine.ending is not None:
            result = result_of(call.machine, call.machine.ending)
            if one.answered:
                result = of_reason(reason, answered=True)
            self._end(one, result, cause=call.machine.ending.cause)
        elif said is not None:
            detail = f"Retell says {reason or 'nothing'}"
            if reason in NOT_DIALLED:
                detail += (
                    ", and its INVITE did not come to anything here: look at"
                    " `retell-sip-gateway refused`, and at the number's termination URI,"
                    " user name and password at Retell"
                )
            cause = (reason or "not-connected").replace("_", "-")
            self._end(one, of_reason(reason, answered=False), cause=cause, detail=detail)
        elif one.failed is not None and one.failed.failure in _ANSWERS:
            cause, detail = cause_of(one.failed.failure), words_of(one.failed)
            self._end(one, Result.AGENT_FAILED, cause=cause, detail=detail)
        else:
            words = "Retell was asked to place it, and neither said what became of it nor called"
            self._end(one, Result.UNKNOWN, cause="nothing-heard", detail=words)

    def _end(self, one: RetellTry, result: Result, *, cause: str, detail: str = "") -> None:
        """Close its record, where no call of ours did, and tell the queue."""
        call, record, now = one.live, one.record, self._calls.now()
        reason = None if one.said is None else one.said.disconnection_reason
        if call is None:
            record.state = "ended"
            record.ended_ms = round(now * 1000)
            record.ended_by = "gateway" if one.cancelled else "caller"
            record.cause = cause[:64]
            fault = Fault.NOBODY if one.cancelled else fault_of(reason)
            record.fault = fault.value
            self._store.save(record)
            log.info(
                "call.end",
                call_id=one.call_id,
                retell_call_id=one.retell_call_id,
                direction=record.direction,
                by=record.ended_by,
                cause=cause,
                fault=record.fault,
                disconnection_reason=reason,
            )
        else:
            record = call.record
        last = call.machine.tried[-1] if call is not None and call.machine.tried else None
        self._drop(one)
        one.tell(
            Ended(
                at=now,
                result=result,
                cause=cause,
                sip_status=(last.code or None) if last is not None else record.sip_status,
                reason=last.reason if last is not None else "",
                detail=detail or (last.detail if last is not None else ""),
                retell_call_id=one.retell_call_id,
                duration_s=record.duration_s,
                cost_estimate=record.cost_estimate,
            )
        )

    def _client(self, one: RetellTry) -> RetellClient:
        return self._retell.for_number(one.wanted.from_number)

    def _wish(self, one: RetellTry) -> ToPlace:
        workspace = self._settings.retell.workspace_of(one.wanted.from_number)
        return to_place(one.call_id, one.queued_id, one.wanted, workspace.evidence)

    def _drop(self, one: RetellTry) -> None:
        one.leave_room()
        self._tries.pop(one.call_id, None)
        self._calls.expected.forget(one.call_id)
