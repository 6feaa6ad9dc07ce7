"""A leg without SIP, as a media stream over a WebSocket is one: it does what its script says."""

from collections.abc import Callable

from sip.b2bua.call_events import Cause, Disconnect, Event, Headers, Offer, OfferEnded, Side
from sip.b2bua.legs.leg import Direction, OnEvent, unheard
from sip.clock import Clock
from sip.core.body import Body
from sip.media.terms import KeyForm, MediaSide, Signalling


class StreamKeys:
    """A stream's keys are in its media."""

    wish = KeyForm.AUTO
    form = KeyForm.EVENTS

    def press(self, key: str, duration_ms: int) -> bool:
        return False


class StreamLeg:
    """Its peer waits for an answer; its audio is at a port of loopback, which `sdp` names."""

    direction = Direction.INBOUND
    takes_reinvites = True
    sip_call_id = "stream-1"
    media_side = MediaSide("127.0.0.1", Signalling("127.0.0.1"))
    hops_left = 70
    keys = StreamKeys()

    def __init__(self, clock: Clock, sdp: str, on_event: OnEvent) -> None:
        self.local_sdp: str | None = None
        self.remote_sdp: str | None = sdp
        self.settled = self.up = self.gone = False
        #: what the call asked of it, in order
        self.asked: list[str] = []
        self._clock = clock
        self._emit_to = on_event
        self._offered: str | None = None

    # what the call asks

    def start(self) -> None:
        self.asked.append("start")

    def ring(self, status: int = 180, reason: str | None = None, *, sdp: str | None = None) -> None:
        self.asked.append(f"ring {status}")

    def answer(self, sdp: str) -> bool:
        if self.up or self.gone:
            return False
        self.asked.append("answer")
        self.local_sdp = sdp
        self.settled = self.up = True
        return True

    def reject(self, status: int, reason: str | None = None, headers: Headers = ()) -> str:
        self.asked.append(f"reject {status}")
        self._leave()
        return reason or ""

    def hangup(self, headers: Headers = ()) -> None:
        self.asked.append("hangup")
        self._leave()

    def reoffer(self, sdp: str) -> bool:
        """A stream takes what it gets; it hears of it at once."""
        if not self.up:
            return False
        self.asked.append("reoffer")
        self.local_sdp = sdp
        self._emit(OfferEnded(at=self._clock.now(), status=200, sdp=self.remote_sdp))
        return True

    def accept(self, sdp: str) -> bool:
        self.asked.append("accept")
        self.local_sdp = sdp
        self.remote_sdp, self._offered = self._offered or self.remote_sdp, None
        return True

    def refuse(self, status: int) -> None:
        if self._offered is not None:
            self.asked.append(f"refuse {status}")
            self._offered = None

    def refer(
        self, refer_to: str, *, referred_by: str | None, headers: Headers, wait_s: float
    ) -> bool:
        """A stream cannot be sent elsewhere."""
        return False

    def send(
        self,
        method: str,
        *,
        body: Body | None,
        headers: Headers,
        told: Callable[[int | None], None],
    ) -> bool:
        """It has no dialog."""
        return False

    # what its peer does

    def peer_hangs_up(self) -> None:
        """The stream was closed by its other end."""
        self.up, self.gone = False, True
        self._emit(Disconnect(at=self._clock.now(), by=Side.PEER, cause=Cause.BYE))
        self._emit_to = unheard

    def peer_offers(self, sdp: str) -> None:
        """The stream moves to another port."""
        self._offered = sdp
        self._emit(Offer(at=self._clock.now(), sdp=sdp))

    def _emit(self, event: Event) -> None:
        self._emit_to(self, event)

    def _leave(self) -> None:
        self.up, self.gone = False, True
        self._emit_to = unheard
