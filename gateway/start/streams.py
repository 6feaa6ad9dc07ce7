"""Makes calls of media streams: the one place that knows both their socket and their leg."""

from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial

from config.settings import Settings
from gateway.twilio.stream_door import NotTakenError, StreamDoor
from gateway.twilio.stream_tokens import StreamCall
from sip.b2bua.legs.leg import OnEvent
from sip.clock import Clock, LoopClock
from sip.softswitch.admission.intake import FullError
from sip.softswitch.dialling.identity import ANONYMOUS, Identity
from sip.softswitch.jambonz.session_info import StreamInfo
from sip.softswitch.softswitch import Softswitch
from sip.streams.face import Began, Line
from sip.streams.leg import StreamLeg
from sip.streams.loudness import BargeIn
from sip.streams.rtp_port import RtpPort
from sip.transport.address import is_loopback


class Streams:
    """Takes streams for a softswitch."""

    def __init__(self, switch: Softswitch, settings: Settings, counts: Counter[str]) -> None:
        """`counts` is added to: what became of the audio."""
        self._switch = switch
        self._counts = counts
        self._clock: Clock = LoopClock()
        self._configure(settings)

    def _configure(self, settings: Settings) -> None:
        terms = settings.streams.barge_in
        self._barge_in = BargeIn(
            wanted=terms.enabled, debounce_ms=terms.debounce_ms, level_dbm0=terms.level_dbm0
        )
        self._host = _host(settings)

    def prepare(self, settings: Settings) -> Callable[[], Awaitable[None]]:
        """Go on with other settings, once that is called."""

        async def take() -> None:
            self._configure(settings)

        return take

    async def take(self, call: StreamCall, began: Began, line: Line, source: str) -> StreamLeg:
        """See `Taker`."""
        try:
            port = await RtpPort.open(self._host)
        except OSError as error:
            raise NotTakenError(f"no port for its audio: {error.strerror}") from None
        made: list[StreamLeg] = []
        info = StreamInfo(
            source=source,
            trunk=call.trunk,
            caller=_caller(call.from_number),
            number=call.to_number,
            told=call.headers,
        )
        try:
            self._switch.take_stream(info, partial(self._leg, made, began, line, port))
        except FullError as error:
            port.close()
            raise NotTakenError(str(error)) from None
        return made[0]

    def _leg(
        self, made: list[StreamLeg], began: Began, line: Line, port: RtpPort, on_event: OnEvent
    ) -> StreamLeg:
        leg = StreamLeg(
            self._clock,
            port,
            line,
            on_event,
            stream_id=began.stream_id,
            barge_in=self._barge_in,
            counts=self._counts,
        )
        made.append(leg)
        return leg


def open_streams(door: StreamDoor, switch: Softswitch, settings: Settings) -> Streams:
    """Let in the streams that `door` awaits, from now on."""
    streams = door.taker = Streams(switch, settings, door.counts)
    return streams


def _caller(number: str) -> Identity:
    hidden = number.lower() in ("", ANONYMOUS)
    return Identity(number="" if hidden else number, anonymous=hidden)


def _host(settings: Settings) -> str:
    """Where the media engine's ports are reached from this machine."""
    hosts = [listening.address.host for listening in settings.sip.listen]
    if len(set(hosts)) == 1 and is_loopback(hosts[0]):
        return hosts[0]
    return "127.0.0.1"
