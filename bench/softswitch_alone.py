"""The softswitch without gateway, WebSocket and database: a program for the benchmark to measure.

    python -m bench.softswitch_alone --port 5060 --agent-port 5070 [--media]

Without `--media` session descriptions pass as they are, as sippy's example passes them; with it
the relay runs as the gateway runs it.
"""

import argparse
import asyncio
import signal
from contextlib import AsyncExitStack

import uvloop

from bench.scripted_application import ScriptedLink
from bench.sipp import AGENT_HOST, CALLER_HOST, TESTED_HOST
from config.settings import LimitSettings, SipAuthSettings, SipSettings
from config.values import Source
from sip import collector
from sip.clock import LoopClock
from sip.core.uri import Uri
from sip.ids import Ids
from sip.media.detection.terms import DetectionTerms
from sip.media.events import Listener
from sip.media.plane import (
    Capability,
    EngineStatistics,
    MediaError,
    MediaPlane,
    MediaStats,
    Playable,
    Subscription,
    Withheld,
)
from sip.media.supervisor import RelayOptions, RelayProcess
from sip.media.terms import ANY_TERMS, MediaTerms, Signalling
from sip.softswitch.admission.gatekeeper import Gatekeeper
from sip.softswitch.softswitch import Softswitch
from sip.softswitch.trunks.trunk import Trunk, Trunks
from sip.transport.advertise import Public
from sip.transport.endpoint import Endpoint

_UNLIMITED = 1_000_000
_PORTS = (30_000, 45_999)


class PassThrough:
    """A media plane that lets the parties talk to each other directly."""

    capabilities: frozenset[Capability] = frozenset()
    ports: tuple[int, int] | None = None
    heard_at: float | None = None

    def listen(
        self,
        call_id: str,
        listener: Listener,
        *,
        fax_of: str | None = None,
        detects: bool = False,
    ) -> None:
        """There is nothing to tell: no packet passes here."""

    async def play(
        self, call_id: str, tag: str, sound: Playable, play_id: int, *, times: int = 1
    ) -> None:
        raise MediaError("unsupported", "no packet passes here")

    async def stop_play(self, call_id: str, tag: str) -> None:
        raise MediaError("unsupported", "no packet passes here")

    async def record(self, call_id: str, recording: str, left: str) -> None:
        raise MediaError("unsupported", "no packet passes here")

    async def detect(self, call_id: str, tag: str, number: int, terms: DetectionTerms) -> None:
        raise MediaError("unsupported", "no packet passes here")

    async def stop_detecting(self, call_id: str, tag: str, number: int) -> None:
        raise MediaError("unsupported", "no packet passes here")

    async def pause_recording(self, call_id: str) -> None:
        raise MediaError("unsupported", "no packet passes here")

    async def stop_recording(self, call_id: str) -> None:
        raise MediaError("unsupported", "no packet passes here")

    async def offer(
        self,
        call_id: str,
        from_tag: str,
        sdp: str,
        *,
        to_tag: str | None = None,
        media_address: str | None = None,
        received_from: Signalling | None = None,
        sender: MediaTerms = ANY_TERMS,
        reader: MediaTerms = ANY_TERMS,
    ) -> str:
        return sdp

    async def answer(
        self,
        call_id: str,
        from_tag: str,
        to_tag: str,
        sdp: str,
        *,
        media_address: str | None = None,
        received_from: Signalling | None = None,
        sender: MediaTerms = ANY_TERMS,
        reader: MediaTerms = ANY_TERMS,
    ) -> str:
        return sdp

    async def delete(self, call_id: str) -> MediaStats:
        return MediaStats()

    async def query(self, call_id: str) -> MediaStats:
        return MediaStats()

    async def press(self, call_id: str, tag: str, key: str, duration_ms: int) -> None:
        return

    async def withhold(self, call_id: str, tag: str, how: Withheld) -> None:
        raise MediaError("unsupported", "no packet passes here")

    async def let_pass(self, call_id: str, tag: str, how: Withheld) -> None:
        raise MediaError("unsupported", "no packet passes here")

    async def subscribe(self, call_id: str, tag: str) -> Subscription:
        raise MediaError("unsupported", "no packet passes here")

    async def answer_subscription(self, call_id: str, tag: str, sdp: str) -> None:
        raise MediaError("unsupported", "no packet passes here")

    async def unsubscribe(self, call_id: str, tag: str) -> None:
        raise MediaError("unsupported", "no packet passes here")

    async def calls(self) -> tuple[str, ...]:
        return ()

    async def statistics(self) -> EngineStatistics:
        return EngineStatistics()

    async def ping(self) -> None:
        return

    async def close(self) -> None:
        return


async def _serve(port: int, agent_port: int, *, with_media: bool) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    trunks = Trunks(
        [
            Trunk(name="carrier", gateways=(), sources=(Source.parse(f"{CALLER_HOST}/32"),)),
            Trunk(name="agent", gateways=(Uri.parse(f"sip:{AGENT_HOST}:{agent_port}"),)),
        ]
    )
    clock = LoopClock()
    async with AsyncExitStack() as stack:
        media: MediaPlane = PassThrough()
        if with_media:
            options = RelayOptions(advertise=TESTED_HOST, listen=TESTED_HOST, ports=_PORTS)
            relay = await stack.enter_async_context(RelayProcess(options, clock=clock))
            media = relay.plane
        switch = Softswitch(
            clock=clock,
            ids=Ids(),
            media=media,
            trunks=trunks,
            gatekeeper=Gatekeeper(clock, trunks, "bench", b"bench", SipAuthSettings()),
            link=ScriptedLink("agent"),
            limits=LimitSettings(calls=_UNLIMITED, calls_per_second=_UNLIMITED),
            sip=SipSettings(realm="bench"),
            public=Public(TESTED_HOST),
        )
        await switch.listen([Endpoint("udp", TESTED_HOST, port)])
        # As the gateway does when it is ready.
        async with collector.spared(lambda: switch.gauges["calls"] > 0):
            await stopping.wait()
        await switch.close()


def main() -> None:
    """Serve until SIGTERM."""
    arguments = argparse.ArgumentParser(prog="python -m bench.softswitch_alone")
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--agent-port", type=int, required=True)
    arguments.add_argument("--media", action="store_true")
    options = arguments.parse_args()
    uvloop.run(_serve(options.port, options.agent_port, with_media=options.media))


if __name__ == "__main__":
    main()
