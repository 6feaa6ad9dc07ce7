"""A phone of the soak of media: what it says is proven at the other end, packet by packet."""

import asyncio
import math
import random
from array import array
from collections.abc import Callable
from functools import lru_cache
from operator import mul

from sip.core.sdp_codecs import ANY, Codecs
from sip.core.sdp_crypto import Suite
from sip.media.plane import PartyStats
from sip.media.relay.codecs import CODERS, LAW_TO_LAW, Encoder
from sip.media.terms import MediaTerms
from tests.media.scenarios.test_secure import OFF, REQUIRED, SecurePhone
from tests.media.talk import key_packets, rtp

#: Payload types, and ticks of a packet of 20 ms.
NUMBERS = {"PCMU": 0, "PCMA": 8, "G722": 9, "OPUS": 111}
TICKS = {"PCMU": 160, "PCMA": 160, "G722": 160, "OPUS": 960}
_RTPMAPS = "a=rtpmap:9 G722/8000\r\na=rtpmap:111 opus/48000/2\r\n"
EVENTS = 101
KEYS = "0123456789*#ABCD"
#: Packets of a sentence: of any octets where they arrive as they are, else of a tone.
WORDS, HUMS = 6, 24
#: Frames of a tone that must be heard of so many: Opus takes its time to follow a new one.
HUMS_HEARD = 8
#: Seconds between its packets: faster than speech, and no burst.
PACE_S = 0.005
TONES_HZ = (450, 650, 850, 1050, 1250)
PATIENCE_S = 10.0
_FRAME = 160


