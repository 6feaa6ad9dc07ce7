"""The media of all calls: agents, and the session descriptions that they are told in."""

from collections.abc import Sequence

from sip.clock import Clock
from testkit.sandbox.agent import AgentMedia
from testkit.sandbox.ids import SandboxIds
from testkit.sandbox.negotiation import Address, Negotiator, laws
from testkit.sandbox.rtp import Beat, PortPool
from testkit.sandbox.settings import SandboxSettings
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
