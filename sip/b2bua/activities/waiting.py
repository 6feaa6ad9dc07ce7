"""A leg has answered and waits to be joined to the leg that it was placed for."""

from sip.b2bua.activities.idle import hold
from sip.b2bua.activities.talking import Talking
from sip.b2bua.bridge import Bridge, bring_to_host
from sip.b2bua.call_events import Described, Disconnect, Event, Offer, Referred
from sip.b2bua.hub import Hub
from sip.b2bua.leg_report import LegReport
from sip.b2bua.legs.leg import Leg
from sip.b2bua.rooms import seat_of_host
from sip.media.plane import Capability, Withheld


class Waiting:
    """A guest whose host may be talking elsewhere. The outcome is the guest's report."""

    name = "waiting"

    def __init__(self, bridge: Bridge, legs: tuple[str, str]) -> None:
        """`legs` are the names of host and guest."""
        self.legs = legs
        self._bridge = bridge
        self._hushed = False

    def start(self, call: Hub) -> None:
        """Nothing happens until they are joined, or one of them is gone."""
        self._call = call

    def on(self, leg: Leg, event: Event) -> bool:
        """The guest's offers are answered with what the host said last."""
        if isinstance(event, Disconnect) and leg in (self._bridge.host, self._bridge.guest):
            self._call.finish(self, self.stop())
            return False
        if leg is not self._bridge.guest:
            return False
        if isinstance(event, Offer | Described):
            self._bridge.negotiate(leg, event)
        return not isinstance(event, Referred)

    def stop(self) -> LegReport:
        """Hang up the guest."""
        self._bridge.close()
        self._call.hang_up_leg(self.legs[1], self._bridge.guest)
        return self._call.reports[self.legs[1]]

    @property
    def bridge(self) -> Bridge:
        """What joins guest and host once the host comes."""
        return self._bridge

    async def hush(self) -> None:
        """The guest is attended to alone: what it says stays here until it is joined.

        Else the host's side would be sent it, from where it expects nothing. Raises MediaError.
        """
        media = self._bridge.seat.room.media
        if Capability.WITHHOLD in media.capabilities:
            self._hushed = True
            await media.withhold(self._bridge.seat.tag, Withheld.BLOCKED)

    async def join(self, *, time_limit_s: float | None = None) -> bool:
        """Have the host change to the guest's room; whoever it talked to is hung up.

        A host that waits for our answer gets it. The two may talk for `time_limit_s` seconds.
        False where the host does not change, or one of them is gone: then all stays as it was.
        Raises MediaError.
        """
        call, bridge = self._call, self._bridge
        if self._hushed:
            self._hushed = False
            await bridge.seat.room.media.let_pass(bridge.seat.tag, Withheld.BLOCKED)
        host = bridge.host
        self._answer_early()
        stays = host.up and not host.takes_reinvites
        sdp = await (self._bring_guest() if stays else self._bring_host())
        if sdp is None or self not in call.running(Waiting):
            if stays:
                await self._renew_talk()
            elif sdp is not None:
                await self._return_host()
            return False
        for talking in call.running(Talking):
            if host in (talking.host, talking.guest):
                talking.give_way(host)
        call.rooms.sit(host, seat_of_host(self._bridge.seat.room))
        call.follow(self, Talking(self._bridge, self.legs, sdp, time_limit_s=time_limit_s))
        await call.rooms.close_empty()
        return True

    async def _bring_guest(self) -> str | None:
        """The same for a host that takes no re-INVITE: it stays, and the guest changes over.

        Who talks to it hears it no more from then on.
        """
        brought = await bring_to_host(self._call, self._bridge.host, self._bridge.guest)
        if brought is None:
            return None
        self._bridge.close()
        self._bridge, sdp = brought
        return sdp

    async def _renew_talk(self) -> None:
        """The guest did not come after all: who talks to the host is offered its media anew."""
        for talking in self._call.running(Talking):
            if talking.host is self._bridge.host:
                await talking.renew()

    async def _return_host(self) -> None:
        """The host came, and the guest was gone: it is where it was before, and is told so."""
        host = self._bridge.host
        if host.gone:
            return
        for talking in self._call.running(Talking):
            if host in (talking.host, talking.guest):
                await talking.bridge.bring_back(host)
                return
        await self._call.ask(host, await hold(self._call, host, host.remote_sdp))

    async def _bring_host(self) -> str | None:
        """What the host is told, so that it hears the guest; None where it does not come."""
        bridge = self._bridge
        host, guest = bridge.host, bridge.guest
        if not host.up and not host.gone:
            return await (bridge.renew() if bridge.lost else bridge.answer(guest.remote_sdp or ""))
        return bridge.renewed or host.local_sdp or "" if await bridge.bring_host() else None

    def _answer_early(self) -> None:
        """A host that hears us already, before our answer, is answered with what it was told.

        That may not change (RFC 3261 13.2.1): it changes over after it.
        """
        call, host, name = self._call, self._bridge.host, self.legs[0]
        if host.up or host.local_sdp is None:
            return
        if host.answer(host.local_sdp):
            call.tell(name, call.reports[name].answered(call.ua.clock.now()))
