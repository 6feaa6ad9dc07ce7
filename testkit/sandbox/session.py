"""One call's SIP side: its leg, its media, the timers that end it."""

from collections.abc import Callable, Sequence

from sip.b2bua.call_events import Cause, Confirm, Disconnect, Offer
from sip.b2bua.legs.sip_leg import SipLeg
from sip.clock import Clock, Timer
from testkit.sandbox.agent import AgentMedia, Remote
from testkit.sandbox.calls import Calls
from testkit.sandbox.ids import SandboxIds
from testkit.sandbox.negotiation import Address, Negotiator, laws
from testkit.sandbox.outcomes import Ending
from testkit.sandbox.rtp import Beat, PortPool
from testkit.sandbox.settings import SandboxSettings
from testkit.sandbox.sip_headers import outgoing
from testkit.sandbox.store import Call


class Voices:
    """Makes the agents of all calls; they share ports, beat and clock."""

    def __init__(self, settings: SandboxSettings, clock: Clock, ids: SandboxIds) -> None:
        self.settings = settings
        self.clock = clock
        self.ids = ids
        self.beat = Beat(clock)
        self._ports = PortPool(*settings.rtp_ports)

    def open(
        self, bind: str, shown: str, call: Call, codecs: Sequence[str]
    ) -> tuple[AgentMedia, Negotiator]:
        """An agent that waits for its remote side, and what makes its SDP.

        It is bound to `bind` and tells peers `shown`. Raises OSError when no port is free.
        """
        media = AgentMedia(
            self._ports.lease(bind),
            clock=self.clock,
            ids=self.ids,
            beat=self.beat,
            record_s=self.settings.record_s,
            echo_delay_ms=self.settings.echo_delay_ms,
            greeting=call.agent.greeting,
        )
        negotiator = Negotiator(
            Address(shown, media.port),
            laws(codecs),
            session_id=self.ids.ssrc(),
            order=self.settings.codec_order,
        )
        return media, negotiator


class Session:
    """A call from its answer to its end. Whoever makes it gives it the leg's later events."""

    def __init__(
        self, calls: Calls, call: Call, leg: SipLeg, media: AgentMedia, negotiator: Negotiator
    ) -> None:
        self.call = call
        self.leg = leg
        self._calls = calls
        self._clock = calls.clock
        self._settings = calls.settings
        self._media = media
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
        self._media.start(remote)
        call.heard = self._media.heard
        self._calls.attach(call, self)
        self._calls.connected(call)
        agent = call.agent
        self._start("limit", agent.max_call_duration_ms / 1000, self._end, Ending.MAX_DURATION)
        if agent.hangup_after_s is not None:
            self._start("hang up", agent.hangup_after_s, self._end, Ending.AGENT_HANGUP)
        self._watch()

    def on_event(self, event: object) -> None:
        """Events of a leg that is up."""
        match event:
            case Confirm() if self._expected is not None:
                self.begin(self._expected)
            case Offer(sdp=sdp):
                self._reoffered(sdp)
            case Disconnect(cause=cause, headers=headers):
                self._disconnected(cause, headers)

    def hang_up(self, ending: Ending, headers: dict[str, str]) -> None:
        """End the call from the agent's side."""
        if self._over:
            return
        self.leg.bye(tuple(outgoing(headers)))
        self._finish(ending.value)

    def close(self) -> None:
        """Give everything back, and send nothing."""
        self._over = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._media.close()

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
        running = self._media.remote
        agreed = self._negotiator.read(sdp, running.law if running else None)
        if agreed is None:
            self.leg.refuse(488)
            return
        held = self._media.on_hold
        self._media.move(agreed)
        self.leg.accept(self._negotiator.answer(sdp, agreed))
        heard = self._media.heard
        if held and not self._media.on_hold and heard is not None:
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
        heard = self._media.heard
        if heard is None:
            return []
        settings, start_s = self._settings, self._started_s
        quiet_s = self.call.agent.end_call_after_silence_ms / 1000
        deadlines = [((heard.last_voice_at or start_s) + quiet_s, Ending.INACTIVITY)]
        if self._media.on_hold:
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
