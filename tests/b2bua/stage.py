"""Calls without an application: a user agent, peers on loopback, and a story that asks."""

import asyncio
import functools
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from sip.b2bua.call import Call
from sip.b2bua.call_state import CallState
from sip.b2bua.hunt import Attempt
from sip.b2bua.leg_report import LegReport, Progress
from sip.b2bua.legs.inbound import InboundLeg
from sip.b2bua.legs.leg import MakeLeg
from sip.b2bua.legs.options import LegOptions
from sip.clock import LoopClock
from sip.core.header_values import NameAddr
from sip.core.message import Request, Response
from sip.core.sdp import SessionDescription
from sip.core.uri import Uri
from sip.ids import Ids
from sip.media.plane import MediaPlane
from sip.media.terms import ANY_TERMS, MediaTerms
from sip.transport.endpoint import Endpoint, Target
from sip.ua.server_transaction import ServerTransaction
from sip.ua.user_agent import UserAgent
from tests.fakes.media import FakeMedia
from tests.ladder import PCMU, Peer, states_written
from tests.virtual import virtual_time

PEERS = ("carrier", "agent", "person")


def sdp_at(port: int) -> str:
    """What a peer says that wants its audio at `port` of loopback."""
    return PCMU.replace("40000", str(port))


def port_in(message: Request | Response | str | None) -> int:
    """The audio port that a message names."""
    body = message if isinstance(message, str) or message is None else message.body
    audio = SessionDescription.parse(body or "").audio
    assert audio is not None
    return audio.port


class Servers:
    """Attempts to place a leg, one a peer."""

    def __init__(
        self, ua: UserAgent, peers: tuple[Peer, ...], options: Callable[[str], LegOptions]
    ) -> None:
        self._ua = ua
        self._left = list(peers)
        self._options = options

    async def next(self) -> Attempt | None:
        """The next peer's."""
        if not self._left:
            return None
        peer = self._left.pop(0)
        uri = Uri.parse(f"sip:{peer.name}@127.0.0.1:{peer.port}")
        target = Target(Endpoint("udp", "127.0.0.1", peer.port), "127.0.0.1")
        return Attempt(
            uri=str(uri),
            flow=self._ua.flow_at(target),
            caller=NameAddr(None, Uri.parse("sip:gateway@127.0.0.1")),
            callee=NameAddr(None, uri),
            no_response_s=8.0,
            media_address="127.0.0.1",
            target=target,
            options=self._options(peer.name),
        )


class Stage:
    """What the stories have at hand."""

    def __init__(self, gateway: Endpoint, plane: MediaPlane | None = None) -> None:
        """Without `plane`, the calls have `media`, which carries nothing."""
        self.media = FakeMedia()
        self.plane = plane or self.media
        self.ua = UserAgent(clock=LoopClock(), ids=Ids(), on_request=self._on_request)
        self.peers = {name: Peer(name, gateway) for name in PEERS}
        self.calls: list[Call] = []
        #: how the trunk of a peer wants its media
        self.terms: dict[str, MediaTerms] = {}
        #: how the trunk of a peer wants its legs otherwise
        self.legs: dict[str, LegOptions] = {}
        #: what the application was told
        self.reports: list[LegReport] = []
        self.states: list[CallState] = []

    def peer(self, name: str) -> Peer:
        return self.peers[name]

    def servers(self, *names: str) -> Servers:
        """Attempts at the peers of these names, in turn."""
        return Servers(self.ua, tuple(self.peers[name] for name in names), self._options)

    def call(self, first: MakeLeg | None = None) -> Call:
        """A call that begins with `first`, or with a leg that the story places."""
        call = Call(self.ua, self.plane, on_status=self.reports.append, first=first)
        self.calls.append(call)
        call.start()
        return call

    def dial(self, call: Call, *names: str, **more: Any) -> asyncio.Task[LegReport]:
        """`Call.dial` of these peers, under way."""
        options: dict[str, Any] = {"answer_on_bridge": True, "timeout_s": 60, "time_limit_s": None}
        return asyncio.create_task(call.dial(self.servers(*names), **(options | more)))

    def told(self, call_sid: str) -> list[Progress]:
        """How far the application was told that one leg is, each time."""
        return [report.progress for report in self.reports if report.call_sid == call_sid]

    def hears(self, told: Request | Response | str | None) -> int | None:
        """At which port the audio arrives of whoever was told of `told`."""
        onward = self.media.onward(port_in(told))
        return onward[1] if onward is not None else None

    async def cleared(self) -> None:
        """The calls are closed and have left nothing: no dialog, transaction, media or task."""
        for call in self.calls:
            await call.close()
        for _ in range(70):
            if not any(self.ua.gauges.values()):
                break
            await asyncio.sleep(1)
        assert not any(self.ua.gauges.values()), self.ua.gauges
        assert not self.media.open_calls
        assert all(not call.state.doing and not call.state.joined for call in self.calls)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    def _on_request(self, transaction: ServerTransaction) -> None:
        assert transaction.request.method == "INVITE"
        options = self._options("carrier")
        self.call(partial(InboundLeg, self.ua, transaction, options=options))

    def _options(self, peer: str) -> LegOptions:
        """How the trunk of a peer wants its legs."""
        wanted = self.legs.get(peer, LegOptions())
        return replace(wanted, media=self.terms.get(peer, ANY_TERMS))


@asynccontextmanager
async def make_stage(plane: MediaPlane | None = None) -> AsyncIterator[Stage]:
    """A stage whose user agent listens."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        gateway = Endpoint("udp", "127.0.0.1", probe.getsockname()[1])
    stage = Stage(gateway, plane)
    await stage.ua.listen(gateway)
    try:
        with states_written() as stage.states:
            yield stage
    finally:
        await stage.ua.close()
        for peer in stage.peers.values():
            await peer.close()


def staged(story: Callable[[Stage], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Run a story on virtual time, and check that it leaves nothing open."""

    async def run() -> None:
        async with make_stage() as stage:
            await story(stage)
            await stage.cleared()

    run.__doc__ = story.__doc__
    run.__name__ = story.__name__
    return functools.wraps(run)(virtual_time(run))
