"""How many calls an engine converts on one core, for each pair of codecs.

The first step says what a call costs, the second tries as many as would leave a fifth of the core.
Delays are not measured: what is converted cannot carry the time at which it was sent.
"""

import array
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from bench.cores import Cores
from bench.engines import Engine
from bench.media import GENERATOR_HOST, Generator, MediaStep, Way, audio_address, run_step
from bench.ng import NgClient
from bench.plan import Plan
from bench.report import Row, Section
from bench.say import Say
from sip.media.relay.codecs import CODERS

_LOSS_LIMIT = 0.004
"""rtpengine keeps each stream's newest packet back: one in 375 of the full plan."""
_FILLED = 0.8
"""Share of the core that the second step is to use."""
_MOST_CALLS = 600


@dataclass(frozen=True, slots=True)
class Spoken:
    """How one side speaks."""

    name: str
    payload_type: int
    rtpmap: str

    @property
    def speech(self) -> str:
        """For the generator: payload type, ticks and a packet of a vowel's sound, in hex."""
        coder = CODERS[self.name]
        hz = coder.pcm_hz[-1]
        encoder = coder.encoder(hz, "")
        tones = ((220, 5000), (440, 3000), (660, 2500), (1100, 1500), (2400, 800))
        payload = b""
        for frame in range(25):  # until an encoder has settled
            times = [(frame * hz // 50 + n) / hz for n in range(hz // 50)]
            pcm = array.array(
                "h",
                [round(sum(a * math.sin(2 * math.pi * f * t) for f, a in tones)) for t in times],
            )
            payload = encoder.encode(pcm.tobytes())
        return f"{self.payload_type}:{coder.clock_hz // 50}:{payload.hex()}"

    def sdp(self, port: int) -> str:
        return (
            f"v=0\r\no=bench 1 1 IN IP4 {GENERATOR_HOST}\r\ns=-\r\nc=IN IP4 {GENERATOR_HOST}\r\n"
            f"t=0 0\r\nm=audio {port} RTP/AVP {self.payload_type}\r\n"
            f"a=rtpmap:{self.payload_type} {self.rtpmap}\r\na=ptime:20\r\na=sendrecv\r\n"
        )


_SPOKEN = (
    Spoken("PCMU", 0, "PCMU/8000"),
    Spoken("PCMA", 8, "PCMA/8000"),
    Spoken("G722", 9, "G722/8000"),
    Spoken("OPUS", 96, "opus/48000/2"),
)
PAIRS = tuple(combinations(_SPOKEN, 2))


@dataclass(frozen=True, slots=True)
class Converted:
    """One engine and one pair: the fullest step that lost nothing."""

    pair: str
    step: MediaStep

    @property
    def calls_a_core(self) -> float:
        """By the step's calls and what of the core they used."""
        return self.step.calls / (self.step.engine_core or math.inf)


def _measure(
    engine: Engine,
    pair: tuple[Spoken, Spoken],
    calls: int,
    *,
    plan: Plan,
    cores: Cores,
    directory: Path,
) -> MediaStep:
    caller, agent = pair
    wish = {"mask": [caller.name], "transcode": [agent.name]}
    with (
        engine.start(cores.tested, directory) as running,
        Generator(calls, plan, cores.generator, (caller.speech, agent.speech)) as generator,
    ):
        ports = generator.read()
        empty = running.memory_bytes()
        with NgClient(running.control_port) as client:
            for index in range(0, len(ports), 2):
                call_id = f"bench-{index}"
                offered = client.offer(call_id, "caller", caller.sdp(ports[index]), wish)
                answer = agent.sdp(ports[index + 1])
                answered = client.answer(call_id, "caller", "agent", answer)
                generator.join(Way(audio_address(answered)), Way(audio_address(offered)))
        return run_step(engine.key, calls, generator, running, empty)


def measure_transcoding(
    engines: Sequence[Engine], *, plan: Plan, cores: Cores, directory: Path, say: Say
) -> list[Converted]:
    """Each pair, with each engine in turn."""
    found: list[Converted] = []
    for pair in PAIRS:
        name = f"{pair[0].name} - {pair[1].name}"
        for engine in engines:
            carried: MediaStep | None = None
            calls = plan.transcoding_calls
            for _step in range(2):
                step = _measure(engine, pair, calls, plan=plan, cores=cores, directory=directory)
                say(
                    f"transcoding: {engine.label}, {name}, {calls} calls: loss {step.loss:.3%}, "
                    f"{step.packet_us:.1f} µs a packet, core {step.engine_core:.0%}"
                )
                if step.loss < _LOSS_LIMIT:
                    carried = step
                calls = min(_MOST_CALLS, max(1, int(_FILLED / (step.call_core or 1.0))))
            if carried is not None:
                found.append(Converted(name, carried))
    return found


def transcoding_section(found: Sequence[Converted], labels: dict[str, str]) -> Section:
    """A row for each pair and engine."""
    section = Section(title="Transcoding: 20 ms, both ways, one core")
    section.rows = [
        Row(
            quality=f"{each.pair}: calls a core",
            system=labels[each.step.engine],
            measured=(
                f"{each.calls_a_core:.0f} ({each.step.calls} at {each.step.engine_core:.0%}), "
                f"{each.step.packet_us:.1f} µs a packet"
            ),
        )
        for each in found
    ]
    return section
