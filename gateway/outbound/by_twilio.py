"""Has Twilio's account call people (mode `twilio`), listen to who answers, and bring the agent."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import structlog

from config.settings import Settings
from config.twilio_settings import TwilioSettings
from gateway.calls.endings import NO_AGENT, NO_ROUTE, WITHDRAWN, Fault, Refusal, Role
from gateway.calls.guard import Chooser
from gateway.calls.live_calls import LiveCalls
from gateway.calls.no_way import NoWay
from gateway.calls.person_routing import PersonWish, to_agent
from gateway.calls.routing import Dialling, x_headers
from gateway.outbound.news import AgentAnswered, Answered, Ended, OnNews, Ringing, each_once
from gateway.outbound.ports import NotNowError
from gateway.outbound.results import not_begun
from gateway.outbound.trunk_room import account_lane
from gateway.outbound.twilio_results import result_of
from gateway.storage.wanted import AmdWanted, Wanted
from gateway.twilio.placed_call import PlacedCall
from gateway.twilio.placed_calls import NotNowAtTwilioError, PlacedCalls
from gateway.twilio.placing import Listen, ToCall
from gateway.twilio.wishes import NOT_AT_RETELL, TRUNK

log = structlog.get_logger("gateway.call")


#: When to try again what Twilio would not take now, where it does not say, in seconds.
AGAIN_S: Final = 5.0
NO_TWILIO: Final = Refusal(501, "Not Implemented", "no-twilio", Fault.OPERATOR)
NO_MESSAGE: Final = Refusal(501, "Not Implemented", "no-message", Fault.CALLER)


class ByTwilio:
    """The queue's `Placer` of calls that Twilio places."""

    def __init__(self, settings: Settings, calls: LiveCalls, placed: PlacedCalls) -> None:
        self._settings = settings
        self._calls = calls
        self._placed = placed

    def configure(self, settings: Settings) -> None:
        """Place calls by these settings from now on."""
        self._settings = settings

    async def begin(self, call_id: str, queued_id: str, wanted: Wanted, on_news: OnNews) -> None:
        """As `Placer.begin`."""
        if self._calls.draining:
            raise NotNowError("draining", AGAIN_S)
        found = self._to_call(call_id, wanted)
        if isinstance(found, NoWay):
            on_news(not_begun(self._calls.now(), found))
            return
        log.info("call.wanted", call_id=call_id, queued_id=queued_id, to=found.to_number)
        teller = _Teller(on_news, self._calls.now)
        try:
            await self._placed.place(found, teller.tell)
        except NotNowAtTwilioError as error:
            wait_s = error.why.retry_after_s
            cause = error.why.refusal.cause
            log.info("call.not-now", call_id=call_id, cause=cause, reason=error.why.words)
            raise NotNowError(cause, AGAIN_S if wait_s is None else wait_s) from None

    def cancel(self, call_id: str) -> bool:
        """As `Placer.cancel`."""
        call = self._placed.up(call_id)
        if call is None:
            return False
        call.stop(WITHDRAWN, "somebody cancelled it")
        return True

    def judge(self, wanted: Wanted) -> NoWay | None:
        """As `Placer.judge`."""
        found = self._to_call("", wanted)
        return found if isinstance(found, NoWay) else None

    def trunks(self, wanted: Wanted) -> tuple[str, ...]:
        """As `Placer.trunks`: the account is one, with a pace of its own."""
        twilio = self._settings.twilio
        if twilio is None:
            return ()
        return (account_lane(twilio.account_for(wanted.from_number).account_sid),)

    async def close(self) -> None:
        """There is nothing of ours to end: calls are followed where they are known."""

    def _to_call(self, call_id: str, wanted: Wanted) -> ToCall | NoWay:
        """What Twilio is to be asked for, or why nobody is called."""
        settings, twilio = self._settings, self._settings.twilio
        if twilio is None:
            words = "mode twilio has the account of the section twilio call, and there is none"
            return NoWay(NO_TWILIO, words)
        if wanted.trunk is not None:
            return NoWay(
                NO_ROUTE, f"mode twilio calls by no trunk of ours: leave {wanted.trunk} out"
            )
        agent = _agent(settings, twilio, wanted, call_id)
        if isinstance(agent, NoWay):
            return agent
        listen = None if wanted.amd is None else _listen(twilio, wanted.amd)
        if isinstance(listen, NoWay):
            return listen
        outgoing, to = self._calls.outgoing, wanted.to_number
        barred = outgoing.judge(to, TRUNK, Chooser.API)
        if barred is not None:
            return barred
        limits = (wanted.time_limit_s, outgoing.time_limit_s(to, TRUNK))
        return ToCall(
            call_id=call_id,
            account_sid=twilio.account_for(wanted.from_number).account_sid,
            from_number=wanted.from_number,
            to_number=to,
            agent=agent,
            ring_timeout_s=wanted.ring_timeout_s or settings.outbound.ring_timeout_s,
            time_limit_s=min((one for one in limits if one is not None), default=None),
            headers=x_headers(wanted.headers),
            listen=listen,
        )


