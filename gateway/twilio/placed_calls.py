"""Calls that we have Twilio place: each is asked for once, answered by its webhooks, and on record
with all that Twilio tells of it."""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from config.settings import Settings
from config.twilio_settings import TwilioSettings
from gateway.calls.live_calls import LiveCalls
from gateway.calls.metrics import Metrics
from gateway.calls.person import no_person
from gateway.calls.spend import SPEND_STOP
from gateway.retell.workspaces import RetellWorkspaces
from gateway.storage.call_records import CallStore
from gateway.storage.errors import StorageError
from gateway.twilio.answers import Answers
from gateway.twilio.course import NOT_DIALLED
from gateway.twilio.not_placed import NotPlaced, not_placed
from gateway.twilio.placed_agents import PlacedAgents
from gateway.twilio.placed_call import PlacedCall, new_placed
from gateway.twilio.placed_following import Follower
from gateway.twilio.placing import ToCall, form_of
from gateway.twilio.requests import Asked, Told
from gateway.twilio.rest import TwilioError, TwilioRest
from gateway.twilio.stream_tokens import StreamTokens
from gateway.twilio.trial import Trials
from gateway.twilio.voice_record import log_begin, log_end
from gateway.twilio.wishes import TRUNK

log = structlog.get_logger("gateway.twilio")

#: A call that is over is remembered so long, in seconds: callbacks may be late.
LINGER_S: Final = 120.0
_NOT_DIALLED: Final = (
    "Twilio was told to dial the agent and did not: a trial account has no <Dial><Sip>, or the"
    " number of calls at once is used up; the account's debugger at Twilio says which"
)

OnChange = Callable[[PlacedCall], None]


class NotNowAtTwilioError(Exception):
    """Nobody was called, and it is only a matter of time; `why` says more."""

    def __init__(self, why: NotPlaced) -> None:
        super().__init__(why.words)
        self.why = why


