"""The parts that need no network: what is heard, said, negotiated, counted."""

import asyncio
import audioop

import pytest

from sip.errors import ParseError
from testkit import melody
from testkit.sandbox import countries, negotiation
from testkit.sandbox.agent import MAX_ECHO, Conversation
from testkit.sandbox.faults import FaultBox, RestFault, SipFault
from testkit.sandbox.g711 import FRAME_BYTES, Law, script
from testkit.sandbox.heard import Heard
from testkit.sandbox.negotiation import Address, Negotiator, laws
from testkit.sandbox.rtp import Beat, PortPool, RtpPacket, dtmf_digit
from testkit.sandbox.settings import WeightedAgent
from testkit.sandbox.sip_headers import as_variables, custom_headers, outgoing
from testkit.sandbox.slots import Slots
from testkit.sandbox.store import pick
from tests.ports import free_ports
from tests.testkit.sandbox.peers import sdp

OURS = Address("192.0.2.9", 30_000)


# speaking


@pytest.mark.parametrize("law", list(Law))
@pytest.mark.parametrize("greeting", [True, False])
def test_the_script_starts_with_the_agents_melody(law: Law, *, greeting: bool) -> None:
    said = script(law, greeting=greeting)
    assert len(said) % FRAME_BYTES == 0
    pcm = law.decode(said)
    found = melody.find(melody.AGENT, pcm)
    assert found.heard
    assert found.at_ms <= 240
    assert not melody.find(melody.CALLER, pcm).heard
    assert (len(said) > 4 * 8000) is greeting


def test_a_conversation_says_its_script_then_echoes_then_is_silent() -> None:
    talk = Conversation(Law.PCMU, b"\x01" * 320, echo_delay_ms=40)
    talk.hear(b"\x02" * 160)  # while it speaks, it does not listen
    assert [talk.speak()[:1] for _ in range(2)] == [b"\x01", b"\x01"]
    assert talk.listening
    frames = []
    for at in range(8):
        if at < 4:
            talk.hear(bytes([0x10 + at]) * 160)
        frames.append(talk.speak()[0])
    # two frames are held back before the echo flows
    assert frames == [0xFF, 0xFF, 0x10, 0x11, 0x12, 0x13, 0xFF, 0xFF]


