"""Calls of Twilio Programmable Voice: each is answered once, however often Twilio asks, and has one
record, which its callbacks complete."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import structlog

from config.settings import Settings
from config.twilio_settings import TwilioSettings
from gateway.calls.endings import OUR_BUG, SHUTDOWN, Ending, Fault, Role, registration_refusal
from gateway.calls.live_calls import LiveCalls, new_call_id
from gateway.calls.metrics import Metrics
from gateway.retell.failures import RetellError
from gateway.retell.workspaces import RetellWorkspaces
from gateway.storage.call_records import CallRecord, CallStore
from gateway.storage.errors import StorageError
from gateway.twilio import course
from gateway.twilio.answers import CALL_HEADER, Answers
from gateway.twilio.machines import Machines, wanted
from gateway.twilio.requests import FINAL, Asked, Told
from gateway.twilio.stream_tokens import StreamCall, StreamTokens
from gateway.twilio.twiml import LONGEST_S
from gateway.twilio.voice_call import VoiceCall
from gateway.twilio.voice_record import log_begin, log_end, new_record
from gateway.twilio.wishes import TRUNK, Nobody, Wish, wish_of

log = structlog.get_logger("gateway.twilio")

#: Seconds after an answer within which Twilio dials, and tells so.
DIALS_S: Final = 30.0
#: Seconds for which a call that is over is remembered: requests for it may be repeated.
LINGER_S: Final = 120.0
#: No call lasts longer than this and its ringing, in seconds.
_SPARE_S: Final = 900.0
_NOT_DIALLED: Final = (
    "Twilio was told to dial Retell and did not: a trial account has no <Dial><Sip>, or the number"
    " of calls at once is used up; the account's debugger at Twilio says which"
)


class VoiceCalls:
    """Every call that Twilio asks about. Close it to end what it started."""

    def __init__(
        self,
        calls: LiveCalls,
        store: CallStore,
        retell: RetellWorkspaces,
        metrics: Metrics,
        *,
        streams: StreamTokens,
        now: Callable[[], float],
    ) -> None:
        """`now` is seconds since 1970; `streams` awaits the media of `twilio.answer: stream`."""
        self._calls = calls
        self._store = store
        self._retell = retell
        self._metrics = metrics
        self._now = now
        self._streams = streams
        self._machines = Machines()
        #: by Twilio's CallSid
        self._known: dict[str, VoiceCall] = {}

    def __len__(self) -> int:
        return len(self._known)

    async def close(self) -> None:
        """End our tasks and timers; calls that are up keep their open record."""
        answers = [call.answer for call in self._known.values() if call.answer is not None]
        for answer in answers:
            answer.cancel()
        await asyncio.gather(*answers, return_exceptions=True)
        for call in self._known.values():
            if call.timer is not None:
                call.timer.cancel()
        await self._machines.close()

    async def answer(self, settings: Settings, twilio: TwilioSettings, asked: Asked) -> str:
        """The document for a call; the same one where Twilio asks again."""
        call = self._known.setdefault(asked.call_sid, VoiceCall(call_sid=asked.call_sid))
        if call.answer is None:
            # a task: Twilio may give the request up, and the call is registered all the same
            call.answer = asyncio.create_task(self._answer(settings, twilio, call, asked))
        return await asyncio.shield(call.answer)

    async def leg_told(self, twilio: TwilioSettings, call_id: str, role: Role, told: Told) -> None:
        """A callback about a leg that was dialled for that call."""
        call = await self._find(call_id, told.parent_call_sid)
        if call is not None:
            course.leg_told(call.record, role, _target(twilio, role), told, self._at_ms(told))
            self._noted(call)

    async def dial_over(
        self, settings: Settings, twilio: TwilioSettings, call_id: str, role: Role, told: Told
    ) -> str:
        """The dial is over: what the call does next."""
        answers = Answers(settings, twilio)
        call = await self._find(call_id, told.call_sid)
        if call is None:
            return answers.hang_up()
        record, at_ms = call.record, self._ms()
        course.dial_over(record, role, _target(twilio, role), told, at_ms)
        # by Twilio's word, not the record's: a repetition has the same answer
        goes_on = told.status not in FINAL
        if role is Role.RETELL and goes_on and not course.answered(record):
            log.warning(
                "twilio.agent-not-reached",
                call_id=call_id,
                status=told.dial_status,
                code=record.attempts[0]["code"],
                fault="retell",
            )
            if twilio.fallback.dial is None:
                course.ended(record, None, at_ms)
            self._noted(call)
            return answers.fallback(call_id)
        if record.state == "live":
            course.ended(record, None, at_ms)
        self._noted(call)
        return answers.hang_up()

    def let_go(self, settings: Settings, twilio: TwilioSettings, told: Told) -> str:
        """Our SIP side, or a stream, has let go of a call: what it does next."""
        call = self._known.get(told.call_sid)
        unanswered = told.dial_status in FINAL - {"completed"}
        if call is not None and call.streamed is not None:
            unanswered = not call.streamed
        answers = Answers(settings, twilio)
        if not unanswered or told.status in FINAL:
            return answers.hang_up()
        log.warning(
            "twilio.edge-not-reached",
            call_sid=told.call_sid,
            status=told.dial_status or None,
            code=told.sip_code or None,
            fault=Fault.OPERATOR.value,
        )
        return answers.fallback(None)

    async def call_told(self, told: Told) -> None:
        """The status callback of a call; nothing is known of those that our SIP side carries."""
        if told.status not in FINAL:
            return
        call = await self._find(None, told.call_sid)
        if call is not None:
            course.call_over(call.record, told, self._at_ms(told))
            self._noted(call)

    async def machine_told(self, settings: Settings, twilio: TwilioSettings, told: Told) -> None:
        """Twilio has found out who answered a call that it placed."""
        await self._machines.told(Answers(settings, twilio), twilio, told)

    # -- parts --------------------------------------------------------------------------------

    async def _answer(
        self, settings: Settings, twilio: TwilioSettings, call: VoiceCall, asked: Asked
    ) -> str:
        answers = Answers(settings, twilio)
        try:
            return await self._document(settings, twilio, answers, call, asked)
        except Exception:
            log.exception("twilio.not-answered", call_sid=call.call_sid)
            if call.on_record:
                return self._refused(twilio, answers, call, Nobody(OUR_BUG, OUR_BUG.cause))
            return answers.fallback(None)
        finally:
            if not call.on_record:
                remembered_s = LINGER_S if call.streamed is None else LONGEST_S
                self._after(call, remembered_s, self._forget)

    async def _document(
        self,
        settings: Settings,
        twilio: TwilioSettings,
        answers: Answers,
        call: VoiceCall,
        asked: Asked,
    ) -> str:
        then = wanted(twilio, asked.answered_by)
        if then != "agent":
            return answers.message() if then == "message" else answers.hang_up()
        if twilio.answer == "edge":
            return answers.to_edge(asked)
        if twilio.answer == "stream":
            return self._stream(answers, call, asked)
        try:
            await self._adopt(call)
        except StorageError as error:  # at worst it is registered twice, and dialled once
            log.error("twilio.record-unread", call_sid=call.call_sid, error=str(error))
        if call.on_record:
            return self._again(answers, call.record)
        return await self._register(settings, twilio, answers, call, asked)

    def _stream(self, answers: Answers, call: VoiceCall, asked: Asked) -> str:
        if self._calls.draining:
            return answers.fallback(None)

        def over(answered: bool) -> None:
            call.streamed = answered

        call.streamed = False
        stream = StreamCall(
            call_id=asked.call_sid,
            from_number=asked.from_number,
            to_number=asked.dialled or asked.to_number,
            trunk=TRUNK,
            headers={CALL_HEADER: asked.call_sid},
            on_over=over,
        )
        return answers.to_stream(asked, self._streams.issue(stream))

    def _again(self, answers: Answers, record: CallRecord) -> str:
        """The answer of before, as long as its call may be dialled yet."""
        young = self._ms() - record.started_ms < DIALS_S * 1000
        if record.retell_call_id is not None and not record.attempts and young:
            return answers.to_retell(record.call_id, record.retell_call_id, None)
        log.warning("twilio.repeated", call_id=record.call_id, call_sid=record.call_sid)
        return answers.hang_up()

    async def _register(
        self,
        settings: Settings,
        twilio: TwilioSettings,
        answers: Answers,
        call: VoiceCall,
        asked: Asked,
    ) -> str:
        call_id = new_call_id(self._now())
        found = wish_of(settings, self._calls.planner, self._calls.incoming, asked, call_id)
        if self._calls.draining:
            found = Nobody(SHUTDOWN, "the gateway is about to end")
        self._begin(call, asked, call_id, found)
        if isinstance(found, Nobody):
            return self._refused(twilio, answers, call, found)
        if not asked.outbound:
            self._calls.incoming.begin(call, found.rules)
        begun = time.monotonic()
        outcome = "registered"
        try:
            client = self._retell.of(found.workspace)
            call.record.retell_call_id = await client.register(found.register)
        except RetellError as error:
            outcome = error.failure
            refused = Nobody(registration_refusal(error.failure), error.detail)
            return self._refused(twilio, answers, call, refused)
        finally:
            self._metrics.register.labels(outcome).observe(time.monotonic() - begun)
        self._store.save(call.record)
        self._after(call, DIALS_S, self._not_dialled)
        longest = None if call.longest is None else call.longest.seconds
        return answers.to_retell(call_id, call.record.retell_call_id, longest)

    def _begin(self, call: VoiceCall, asked: Asked, call_id: str, found: Wish | Nobody) -> None:
        """Put it on record."""
        agent = found.register.agent if isinstance(found, Wish) else None
        call.record = record = new_record(call_id, asked, agent, self._ms())
        call.on_record = True
        self._store.save(record)
        self._metrics.call_started(record.direction, record.trunk)
        log_begin(record)

    def _refused(
        self, twilio: TwilioSettings, answers: Answers, call: VoiceCall, nobody: Nobody
    ) -> str:
        refusal = nobody.refusal
        log.warning(
            "twilio.no-agent",
            call_id=call.record.call_id,
            cause=refusal.cause,
            fault=refusal.fault.value,
            reason=nobody.why,
        )
        at_ms = self._ms()
        course.refuse(call.record, refusal, nobody.why, at_ms)
        if twilio.fallback.dial is None:
            course.ended(call.record, None, at_ms)
        else:
            self._after(call, LONGEST_S + _SPARE_S, self._lost)
        self._noted(call)
        return answers.fallback(call.record.call_id)

    def _not_dialled(self, call: VoiceCall) -> None:
        if call.record.attempts or call.record.state != "live":
            self._after(call, LONGEST_S + _SPARE_S, self._lost)
            return
        log.error(
            "twilio.not-dialled",
            call_id=call.record.call_id,
            call_sid=call.record.call_sid,
            reason=_NOT_DIALLED,
            fault=Fault.OPERATOR.value,
        )
        self._end(call, course.DIAL_UNTOLD)

    def _lost(self, call: VoiceCall) -> None:
        self._end(call, None if course.answered(call.record) else course.UNTOLD)

    def _end(self, call: VoiceCall, ending: Ending | None) -> None:
        if call.record.state == "live":
            course.ended(call.record, ending, self._ms())
        self._noted(call)

    async def _find(self, call_id: str | None, call_sid: str) -> VoiceCall | None:
        """A call of ours; the one that `call_id` names, if any. Raises StorageError."""
        call = self._known.get(call_sid)
        if call is None:
            call = VoiceCall(call_sid=call_sid)
            await self._adopt(call)
            if call.on_record:
                # another callback may have read it meanwhile
                call = self._known.setdefault(call_sid, call)
        if not call.on_record or call_id not in (None, call.record.call_id):
            log.info("twilio.unknown-call", call_id=call_id, call_sid=call_sid)
            return None
        return call

    async def _adopt(self, call: VoiceCall) -> None:
        """Go on with the record of a former run, or of a call that is long over, where there is
        one. Raises StorageError."""
        # what is not written yet is of calls that are known
        record = await self._store.by_call_sid(call.call_sid, settled=False)
        if record is not None and record.trunk == TRUNK and not call.on_record:
            call.record, call.on_record = record, True
            call.told_answer = call.told_end = True
            self._after(call, LONGEST_S, self._forget)

    def _noted(self, call: VoiceCall) -> None:
        """Something is new of it."""
        record = call.record
        self._store.save(record)
        answered = course.answered(record)
        if answered and not call.told_answer:
            call.told_answer = True
            setup_s = max(0, (record.answered_ms or record.started_ms) - record.started_ms) / 1000
            self._metrics.call_answered(record.direction, record.trunk, setup_s)
        if record.state == "live":
            return
        if not call.told_end:
            call.told_end = True
            self._over(call, record)
        self._after(call, LINGER_S, self._forget)

    def _over(self, call: VoiceCall, record: CallRecord) -> None:
        self._calls.incoming.end(call)
        ending = Ending(
            record.ended_by or "gateway",
            record.cause or course.UNTOLD.cause,
            record.sip_status or 0,
            Fault(record.fault or Fault.UNKNOWN),
        )
        self._metrics.call_ended(record.direction, record.trunk, ending, [], record.duration_s)
        log_end(record, ending)

    def _forget(self, call: VoiceCall) -> None:
        if self._known.get(call.call_sid) is call:
            del self._known[call.call_sid]

    def _after(self, call: VoiceCall, delay_s: float, then: Callable[[VoiceCall], None]) -> None:
        if call.timer is not None:
            call.timer.cancel()
        call.timer = asyncio.get_running_loop().call_later(delay_s, then, call)

    def _ms(self) -> int:
        return round(self._now() * 1000)

    def _at_ms(self, told: Told) -> int:
        """When it happened: callbacks may come late, but not from the future."""
        return self._ms() if told.at_ms is None else min(told.at_ms, self._ms())


def _target(twilio: TwilioSettings, role: Role) -> str:
    """Whom a leg of that role calls."""
    return course.REGISTERED if role is Role.RETELL else twilio.fallback.dial or ""
