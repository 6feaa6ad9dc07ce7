"""Brings the agent to a person whom we have had Twilio call: what Twilio is told to do then."""

import time
from collections.abc import Callable

import structlog

from config.twilio_settings import TwilioSettings
from gateway.calls.brought_calls import Brought
from gateway.calls.endings import OUR_BUG, registration_refusal
from gateway.calls.live_call import LiveCall
from gateway.calls.live_calls import LiveCalls
from gateway.calls.metrics import Metrics
from gateway.retell.failures import RetellError
from gateway.retell.wishes import ToRegister
from gateway.retell.workspaces import RetellWorkspaces
from gateway.twilio.answers import CALL_HEADER, Answers
from gateway.twilio.placed_call import PlacedCall
from gateway.twilio.placing import ToCall
from gateway.twilio.stream_tokens import StreamCall, StreamTokens
from gateway.twilio.wishes import TRUNK

log = structlog.get_logger("gateway.twilio")


class PlacedAgents:
    """By `twilio.answer`: Retell itself, our own SIP side, or a stream."""

    def __init__(
        self,
        calls: LiveCalls,
        retell: RetellWorkspaces,
        metrics: Metrics,
        streams: StreamTokens,
        changed: Callable[[PlacedCall], None],
    ) -> None:
        """`changed` is told where something became of a call."""
        self._calls = calls
        self._retell = retell
        self._metrics = metrics
        self._streams = streams
        self._changed = changed

    async def bring(
        self, twilio: TwilioSettings, answers: Answers, call: PlacedCall, wish: ToCall
    ) -> str:
        """The document that brings it; where none can be had, one that hangs up."""
        try:
            match twilio.answer:
                case "stream":
                    return self._to_stream(answers, call, wish)
                case "edge":
                    return self._to_edge(answers, call, wish)
                case _:
                    return await self._to_retell(answers, call, wish)
        except Exception:
            log.exception("twilio.not-answered", call_sid=call.call_sid)
            call.refuse(OUR_BUG, OUR_BUG.cause, self._ms())
            return answers.hang_up()

    def forget(self, call: PlacedCall) -> None:
        """It comes to our own SIP side no more."""
        self._calls.brought.forget(CALL_HEADER, call.call_sid)

    async def _to_retell(self, answers: Answers, call: PlacedCall, wish: ToCall) -> str:
        wanted = wish.agent.registration
        assert wanted is not None, "such a plan registers"
        register = ToRegister(
            call_id=call.call_id,
            direction=wanted.direction,
            agent=wanted.agent,
            agent_version=wanted.version,
            from_number=wanted.from_number,
            to_number=wanted.to_number,
            variables=wanted.variables,
            metadata={**wanted.metadata, "twilio_call_sid": call.call_sid},
        )
        begun = time.monotonic()
        outcome = "registered"
        try:
            found = await self._retell.of(wanted.workspace).register(register)
        except RetellError as error:
            outcome = error.failure
            refusal = registration_refusal(error.failure)
            log.warning(
                "twilio.no-agent",
                call_id=call.call_id,
                cause=refusal.cause,
                fault=refusal.fault.value,
                reason=error.detail,
            )
            call.refuse(refusal, error.detail, self._ms())
            self._changed(call)
            return answers.hang_up()
        finally:
            self._metrics.register.labels(outcome).observe(time.monotonic() - begun)
        call.record.retell_call_id = found
        self._changed(call)
        return answers.placed_to_retell(call.call_id, found, wish.to_number, wish.headers)

    def _to_edge(self, answers: Answers, call: PlacedCall, wish: ToCall) -> str:
        self._expect(call, wish)
        number = wish.agent.from_number
        return answers.placed_to_edge(call.call_id, call.call_sid, number, wish.to_number)

    def _to_stream(self, answers: Answers, call: PlacedCall, wish: ToCall) -> str:
        self._expect(call, wish)
        stream = StreamCall(
            call_id=call.call_sid,
            from_number=wish.to_number,
            to_number=wish.agent.from_number,
            trunk=TRUNK,
            headers={CALL_HEADER: call.call_sid},
        )
        return answers.placed_to_stream(call.call_id, self._streams.issue(stream))

    def _expect(self, call: PlacedCall, wish: ToCall) -> None:
        """Our own SIP side is called for it at once."""

        def watch(live: LiveCall) -> None:
            if live.record.state == "ended":
                call.release()
            self._changed(call)

        self._calls.brought.expect(
            Brought(
                header=CALL_HEADER,
                value=call.call_sid,
                call_id=call.call_id,
                plan=wish.agent,
                came=call.came,
                watch=watch,
            )
        )

    def _ms(self) -> int:
        return round(self._calls.now() * 1000)