def test_an_echo_never_lags_far_behind() -> None:
    talk = Conversation(Law.PCMA, b"", echo_delay_ms=0)
    talk.hear(b"\x00" * MAX_ECHO + b"\x77" * 160)
    spoken = b"".join(talk.speak() for _ in range(MAX_ECHO // FRAME_BYTES))
    assert spoken.endswith(b"\x77" * 160)
    assert talk.speak() == Law.PCMA.silence * 160


def test_the_laws_are_those_of_g711() -> None:
    pcm = melody.synthesise(((1000, 160),))
    assert Law.PCMU.encode(pcm) == audioop.lin2ulaw(pcm, 2)
    assert Law.PCMA.encode(pcm) == audioop.lin2alaw(pcm, 2)
    assert Law.PCMU.decode(Law.PCMU.silence) == b"\0\0"
    assert abs(int.from_bytes(Law.PCMA.decode(Law.PCMA.silence), "little", signed=True)) <= 8
    assert Law.PCMU.level(Law.PCMU.silence * 160) == 0
    assert Law.PCMU.level(Law.PCMU.encode(pcm)) > 5000


# hearing


def recorded(heard: Heard) -> bytes:
    return bytes(heard.recording or b"")


def take_all(heard: Heard, audio: bytes, *, ssrc: int = 1, start: int = 0, skip: int = -1) -> None:
    for at in range(0, len(audio), 160):
        if at // 160 != skip:
            heard.take(ssrc, (start + at) & 0xFFFFFFFF, audio[at : at + 160])


async def test_a_melody_is_recognised_across_loss_and_a_wrapping_timestamp() -> None:
    heard = Heard(Law.PCMU, limit=80_000)
    sung = Law.PCMU.encode(melody.synthesise(melody.CALLER))
    take_all(heard, sung, start=0xFFFFFFFF - 1000, skip=5)
    report = await heard.to_json()
    assert report["recorded_ms"] == melody.duration_ms(melody.CALLER)
    assert report["melodies"]["caller"]["heard"] is True
    assert report["melodies"]["agent"]["heard"] is False


def test_audio_is_placed_by_its_timestamps() -> None:
    heard = Heard(Law.PCMU, limit=10_000)
    heard.take(1, 5000, b"\x01" * 160)
    heard.take(1, 5320, b"\x03" * 160)
    heard.take(1, 5160, b"\x02" * 160)  # late
    assert recorded(heard) == b"\x01" * 160 + b"\x02" * 160 + b"\x03" * 160
    heard.take(1, 5640, b"\x05" * 160)  # one was lost
    assert recorded(heard)[480:] == b"\xff" * 160 + b"\x05" * 160


def test_another_stream_or_a_leaping_clock_goes_on_where_the_recording_ends() -> None:
    heard = Heard(Law.PCMA, limit=10_000)
    heard.take(1, 0, b"\x01" * 160)
    heard.take(2, 999_999, b"\x02" * 160)
    heard.take(2, 5_000_000, b"\x03" * 160)
    heard.take(2, 17, b"\x04" * 160)
    assert recorded(heard) == b"".join(bytes([n]) * 160 for n in (1, 2, 3, 4))


async def test_a_recording_ends_at_its_limit_and_can_be_forgotten() -> None:
    heard = Heard(Law.PCMU, limit=320)
    take_all(heard, b"\x01" * 800)
    assert recorded(heard) == b"\x01" * 320
    before = await heard.to_json()
    heard.forget()
    heard.take(1, 0, b"\x01" * 160)
    assert recorded(heard) == b""
    assert (await heard.to_json())["melodies"] == before["melodies"]


# RTP


def test_a_packet_survives_its_bytes() -> None:
    packet = RtpPacket(101, marker=True, sequence=65535, timestamp=7, ssrc=9, payload=b"abc")
    assert RtpPacket.parse(packet.to_bytes()) == packet


def test_csrcs_extension_and_padding_are_passed_over() -> None:
    head = bytes.fromhex("b1 00 0001 00000002 00000003".replace(" ", ""))
    packet = head + b"CSRC" + b"\xbe\xde\x00\x01" + b"EXTN" + b"payload" + b"\x00\x02"
    parsed = RtpPacket.parse(packet)
    assert parsed is not None
    assert parsed.payload == b"payload"


@pytest.mark.parametrize(
    "data",
    [b"", b"\x80\x00", b"\x40" + bytes(20), b"\xa0" + bytes(11) + b"\xff", b"\x90" + bytes(12)],
)
def test_what_is_no_rtp_is_none(data: bytes) -> None:
    assert RtpPacket.parse(data) is None


def test_telephone_events_are_keys_up_to_d() -> None:
    keys = "".join(dtmf_digit(bytes([n, 0, 0, 0])) or "?" for n in range(17))
    assert keys == "0123456789*#ABCD?"
    assert dtmf_digit(b"\x01") is None


def test_ports_are_leased_bound_even_and_in_turn() -> None:
    even = free_ports(4)
    pool = PortPool(even - 1, even + 3)
    first, second = pool.lease("127.0.0.1"), pool.lease("127.0.0.1")
    assert [one.getsockname()[1] for one in (first, second)] == [even, even + 2]
    with pytest.raises(OSError, match=f"no free RTP port from {even} to {even + 2}"):
        pool.lease("127.0.0.1")
    second.close()
    again = pool.lease("127.0.0.1")
    assert again.getsockname()[1] == even + 2
    first.close()
    again.close()


class StillClock:
    """Time that the test moves; one timer is enough for a beat."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.due: list[tuple[float, object]] = []

    def now(self) -> float:
        return self.now_s

    def epoch(self) -> float:
        return self.now_s

    def call_later(self, delay_s: float, callback: object, *_: object) -> "StillClock":
        self.due.append((self.now_s + delay_s, callback))
        return self

    def cancel(self) -> None:
        self.due.clear()

    def run(self, until_s: float) -> None:
        while self.due and self.due[0][0] <= until_s:
            at_s, callback = self.due.pop(0)
            self.now_s = max(self.now_s, at_s)
            assert callable(callback)
            callback()
        self.now_s = until_s


def test_a_beat_does_not_drift_catches_up_and_gives_up_after_a_stall() -> None:
    clock = StillClock()
    beat = Beat(clock)
    ticks: list[float] = []
    key = beat.join(lambda: ticks.append(clock.now()))
    clock.run(1.01)
    assert len(ticks) == 50
    clock.now_s = 1.07  # three frames late: they follow at once
    clock.run(1.07)
    assert len(ticks) == 53
    clock.now_s = 9.0  # a long stall is not made up for
    clock.run(9.0)
    assert len(ticks) < 60
    beat.leave(key)
    beat.leave(key)
    assert clock.due == []
    assert len(beat) == 0


# offer/answer


def test_the_first_codec_that_both_speak_is_taken_from_the_offer() -> None:
    agreed = negotiation.read(sdp(("192.0.2.1", 4000), formats="18 8 0 101"), negotiation.OURS)
    assert agreed is not None
    assert (agreed.law, agreed.payload_type, agreed.dtmf_type) == (Law.PCMA, 8, 101)
    assert (agreed.host, agreed.port) == ("192.0.2.1", 4000)
    ours = negotiation.read(sdp(("192.0.2.1", 4000), formats="18 8 0"), negotiation.OURS, "ours")
    assert ours is not None
    assert (ours.law, ours.dtmf_type) == (Law.PCMU, None)


@pytest.mark.parametrize(
    ("direction", "we_send", "we_hear", "answered"),
    [
        ("sendrecv", True, True, "sendrecv"),
        ("sendonly", False, True, "recvonly"),
        ("recvonly", True, False, "sendonly"),
        ("inactive", False, False, "inactive"),
    ],
)
def test_directions_are_mirrored(
    direction: str, answered: str, *, we_send: bool, we_hear: bool
) -> None:
    offer = sdp(("192.0.2.1", 4000), direction=direction)
    ours = Negotiator(OURS, negotiation.OURS, session_id=5)
    agreed = ours.read(offer)
    assert agreed is not None
    assert (agreed.we_send, agreed.we_hear) == (we_send, we_hear)
    assert f"a={answered}\r\n" in ours.answer(offer, agreed)


def test_every_media_line_is_answered_and_the_version_rises() -> None:
    """RFC 3264 6 and 8."""
    offer = sdp(("192.0.2.1", 4000)) + "m=video 5000 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
    ours = Negotiator(OURS, negotiation.OURS, session_id=5)
    agreed = ours.read(offer)
    assert agreed is not None
    first, second = ours.answer(offer, agreed), ours.answer(offer, agreed)
    assert "o=sandbox 5 1 IN IP4 192.0.2.9\r\n" in first
    assert "o=sandbox 5 2 IN IP4 192.0.2.9\r\n" in second
    assert "m=audio 30000 RTP/AVP 0 101\r\n" in first
    assert "m=video 0 RTP/AVP 96\r\n" in first
    assert [line[:2] for line in first.split("\r\n") if line[:2] == "m="] == ["m=", "m="]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no sdp at all",
        sdp(("192.0.2.1", 4000), formats="9 18"),
        sdp(("192.0.2.1", 0)),
        sdp(("192.0.2.1", 4000)).replace("RTP/AVP", "RTP/SAVP"),
        sdp(("media.example.com", 4000)),
    ],
)
def test_what_cannot_be_agreed_is_none(text: str) -> None:
    assert Negotiator(OURS, negotiation.OURS, session_id=5).read(text) is None


def test_a_description_without_an_address_is_a_parse_error() -> None:
    text = sdp(("192.0.2.1", 4000)).replace("c=IN IP4 192.0.2.1\r\n", "")
    with pytest.raises(ParseError):
        negotiation.read(text, negotiation.OURS)


def test_the_old_way_to_hold_stops_our_audio() -> None:
    agreed = negotiation.read(sdp(("0.0.0.0", 4000)), negotiation.OURS)
    assert agreed is not None
    assert agreed.we_send is False


def test_a_numbers_codecs_choose_among_ours() -> None:
    assert laws([]) == (Law.PCMU, Law.PCMA)
    assert laws(["PCMA", "G722", "pcmu"]) == (Law.PCMA, Law.PCMU)
    assert laws(["G722"]) == ()


# headers


def test_headers_that_are_kept_come_in_lower_case() -> None:
    kept = custom_headers(
        [("X-Plan", "gold"), ("x-plan", "second"), ("History-Info", "h"), ("Subject", "no")]
    )
    assert kept == {"x-plan": "gold", "history-info": "h"}
    assert as_variables(kept, "stripped") == {"plan": "gold", "history-info": "h"}
    assert as_variables(kept, "kept") == {"x-plan": "gold", "history-info": "h"}
    assert set(as_variables(kept, "both")) == {"plan", "x-plan", "history-info"}


def test_only_safe_x_headers_go_out() -> None:
    wanted = {"X-Ok": "1", "Via": "no", "X-Bad": "a\r\nRoute: <sip:evil>", "X Space": "no"}
    assert outgoing(wanted) == [("X-Ok", "1")]


# workspace


def test_agents_are_picked_by_weight() -> None:
    agents = [WeightedAgent(agent_id="a", weight=0.25), WeightedAgent(agent_id="b", weight=0.75)]
    picked = [pick(agents, fraction) for fraction in (0.0, 0.2499, 0.25, 0.9999)]
    assert [one.agent_id for one in picked if one] == ["a", "a", "b", "b"]
    assert pick([], 0.5) is None


def test_countries() -> None:
    assert countries.allowed("anything", [])
    assert countries.allowed("+493012345678", ["US", "DE"])
    assert not countries.allowed("+493012345678", ["US"])
    assert not countries.allowed("anonymous", ["US"])


async def test_slots_are_given_in_turn() -> None:
    slots = Slots(1)
    assert slots.take("a")
    assert slots.take("a")
    first = asyncio.create_task(slots.wait("b", 5))
    second = asyncio.create_task(slots.wait("c", 5))
    await asyncio.sleep(0)
    slots.release("a")
    assert await first is True
    assert not second.done()
    slots.release("b")
    assert await second is True
    assert len(slots) == 1


async def test_a_slot_that_never_comes_and_one_that_nobody_wants_any_more() -> None:
    slots = Slots(1)
    slots.take("a")
    assert await slots.wait("b", 0.01) is False
    given_up = asyncio.create_task(slots.wait("c", 5))
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    slots.release("a")
    assert len(slots) == 0


def test_outbound_calls_leave_the_reserved_slots_alone() -> None:
    slots = Slots(3, reserved_inbound=2)
    assert slots.take("a", outbound=True)
    assert not slots.take("b", outbound=True)
    assert slots.take("c")


def test_faults_are_used_up_in_order() -> None:
    faults = FaultBox()
    faults.arm(RestFault(operation="get-call", status=500))
    faults.arm(RestFault(status=429, count=2))
    taken = [faults.take_rest("stop-call"), faults.take_rest("get-call")]
    assert [one.status for one in taken if one] == [429, 500]
    assert faults.next_sip is None
    faults.arm(SipFault(ring_only=True, count=None))
    assert [faults.take_sip() is not None for _ in range(3)] == [True] * 3
    assert (len(faults.to_json()["rest"]), len(faults.to_json()["sip"])) == (1, 1)
