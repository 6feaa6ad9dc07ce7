"""One call's SIP side: its leg, its media, its agent's tools, the timers that end it."""

from collections.abc import Callable
from typing import assert_never

import structlog

from sip.b2bua.call_events import Cause, Confirm, Disconnect, Offer, ReferNews
from sip.b2bua.legs.sip_leg import SipLeg
from sip.clock import Timer
from testkit.sandbox.agent import AgentMedia, Remote
from testkit.sandbox.calls import Calls
from testkit.sandbox.cold_transfer import ColdTransfer
from testkit.sandbox.errors import ApiError
from testkit.sandbox.negotiation import Negotiator
from testkit.sandbox.outcomes import Ending
from testkit.sandbox.settings import Function, Refer, Tool, Warm
from testkit.sandbox.sip_headers import outgoing
from testkit.sandbox.store import Call, Number, Outcome, ToolUse, Way
from testkit.sandbox.voices import Voices
from testkit.sandbox.warm_transfer import WarmTransfer

log = structlog.get_logger(__name__)


class Session:
    """A call from its answer to its end. Whoever makes it gives it the leg's later events."""

    def __init__(
        self,
        calls: Calls,
        call: Call,
        leg: SipLeg,
        media: AgentMedia,
        negotiator: Negotiator,
        voices: Voices,
    ) -> None:
        self.call = call
        self.leg = leg
        self.media = media
        self._calls = calls
        self._voices = voices
        self._transfer: ColdTransfer | WarmTransfer | None = None
        self._clock = calls.clock
        self._settings = calls.settings
        self._negotiator = negotiator
        self._timers: dict[str, Timer] = {}
        self._started_s = 0.0
        self._over = False
        self._expected: Remote | None = None

    # life

    def expect(self, remote: Remote) -> None:
        """The answer is out: the call begins with its ACK."""
        self._expected = remote

    def begin(self, remote: Remote) -> None:
        """The call is up: talk, listen, watch the clock."""
        call = self.call
        self._started_s = self._clock.now()
        self.media.start(remote)
        call.heard = self.media.heard
        self._calls.attach(call, self)
        self._calls.connected(call)
        agent = call.agent
        self._start("limit", agent.max_call_duration_ms / 1000, self._end, Ending.MAX_DURATION)
        if agent.hangup_after_s is not None:
            self._start("hang up", agent.hangup_after_s, self._end, Ending.AGENT_HANGUP)
        if agent.tool is not None:
            self._start("tool", agent.tool_after_s, self._use_own, agent.tool)
        self._watch()

    def on_event(self, event: object) -> None:
        """Events of a leg that is up."""
        match event:
            case Confirm() if self._expected is not None:
                self.begin(self._expected)
            case Offer(sdp=sdp):
                self._reoffered(sdp)
            case ReferNews() if isinstance(self._transfer, ColdTransfer):
                self._transfer.on_news(event)
            case Disconnect(cause=cause, headers=headers):
                self._disconnected(cause, headers)

    def hang_up(self, ending: Ending, headers: dict[str, str]) -> None:
        """End the call from the agent's side."""
        if self._over:
            return
        self.leg.bye(tuple(outgoing(headers)))
        self._finish(ending.value)

    def close(self) -> None:
        """Give everything back, and send nothing but the end of a transfer's leg."""
        self._over = True
        if self._transfer is not None:
            self._transfer.close()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self.media.close()

    # tools

    def use(self, tool: Tool) -> ToolUse:
        """The agent uses a tool. Raises ApiError(422) for a transfer that cannot be."""
        now_ms = self._calls.now_ms()
        match tool:
            case Function(url=url):
                use = ToolUse(tool.kind, url, now_ms)
                self._calls.webhooks.function(self.call, tool, use)
            case Refer(refer_to=target):
                self._transferable()
                use = ToolUse(tool.kind, target, now_ms)
                self._begin(ColdTransfer(self, tool, use), use)
            case Warm(number=target):
                number = self._transferable()
                use = ToolUse(tool.kind, target, now_ms)
                warm = WarmTransfer(self, self._calls, self._voices, number, tool, use)
                self._begin(warm, use)
            case _:
                assert_never(tool)
        self.call.tools.append(use)
        return use

    def _begin(self, transfer: ColdTransfer | WarmTransfer, use: ToolUse) -> None:
        self._transfer = transfer
        self._calls.transfer_event("transfer_started", self.call, use)
        transfer.start()

    def _use_own(self, tool: Tool) -> None:
        try:
            self.use(tool)
        except ApiError as error:
            log.warning("sandbox.tool-refused", tool=tool.kind, error=error.message)

    def transferred(self, use: ToolUse) -> None:
        """The target has the caller, or had: the agent hangs up."""
        call, use.outcome = self.call, Outcome.DONE
        call.transfer_destination, call.transfer_end_ms = use.target, self._calls.now_ms()
        self.hang_up(Ending.TRANSFERRED, {})

    def transfer_failed(self, use: ToolUse) -> None:
        """The agent is told so, and talks on."""
        use.outcome, self._transfer = Outcome.FAILED, None
        self._calls.transfer_event("transfer_cancelled", self.call, use)

    def _transferable(self) -> Number:
        """The number whose trunk a transfer goes over. Raises ApiError(422)."""
        call = self.call
        if self._transfer is not None:
            raise ApiError(422, f"Call {call.call_id} is being transferred already")
        name = call.from_number if call.way is Way.OUTBOUND else call.to_number
        number = self._calls.store.numbers.get(name)
        if call.way is Way.REGISTERED or number is None:
            # the tool exists for numbers alone (retell.com, custom-telephony)
            raise ApiError(422, f"Call {call.call_id} is on no imported number")
        return number

    def _end(self, ending: Ending) -> None:
        headers = self.call.agent.hangup_headers if ending is Ending.AGENT_HANGUP else {}
        self.hang_up(ending, headers)

    def _disconnected(self, cause: Cause, headers: tuple[tuple[str, str], ...]) -> None:
        if self._over:
            return
        if self.call.sip is not None:
            self.call.sip.bye_headers = list(headers)
        ending = Ending.USER_HANGUP if cause is Cause.BYE else Ending.LOST
        self._finish(ending.value)

    def _finish(self, reason: str) -> None:
        self.close()
        self._calls.ended(self.call, reason)

    def _reoffered(self, sdp: str | None) -> None:
        """A re-INVITE: a hold, a resume, another media address, or a session refresh."""
        if sdp is None:
            self.leg.accept(self._negotiator.offer())
            return
        running = self.media.remote
        agreed = self._negotiator.read(sdp, running.law if running else None)
        if agreed is None:
            self.leg.refuse(488)
            return
        held = self.media.on_hold
        self.media.move(agreed)
        self.leg.accept(self._negotiator.answer(sdp, agreed))
        heard = self.media.heard
        if held and not self.media.on_hold and heard is not None:
            heard.last_at = self._clock.now()  # the time on hold was no gap
        self._watch()

    # silence

    def _watch(self) -> None:
        """Sleep until the earliest moment at which silence could have lasted too long."""
        now_s = self._clock.now()
        due = self._deadlines()
        for at_s, ending in due:
            if at_s <= now_s:
                self._end(ending)
                return
        if due:
            earliest_s = min(at_s for at_s, _ in due)
            self._start("watch", max(0.01, earliest_s - now_s), self._watch)

    def _deadlines(self) -> list[tuple[float, Ending]]:
        heard = self.media.heard
        if heard is None:
            return []
        settings, start_s = self._settings, self._started_s
        quiet_s = self.call.agent.end_call_after_silence_ms / 1000
        deadlines = [((heard.last_voice_at or start_s) + quiet_s, Ending.INACTIVITY)]
        if self.media.on_hold:
            # nothing is due from a side that said it would send nothing; look again later
            wait_s = min(settings.audio_gap_s or quiet_s, quiet_s)
            return [*deadlines, (self._clock.now() + wait_s, Ending.NO_AUDIO)]
        if heard.last_at is None and settings.first_audio_s is not None:
            deadlines.append((start_s + settings.first_audio_s, Ending.NO_AUDIO))
        if heard.last_at is not None and settings.audio_gap_s is not None:
            deadlines.append((heard.last_at + settings.audio_gap_s, Ending.NO_AUDIO))
        return deadlines

    def _start(
        self, name: str, delay_s: float, callback: Callable[..., None], *args: object
    ) -> None:
        if self._over:
            return
        if name in self._timers:
            self._timers[name].cancel()
        self._timers[name] = self._clock.call_later(delay_s, callback, *args)