class PlacedCalls:
    """Every one of them. Close it to end what it started; calls that are up go on at Twilio."""

    def __init__(
        self,
        calls: LiveCalls,
        store: CallStore,
        retell: RetellWorkspaces,
        metrics: Metrics,
        *,
        streams: StreamTokens,
        settings: Callable[[], Settings],
    ) -> None:
        """`settings` are those in force; `streams` awaits the media of `twilio.answer: stream`."""
        self._calls = calls
        self._store = store
        self._metrics = metrics
        self._settings = settings
        #: as it was last: calls may outlast it
        self._kept: TwilioSettings | None = None
        self._rest = TwilioRest()
        self._trials = Trials(self._rest)
        self._agents = PlacedAgents(calls, retell, metrics, streams, self._changed)
        self._follower = Follower(self._rest, self._twilio, calls.now, self._changed)
        #: by our id, with whoever hears of them
        self._known: dict[str, tuple[PlacedCall, OnChange]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}

    async def close(self) -> None:
        """Follow no call any more."""
        for timer in self._timers.values():
            timer.cancel()
        answers = [call.answer for call, _ in self._known.values() if call.answer is not None]
        for task in (*self._tasks, *answers):
            task.cancel()
        await asyncio.gather(*self._tasks, *answers, return_exceptions=True)
        await self._trials.close()
        await self._rest.close()

    async def place(self, wish: ToCall, on_change: OnChange) -> None:
        """Have it placed; `on_change` hears of whatever becomes of it, at last that it is over.
        Raises NotNowAtTwilioError: nobody was called, and there is no record."""
        call = PlacedCall(new_placed(wish, self._ms()), wish)
        self._known[call.call_id] = call, on_change
        self._store.save(call.record)
        twilio = self._twilio()
        self._trials.look_up(twilio, wish.account_sid)
        form = form_of(wish, self._answers.placed(call.call_id))
        try:
            call_sid = await self._rest.place(twilio, wish.account_sid, form)
        except TwilioError as error:
            # it is certain that it is under way where Twilio has spoken of it
            if not error.uncertain and not call.call_sid:
                await self._not_placed(call, not_placed(error))
                return
            log.warning(
                "call.in-doubt",
                call_id=call.call_id,
                http_status=error.status or None,
                error=error.detail,
            )
        except BaseException:
            del self._known[call.call_id]
            raise
        else:
            call.learnt(call_sid)
        self._begun(call, wish)

    def up(self, call_id: str) -> PlacedCall | None:
        """That call, while it is under way."""
        found = self._known.get(call_id)
        return None if found is None or found[0].over else found[0]

    # -- what Twilio asks and tells ---------------------------------------------------------------

    async def voice(self, call_id: str, asked: Asked) -> str:
        """The person's side has answered: the document for it, the same one however often. Raises
        StorageError."""
        answers, call = self._answers, await self._find(call_id)
        if call is None or call.wish is None or call.over:
            log.warning("twilio.not-wanted", call_id=call_id, call_sid=asked.call_sid)
            return answers.hang_up()
        call.learnt(asked.call_sid)
        call.person_answered(self._ms())
        self._changed(call)
        if call.stopped is not None:
            return answers.hang_up()
        if call.answer is None:
            # a task: Twilio may give the request up, and the agent is brought all the same
            bringing = self._agents.bring(self._twilio(), answers, call, call.wish)
            call.answer = asyncio.create_task(bringing)
        return await asyncio.shield(call.answer)

    async def status(self, call_id: str, told: Told) -> None:
        """How the person's leg is. Raises StorageError."""
        call = await self._find(call_id)
        if call is not None:
            call.status(told, self._at_ms(told))
            self._changed(call)

    async def leg(self, call_id: str, told: Told) -> None:
        """How the agent's leg is. Raises StorageError."""
        call = await self._find(call_id)
        if call is not None:
            call.leg(told, told.status, self._at_ms(told))
            self._changed(call)

    async def dialled(self, call_id: str, told: Told) -> str:
        """The agent's leg is over: so is the call. Raises StorageError."""
        call = await self._find(call_id)
        if call is not None:
            call.dial_over(told, self._ms())
            self._changed(call)
        return self._answers.hang_up()

    async def connected(self, call_id: str) -> str:
        """Our own SIP side, or a stream, has let go of it: so it is over. Raises StorageError."""
        call = await self._find(call_id)
        if call is not None:
            call.release()
        return self._answers.hang_up()

    async def said(self, call_id: str) -> str:
        """A machine has the message. Raises StorageError."""
        call = await self._find(call_id)
        if call is not None:
            call.said()
            self._changed(call)
        return self._answers.hang_up()

    async def machine_told(self, call_id: str, told: Told) -> None:
        """Twilio has found out who answered; a repetition changes nothing. Raises StorageError."""
        call = await self._find(call_id)
        if call is None or call.wish is None or call.wish.listen is None or call.answered_by:
            return
        then = call.wish.listen.then(told.answered_by)
        who = told.answered_by[:32]
        log.info("twilio.answered-by", call_sid=told.call_sid, who=who, then=then)
        if call.final is not None:
            return
        call.heard(told, then)
        self._changed(call)
        if then == "message":
            await self._leave(call, call.wish, call.wish.listen.message)
        if call.then == "hangup" and call.who is not None:
            call.stop(no_person(call.who), f"Twilio says {who} answered")

    async def _leave(self, call: PlacedCall, wish: ToCall, words: str) -> None:
        """Have a message said; where that cannot be, the call ends without one."""
        document = self._answers.placed_message(call.call_id, words)
        try:
            await self._rest.go_on_with(self._twilio(), wish.account_sid, call.call_sid, document)
        except TwilioError as error:
            call.then = "hangup"
            log.error(
                "twilio.call-not-changed",
                call_sid=call.call_sid,
                http_status=error.status or None,
                error=error.detail,
            )

    # -- from the request to the end ----------------------------------------------------------

    def _begun(self, call: PlacedCall, wish: ToCall) -> None:
        call.meter = self._calls.outgoing.place_elsewhere(
            wish.to_number, TRUNK, self._calls.now, lambda words: call.stop(SPEND_STOP, words)
        )
        self._count(call)
        self._changed(call)
        task = asyncio.create_task(self._follow(call, wish), name="call at Twilio")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _not_placed(self, call: PlacedCall, why: NotPlaced) -> None:
        """Nobody was called. Raises NotNowAtTwilioError where that is only a matter of time."""
        if why.passing and call.stopped is None:
            del self._known[call.call_id]
            try:
                await self._store.forget(call.call_id)
            except StorageError as error:
                log.error("call.record-unwritten", call_id=call.call_id, error=str(error))
            raise NotNowAtTwilioError(why)
        cause = why.refusal.cause
        log.warning("call.not-placed", call_id=call.call_id, cause=cause, reason=why.words)
        call.stop(why.refusal, why.words)
        self._count(call)
        self._conclude(call)

    def _count(self, call: PlacedCall) -> None:
        self._metrics.call_started(call.record.direction, TRUNK)
        log_begin(call.record)

    async def _follow(self, call: PlacedCall, wish: ToCall) -> None:
        try:
            await self._follower.to_its_end(call, wish)
        except Exception:
            log.exception("call.not-followed", call_id=call.call_id)
        self._conclude(call)

    def _conclude(self, call: PlacedCall) -> None:
        """It is over, as far as anybody knows."""
        call.over = True
        self._agents.forget(call)
        if call.meter is not None:
            call.meter.end(self._calls.now())
        self._changed(call)
        if call.live is None:
            record, ending = call.record, call.ending
            if ending == NOT_DIALLED:
                log.error(
                    "twilio.not-dialled",
                    call_id=call.call_id,
                    call_sid=call.call_sid,
                    reason=_NOT_DIALLED,
                    fault=ending.fault.value,
                )
            self._metrics.call_ended(record.direction, TRUNK, ending, [], record.duration_s)
            log_end(record, ending)
        loop = asyncio.get_running_loop()
        self._timers[call.call_id] = loop.call_later(LINGER_S, self._forget, call.call_id)

    def _forget(self, call_id: str) -> None:
        self._known.pop(call_id, None)
        self._timers.pop(call_id, None)

    def _changed(self, call: PlacedCall) -> None:
        """Something is new of it: keep it, and tell."""
        record = call.record
        if call.answered and call.meter is not None:
            call.meter.answered((record.answered_ms or record.started_ms) / 1000)
        if call.live is None:  # else our own SIP side keeps the record
            call.note_cost()
            if call.is_news("answered", call.answered):
                setup_s = ((record.answered_ms or record.started_ms) - record.started_ms) / 1000
                self._metrics.call_answered(record.direction, TRUNK, setup_s)
            if call.over or (call.wish is None and call.final is not None):
                call.conclude(self._ms())
            self._store.save(record)
        known = self._known.get(call.call_id)
        if known is not None:
            known[1](call)

    async def _find(self, call_id: str) -> PlacedCall | None:
        """That call; one of a former run has its record, and nobody who waits for it. Raises
        StorageError."""
        known = self._known.get(call_id)
        if known is not None:
            return known[0]
        record = await self._store.get(call_id)
        if record is None or record.trunk != TRUNK or record.direction != "outbound":
            log.info("twilio.unknown-call", call_id=call_id)
            return None
        return PlacedCall(record)

    def _twilio(self) -> TwilioSettings:
        self._kept = self._settings().twilio or self._kept
        assert self._kept is not None, "without it nothing is placed"
        return self._kept

    @property
    def _answers(self) -> Answers:
        return Answers(self._settings(), self._twilio())

    def _ms(self) -> int:
        return round(self._calls.now() * 1000)

    def _at_ms(self, told: Told) -> int:
        """When it happened: callbacks may come late, but not from the future."""
        return self._ms() if told.at_ms is None else min(told.at_ms, self._ms())
