"""The life of calls: made, connected, ended; with their timers, slots and webhooks."""

from collections import deque
from typing import Any, Protocol

import structlog

from sip.clock import Clock, Timer
from testkit.sandbox.errors import ApiError
from testkit.sandbox.ids import SandboxIds
from testkit.sandbox.models import AgentOverride, CreatePhoneCall, RegisterPhoneCall
from testkit.sandbox.outcomes import Ending
from testkit.sandbox.settings import Agent, SandboxSettings, Tool
from testkit.sandbox.slots import Slots
from testkit.sandbox.store import Call, Number, Status, Store, ToolUse, Way, status_of
from testkit.sandbox.webhooks import Webhooks

log = structlog.get_logger(__name__)


class Line(Protocol):
    """The SIP side of a call that is up or being dialled."""

    def hang_up(self, ending: Ending, headers: dict[str, str]) -> None:
        """End the call from the agent's side; `X-` headers go out on the BYE."""
        ...

    def use(self, tool: Tool) -> ToolUse:
        """Have the agent use a tool. Raises ApiError(422) where it cannot."""
        ...


class Calls:
    """All calls of the workspace."""

    def __init__(
        self,
        settings: SandboxSettings,
        store: Store,
        webhooks: Webhooks,
        clock: Clock,
        ids: SandboxIds,
    ) -> None:
        self.settings = settings
        self.store = store
        self.webhooks = webhooks
        self.clock = clock
        self.ids = ids
        self.slots = Slots(
            settings.concurrency_limit,
            reserved_inbound=settings.reserved_inbound,
            burst=settings.burst,
        )
        #: agents as `PUT /sandbox/agents/{id}` described them
        self.agents: dict[str, Agent] = {}
        self._lines: dict[str, Line] = {}
        self._expiry: dict[str, Timer] = {}
        self._recorded: deque[Call] = deque()

    # agents

    def agent(self, agent_id: str, override: AgentOverride | None = None) -> Agent:
        """How this agent behaves in this call. Raises ApiError(422) for one that does not exist."""
        known = self.settings.known_agents
        if known is not None and agent_id not in known:
            raise ApiError(422, f"Agent {agent_id} not found")
        agent = self.agents.get(agent_id, self.settings.agent)
        if override is None or override.agent is None:
            return agent
        changes = override.agent.model_dump(exclude_unset=True)
        if changes.get("webhook_events", ...) is None:
            changes["webhook_events"] = Agent().webhook_events
        return agent.model_copy(update=changes)

    # made

    def register(self, body: RegisterPhoneCall) -> Call:
        """Method 2: a call that waits for its id to be dialled. Raises ApiError."""
        agent = self.agent(body.agent_id, body.agent_override)
        call = self._new(Way.REGISTERED, body.direction, body.agent_id, agent, body.agent_version)
        call.from_number, call.to_number = body.from_number, body.to_number
        call.metadata = body.metadata
        call.variables = dict(body.retell_llm_dynamic_variables)
        if self.settings.register_holds_concurrency and not self.slots.take(call.call_id):
            raise ApiError(429, "Concurrency limit reached")
        self.store.add(call)
        self._expiry[call.call_id] = self.clock.call_later(
            self.settings.registered_call_ttl_s, self.expire, call
        )
        return call

    def dial_out(self, body: CreatePhoneCall, agent_id: str, version: int | str | None) -> Call:
        """An outbound call that holds its slot already. Raises ApiError."""
        agent = self.agent(agent_id, body.agent_override)
        call = self._new(Way.OUTBOUND, "outbound", agent_id, agent, version)
        call.from_number, call.to_number = body.from_number, body.to_number
        call.metadata = body.metadata
        call.variables = dict(body.retell_llm_dynamic_variables)
        call.custom_sip_headers = dict(body.custom_sip_headers)
        call.claimed = True
        if not self.slots.take(call.call_id, outbound=True):
            raise ApiError(self.settings.over_limit_status, "Concurrency limit reached")
        self.store.add(call)
        return call

    def ring_in(
        self,
        call_id: str,
        number: Number,
        from_number: str,
        agent_id: str,
        version: int | str | None,
        override: AgentOverride | None,
    ) -> Call:
        """Method 1: a call to an imported number. Raises ApiError."""
        agent = self.agent(agent_id, override)
        call = self._new(Way.INBOUND, "inbound", agent_id, agent, version, call_id=call_id)
        call.from_number, call.to_number = from_number, number.phone_number
        call.claimed = True
        self.store.add(call)
        return call

    def _new(
        self,
        way: Way,
        direction: str,
        agent_id: str,
        agent: Agent,
        version: int | str | None,
        *,
        call_id: str | None = None,
    ) -> Call:
        return Call(
            call_id=call_id or self.ids.retell_call_id(),
            way=way,
            direction=direction,
            agent_id=agent_id,
            # a tag, `latest` and `latest_published` all lead to the one version there is
            agent_version=version if isinstance(version, int) else agent.agent_version,
            agent=agent,
            from_number="",
            to_number="",
            registered_s=self.clock.now(),
            created_ms=self.now_ms(),
        )

    # connected, ended

    def connected(self, call: Call) -> None:
        """Both sides can talk now."""
        if call.status is not Status.REGISTERED:
            return
        self._stop_expiry(call)
        call.status = Status.ONGOING
        call.start_ms = self.now_ms()
        log.info("sandbox.call-started", **_ids(call))
        self.webhooks.event("call_started", call)

    def ended(self, call: Call, reason: str) -> None:
        """The call is over, for this `disconnection_reason`; once."""
        if call.status.over:
            return
        self._stop_expiry(call)
        self._lines.pop(call.call_id, None)
        self.slots.release(call.call_id)
        call.status = status_of(reason)
        call.disconnection_reason = reason
        call.end_ms = self.now_ms()
        log.info("sandbox.call-ended", reason=reason, status=call.status.value, **_ids(call))
        self.webhooks.event("call_ended", call)
        if call.connected or self.settings.analyze_unconnected:
            call.analysis = _analysis(call)
            self.webhooks.event("call_analyzed", call, after_s=self.settings.analysis_delay_s)
        self._keep_recordings(call)

    def expire(self, call: Call) -> None:
        """The registered call was not dialled in time."""
        if call.status is Status.REGISTERED and not call.claimed:
            self.ended(call, Ending.REGISTERED_TIMEOUT.value)
        elif call.status is Status.REGISTERED:
            # a peer is dialling it at this moment; if that fails, the time is over too
            self._expiry.pop(call.call_id, None)

    def unclaimed(self, call: Call) -> None:
        """The dial attempt was given up before an answer: the call waits again, or is too late."""
        call.claimed = False
        if not self.settings.register_holds_concurrency:
            self.slots.release(call.call_id)
        if call.call_id not in self._expiry:
            self.expire(call)

    def stop(self, call: Call) -> None:
        """stop-call. Raises ApiError(422) for a call that cannot be stopped."""
        line = self._lines.get(call.call_id)
        if line is not None:
            line.hang_up(Ending.STOPPED, {})
        elif call.status is Status.REGISTERED and self.settings.stop_registered == "ended":
            self.ended(call, Ending.STOPPED.value)
        else:
            raise ApiError(422, f"Call {call.call_id} is not ongoing")

    def transfer_event(self, event: str, call: Call, use: ToolUse) -> None:
        """`transfer_started`, `transfer_bridged` or `transfer_cancelled`."""
        self.webhooks.event(event, call, beside={"transfer_destination": {"number": use.target}})

    # lines

    def attach(self, call: Call, line: Line) -> None:
        self._lines[call.call_id] = line

    def line(self, call: Call) -> Line | None:
        """The SIP side, while there is one."""
        return self._lines.get(call.call_id)

    def detach(self, call: Call) -> None:
        self._lines.pop(call.call_id, None)

    def close(self) -> None:
        """Stop all timers, and send nothing."""
        for timer in self._expiry.values():
            timer.cancel()
        self._expiry.clear()

    def now_ms(self) -> int:
        return round(self.clock.epoch() * 1000)

    def _stop_expiry(self, call: Call) -> None:
        timer = self._expiry.pop(call.call_id, None)
        if timer is not None:
            timer.cancel()

    def _keep_recordings(self, call: Call) -> None:
        if call.heard is None:
            return
        self._recorded.append(call)
        while len(self._recorded) > self.settings.recordings:
            oldest = self._recorded.popleft()
            if oldest.heard is not None:
                oldest.heard.forget()


def _analysis(call: Call) -> dict[str, Any]:
    """What an analysis of tones can say."""
    return {
        "call_summary": f"A sandbox call; it ended with {call.disconnection_reason}.",
        "in_voicemail": False,
        "user_sentiment": "Unknown",
        "call_successful": call.connected,
        "custom_analysis_data": {},
    }


def _ids(call: Call) -> dict[str, str | None]:
    return {
        "retell_call_id": call.call_id,
        "way": call.way.value,
        "sip_call_id": call.sip.sip_call_id if call.sip else None,
    }