class SoakPhone(SecurePhone):
    """Speaks in one codec. It keeps what it hears, decrypted, and counts what it says."""

    def __init__(
        self, tag: str, codec: str, suite: Suite | None, rng: random.Random, *, insists: bool
    ) -> None:
        """`insists`: its trunk wants that codec alone."""
        super().__init__(tag, suite)
        self.codec = codec
        self.key = rng.randbytes(len(self.key))
        self.insists = insists
        self.direction = "sendrecv"
        #: whether it takes keys as events
        self.events = True
        self.heard: list[bytes] = []
        self.said = 0
        #: packets that it could not decrypt: those before it had a key, and others
        self.early = self.wrong = 0
        self._rng = rng
        self._ssrc = rng.getrandbits(32)
        self._ticks = rng.getrandbits(24)
        self._seq = rng.getrandbits(16)
        self._encoder: Encoder | None = None
        self._news = asyncio.Event()
        asyncio.get_running_loop().add_reader(self.rtp.fileno(), self._listen)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.rtp.fileno())
        super().close()

    @property
    def terms(self) -> MediaTerms:
        codecs = Codecs((self.codec,)) if self.insists else ANY
        return MediaTerms(encryption=OFF if self.suite is None else REQUIRED, codecs=codecs)

    def sdp(
        self,
        formats: str = "",
        *,
        address: str | None = None,
        port: int | None = None,
        extra: str = "",
    ) -> str:
        formats = formats or f"{NUMBERS[self.codec]}{f' {EVENTS}' if self.events else ''}"
        text = super().sdp(formats, address=address, port=port, extra=_RTPMAPS + extra)
        return text.replace("a=sendrecv", f"a={self.direction}")

    def _listen(self) -> None:
        for packet in self.rtp.arrived():
            if self.suite is None:
                self.heard.append(packet)
            elif self.receiver is None:  # it comes before the answer with its key
                self.early += 1
            elif (clear := self.receiver.unprotect(packet)) is not None:
                self.heard.append(clear)
            else:
                self.wrong += 1
        self._news.set()

    async def until(self, come: Callable[[], bool], what: str) -> None:
        """Returns once that has come; AssertionError if it does not."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not come():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            kinds = [(p[1] & 0x7F, len(p)) for p in self.heard[-8:]]
            raise AssertionError(
                f"{self.tag} ({self.codec}, {self.suite}) waits for {what}; heard"
                f" {len(self.heard)} packets, at last {kinds}; {self.wrong} not decrypted"
            ) from None

    # what it says

    def _send(self, packet: bytes) -> None:
        wire = packet if self.sender is None else self.sender.protect(packet)
        assert wire is not None
        self.snd(wire)
        self.said += 1

    def say(self, payloads: list[bytes]) -> None:
        for payload in payloads:
            self._seq += 1
            self._ticks += TICKS[self.codec]
            self._send(rtp(NUMBERS[self.codec], self._seq, self._ticks, self._ssrc, payload))

    async def speaks_with(self, other: "SoakPhone") -> None:
        """A sentence each way, both at once, and each is heard."""
        await asyncio.gather(self._is_heard_by(other), other._is_heard_by(self))

    async def _is_heard_by(self, other: "SoakPhone") -> None:
        since = len(other.heard)
        told = NUMBERS[other.codec]
        if self.codec == other.codec or (self.codec, other.codec) in LAW_TO_LAW:
            words = [self._rng.randbytes(_FRAME) for _ in range(WORDS)]
            self.say(words)
            table = LAW_TO_LAW.get((self.codec, other.codec))
            expected = words if table is None else [word.translate(table) for word in words]

            def come() -> bool:
                at = [p[12:] for p in other.heard[since:] if p[1] & 0x7F == told]
                return [word for word in at if word in expected] == expected

            await other.until(come, f"{len(words)} packets of {self.tag}, octet for octet")
            return
        tone = self._rng.choice(TONES_HZ)
        ear = Ear(other.codec, tone)
        for payload in self._hum(tone):
            self.say([payload])
            await asyncio.sleep(PACE_S)

        def hummed() -> bool:
            nonlocal since
            packets, since = other.heard[since:], len(other.heard)
            return ear.hears([p for p in packets if p[1] & 0x7F == told]) >= HUMS_HEARD

        await other.until(hummed, f"a tone of {tone} Hz from {self.tag}'s {self.codec}")

    def _hum(self, hz: int) -> list[bytes]:
        """A sentence of one tone, by the one encoder that a phone has."""
        coder = CODERS[self.codec]
        rate = coder.pcm_hz[0]
        if self._encoder is None:
            self._encoder = coder.encoder(rate, "")
        pcm = _tone(hz, rate, HUMS * rate // 50)
        size = 2 * rate // 50
        return [self._encoder.encode(pcm[at : at + size]) for at in range(0, len(pcm), size)]

    def press(self, key: str) -> None:
        """As RTP events (RFC 4733)."""
        self._ticks += TICKS[self.codec]
        packets = key_packets(
            EVENTS, KEYS.index(key), seq=self._seq + 1, timestamp=self._ticks, ssrc=self._ssrc
        )
        for packet in packets:
            self._send(packet)
        self._seq += len(packets)
        self._ticks += 160 * 6

    def keys_heard(self, since: int = 0) -> str:
        """The keys that it was sent as events, each with an end, in order."""
        begun: dict[bytes, tuple[str, bool]] = {}
        for packet in self.heard[since:]:
            if packet[1] & 0x7F == EVENTS:
                event = packet[12:]
                _, over = begun.get(packet[4:8], ("", False))
                begun[packet[4:8]] = KEYS[event[0]], over or bool(event[1] & 0x80)
        return "".join(key for key, over in begun.values() if over)

    # what came of it

    async def agrees_with(self, stats: PartyStats, *, thrown: int) -> None:
        """The engine has counted what this phone has, and what was `thrown` at its ports."""
        ours = {"said": self.said, "thrown": thrown, "lost": 0}
        theirs = {
            "said": stats.packets_received,
            "thrown": stats.refused + stats.foreign,
            "lost": stats.lost,
        }
        assert theirs == ours, f"{self.tag}: {theirs} counted, {ours} sent"
        sent = stats.packets_sent
        await self.until(lambda: len(self.heard) + self.early >= sent, "all that was sent to it")
        assert (len(self.heard) + self.early, self.wrong) == (sent, 0), self.tag


class Ear:
    """Listens for a tone in one codec."""

    def __init__(self, codec: str, hz: int) -> None:
        self._rate = CODERS[codec].pcm_hz[0]
        self._decoder = CODERS[codec].decoder(self._rate)
        self._hz = hz
        self._heard = 0

    def hears(self, packets: list[bytes]) -> int:
        """In how many packets so far that tone was most of what there was to hear."""
        for packet in packets:
            pcm = array("h", self._decoder.decode(packet[12:]))
            power = sum(map(mul, pcm, pcm))
            if power > 1000 * 1000 * len(pcm):
                self._heard += _power_of(pcm, self._hz, self._rate) > 0.7 * power
        return self._heard


@lru_cache
def _tone(hz: int, rate: int, count: int) -> bytes:
    sines, _ = _waves(hz, rate, count)
    return array("h", [round(9000 * sine) for sine in sines]).tobytes()


def _power_of(samples: "array[int]", hz: int, rate: int) -> float:
    sines, cosines = _waves(hz, rate, len(samples))
    s, c = sum(map(mul, samples, sines)), sum(map(mul, samples, cosines))
    return float(2 * (s * s + c * c) / len(samples))


@lru_cache
def _waves(hz: int, rate: int, count: int) -> tuple[list[float], list[float]]:
    angles = [2 * math.pi * hz * n / rate for n in range(count)]
    return [math.sin(a) for a in angles], [math.cos(a) for a in angles]