class _Teller:
    """Tells the queue of one call, each thing once."""

    def __init__(self, on_news: OnNews, now: Callable[[], float]) -> None:
        self._tell_once = each_once(on_news)
        self._now = now

    def tell(self, call: PlacedCall) -> None:
        """Tell what is new."""
        at = self._now()
        if call.rang:
            self._tell_once(Ringing(at))
        if call.answered:
            self._tell_once(Answered((call.record.answered_ms or round(at * 1000)) / 1000))
        if call.agent_answered:
            self._tell_once(AgentAnswered(at))
        if call.over:
            self._tell_once(_ended(call, at))


def _ended(call: PlacedCall, at: float) -> Ended:
    live = call.live
    record = call.record if live is None else live.record
    return Ended(
        at=at,
        result=result_of(call),
        cause=call.ending.cause,
        sip_status=call.ending.sip_status or None,
        reason="" if call.final is None or call.answered else call.final.status,
        detail=call.words,
        retell_call_id=record.retell_call_id,
        duration_s=call.duration_s,
        amd=call.amd,
        cost_estimate=call.cost,
    )


def _agent(
    settings: Settings, twilio: TwilioSettings, wanted: Wanted, call_id: str
) -> Dialling | NoWay:
    """The agent's part. Where Twilio itself dials Retell, the call is always registered there."""
    wish = PersonWish(
        to_number=wanted.to_number,
        from_number=wanted.from_number,
        agent=wanted.agent,
        version=wanted.agent_version,
        variables=wanted.variables,
        metadata=wanted.metadata,
        headers=wanted.headers,
        time_limit_s=wanted.time_limit_s,
    )
    plan = to_agent(settings, wish, call_id)
    if isinstance(plan, NoWay) or twilio.answer != "retell" or plan.registration is not None:
        return plan
    if plan.attempts[0].role is not Role.RETELL:
        words = f"{plan.agent} is no agent of Retell's: twilio.answer: edge reaches it"
        return NoWay(NOT_AT_RETELL, words)
    if plan.agent is None:
        words = f"name an agent, or set numbers.{plan.from_number}.agent or retell.agent"
        return NoWay(NO_AGENT, words)
    return to_agent(settings, replace(wish, agent=plan.agent), call_id)


def _listen(twilio: TwilioSettings, amd: AmdWanted) -> Listen | NoWay:
    message = amd.message or twilio.machine.message or ""
    if amd.on_machine == "message" and not message:
        words = "amd.message is missing: the words that are said to a machine"
        return NoWay(NO_MESSAGE, f"{words}; twilio.machine.message can say them for all")
    return Listen(on_machine=amd.on_machine, on_unknown=amd.on_unknown, message=message)
