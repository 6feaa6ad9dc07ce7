"""Who has answered, as the relay hears it in a call: on virtual time, with real ports."""

import asyncio
import audioop
import gc
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Final

import pytest

from sip.media.detection.detector import Detector
from sip.media.detection.found import Verdict
from sip.media.detection.terms import DetectionTerms
from sip.media.events import Detected, MediaEvent
from sip.media.ng.bencode import Decoded, Encodable
from sip.media.ng.detections import found_of_keys, keys_of_found, terms_of_keys
from sip.media.ng.form import Form, decode, encode
from sip.media.ng.notices import NoticeReader
from sip.media.plane import Capability
from sip.media.relay.codecs import CODERS
from sip.media.relay.detection_ear import DetectionEar
from sip.media.relay.party_audio import PartyAudio
from sip.media.relay.resample import Doubler
from sip.media.tones import pcm16, tone
from tests.fakes.relay import RelayHere
from tests.media.desk import HOST, SDP, Desk, reason
from tests.media.keyboard import QUIET, Board, Party, Side
from tests.media.scenarios.test_secure import CM_80, SecureTalk
from tests.media.talk import rtp
from tests.media.test_convert import WRITTEN, spoken
from tests.media.test_key_tones import quiet
from tests.ports import free_ports
from tests.virtual import virtual_time

#: The longest wait for a verdict on one who spoke and waits.
PATIENCE_S: Final = 2.5
MAPS: Final = (
    "a=rtpmap:9 G722/8000\r\na=rtpmap:111 opus/48000/2\r\na=rtpmap:18 G729/8000\r\n"
    "a=rtpmap:13 CN/8000\r\n"
)


@dataclass(frozen=True)
class Phone(Side):
    """A party that takes the codecs of these numbers."""

    formats: str = "0 8 101"

    def sdp(self, port: int) -> str:
        plain = super().sdp(port)
        return plain.replace("RTP/AVP 0 101", f"RTP/AVP {self.formats}") + MAPS


@contextmanager
def call(a: str = "0 8 101", b: str = "0 8 101") -> Iterator[Board]:
    board = Board(Phone(formats=a), Phone(formats=b))
    try:
        yield board
    finally:
        board.close()


@cache
def words(ms: int) -> bytes:
    """Somebody speaks for so long: syllables of noise, hardly parted."""
    dice = random.Random(5)
    samples: list[int] = []
    while len(samples) < 8 * ms:
        loud = dice.uniform(1200, 3000)
        samples += [round(dice.gauss(0, loud)) for _ in range(8 * dice.randrange(60, 140))]
        samples += [round(dice.gauss(0, 150)) for _ in range(8 * dice.randrange(20, 60))]
    return pcm16([max(-32768, min(32767, each)) for each in samples[: 8 * ms]])


PERSON: Final = 400, 700
"""Milliseconds of quiet, and of speech after it."""
GREETING: Final = 300, 7000


def says(party: Party, *spans: int, then: bytes = b"") -> None:
    """Quiet and speech in turn, in milliseconds; then that audio."""
    parts = [quiet(ms) if n % 2 == 0 else words(ms) for n, ms in enumerate(spans)]
    sounds(party, b"".join(parts) + then)


def sounds(party: Party, pcm: bytes) -> None:
    coded = audioop.lin2ulaw(pcm, 2)
    party.next += [coded[at : at + 160].ljust(160, b"\xff") for at in range(0, len(coded), 160)]


def asks(board: Board, tag: str = "A", number: int = 1, **terms: int) -> None:
    reply = board.ask("start detection", call_id="call", from_tag=tag, detection=number, **terms)
    assert reply["result"] == "ok", reply


def verdicts(board: Board, number: int = 1) -> list[str]:
    return [str(each["what"]) for each in board.noticed if each["detection"] == number]


def ears(board: Board, tag: str = "A") -> int:
    return len(board.sessions.find("call").parties[tag].rtp._ears)


def test_one_who_speaks_and_waits_is_a_person_and_is_told_once() -> None:
    with call() as board:
        asks(board)
        says(board.a, *PERSON)
        board.speaks(sum(PERSON) / 1000 + PATIENCE_S)
        [told] = board.noticed
        assert (told["what"], told["tag"], told["call-id"]) == ("human", "A", "call")
        assert abs(int(str(told["speech-ms"])) - 700) < 200
        assert 500 < int(str(told["confidence"])) <= 1000
        board.speaks(5)
        assert verdicts(board) == ["human"]
        assert not ears(board), "it costs nothing any more"


def test_one_who_talks_on_is_a_machine_and_its_beep_is_told() -> None:
    with call() as board:
        asks(board)
        says(board.a, *GREETING, then=quiet(600) + tone([1000], 400, level_dbm0=-12))
        board.speaks(11)
        assert verdicts(board)[0] == "machine"
        assert verdicts(board)[-1] == "beep"
        beep = board.noticed[-1]
        assert abs(int(str(beep["began-ms"])) - (sum(GREETING) + 600)) < 150
        assert abs(int(str(beep["frequency-hz"])) - 1000) < 30
        assert not ears(board)


def test_a_machine_that_does_not_beep_is_heard_to_stop_and_is_let_be() -> None:
    with call() as board:
        asks(board, tone_ms=6000)
        says(board.a, *GREETING)
        board.speaks(20)
        assert verdicts(board) == ["machine", "machine-stopped"]
        assert not ears(board)


def test_a_fax_is_told() -> None:
    with call() as board:
        asks(board)
        period = tone([1100], 500, level_dbm0=-12) + quiet(3000)
        sounds(board.a, quiet(200) + 3 * period)
        board.speaks(12)
        assert verdicts(board) == ["fax"]


@pytest.mark.parametrize("frame", [QUIET, []])
def test_one_who_says_nothing_or_sends_nothing_at_all(frame: bytes | list[bytes]) -> None:
    with call() as board:
        asks(board)
        board.a.next = [frame] * 500
        board.speaks(4.5)
        assert verdicts(board) == []
        board.speaks(1)
        assert verdicts(board) == ["no-speech"]
        assert not ears(board)


def test_a_person_whose_phone_sends_nothing_while_they_are_quiet() -> None:
    """Silence suppression: the answer is as quick as it is with silence that is sent."""
    times = []
    for suppressed in (False, True):
        with call() as board:
            asks(board)
            says(board.a, *PERSON)
            board.a.next += [QUIET] * 200
            if suppressed:
                board.a.next = [[] if each == QUIET else each for each in board.a.next]
            began = board.now
            while not verdicts(board):
                board.speaks(0.02)
                assert board.now - began < 5
            assert verdicts(board) == ["human"]
            times.append(board.now - began)
    assert abs(times[0] - times[1]) < 0.25


@pytest.mark.parametrize(("said", "found"), [(PERSON, "human"), (GREETING, "machine")])
def test_losses_doubles_and_packets_out_of_order_change_nothing(
    said: tuple[int, int], found: str
) -> None:
    with call() as board:
        asks(board)
        says(board.a, *said)
        board.a.next += [QUIET] * 120
        spoilt(board.a)
        board.speaks(sum(said) / 1000 + PATIENCE_S)
        assert verdicts(board)[0] == found


def spoilt(party: Party) -> None:
    """One in 20 packets is lost, one comes twice, and one comes after the one behind it."""
    sent: list[list[bytes]] = []
    for said in party.next:
        assert isinstance(said, bytes)
        party.seq += 1
        at = party.timestamp + 160 * (len(sent) + 1)
        sent.append([rtp(0, party.seq, at, party.ssrc, said)])
    for n in range(10, len(sent) - 10, 20):
        sent[n] = []
        sent[n + 4] = 2 * sent[n + 4]
        sent[n + 8], sent[n + 9] = sent[n + 9], sent[n + 8]
    party.next = list(sent)


def test_another_ssrc_in_the_middle_of_a_greeting_is_the_same_machine() -> None:
    with call() as board:
        asks(board)
        says(board.a, 300, 2500)
        board.speaks(2.8)
        board.a.ssrc, board.a.seq, board.a.timestamp = 0xAA, 7, 3_000_000_000
        says(board.a, 0, 4000)
        board.speaks(4)
        assert verdicts(board) == ["machine"]


def test_what_came_before_does_not_count() -> None:
    """Early media: an announcement plays while it rings, and then somebody answers."""
    with call() as board:
        says(board.a, 0, 6000)
        board.speaks(6)
        assert ears(board) == 0
        asks(board)
        says(board.a, *PERSON)
        board.speaks(sum(PERSON) / 1000 + PATIENCE_S)
        assert verdicts(board) == ["human"]


def test_only_the_party_itself_is_listened_to() -> None:
    """The agent talks while the callee is listened to, and the other way round."""
    with call() as board:
        asks(board, "A", 1)
        asks(board, "B", 2)
        says(board.a, *PERSON)
        says(board.b, *GREETING)
        board.speaks(8)
        assert (verdicts(board, 1), verdicts(board, 2)[0]) == (["human"], "machine")


def test_several_detections_of_one_party() -> None:
    with call() as board:
        asks(board, number=1)
        board.speaks(3)
        asks(board, number=2)
        board.speaks(2.5)
        assert (verdicts(board, 1), verdicts(board, 2)) == (["no-speech"], [])
        board.speaks(3)
        assert verdicts(board, 2) == ["no-speech"]


@pytest.mark.parametrize("name", WRITTEN)
def test_every_codec_that_is_converted_is_heard(name: str) -> None:
    number, codec = WRITTEN[name]
    with call(f"{number} 101", "0 8 9 111 101") as board:
        asks(board)
        coder = CODERS[name]
        hz = coder.pcm_hz[0]
        pcm = quiet(400) + words(700) + quiet(1500)
        pcm = pcm if hz == 8000 else Doubler().take(pcm)
        encoder = coder.encoder(hz, "")
        for n, at in enumerate(range(0, len(pcm), hz // 25)):
            payload = encoder.encode(pcm[at : at + hz // 25])
            packet = rtp(number, 500 + n, 90_000 + n * codec.rate // 50, 0xA, payload)
            board.a.next.append([packet])
        board.speaks(PATIENCE_S + 0.2)
        assert verdicts(board) == ["human"]


def test_a_reinvite_to_another_codec_goes_on() -> None:
    with call() as board:
        asks(board)
        says(board.a, 300, 3000)
        board.speaks(3.3)
        reoffered(board, "8 101")
        pcm = words(4000)
        for n, at in enumerate(range(0, len(pcm), 320)):
            payload = audioop.lin2alaw(pcm[at : at + 320], 2)
            board.a.next.append([rtp(8, 1 + n, 7777 + 160 * n, 0xBEEF, payload)])
        board.speaks(4)
        assert verdicts(board) == ["machine"]


def reoffered(board: Board, formats: str, extra: str = "") -> None:
    sdp = Phone(formats=formats).sdp(board.a.port) + extra
    assert board.offer(sdp=sdp, to_tag="B", notify=1)["result"] == "ok"
    answer = board.answer(sdp=Phone(formats=formats).sdp(board.b.port))
    assert answer["result"] == "ok"


def test_a_party_whose_codec_is_not_decoded_is_refused_in_words() -> None:
    with call("18 101", "18 101") as board:
        reply = board.ask("start detection", call_id="call", from_tag="A", detection=1)
        assert reason(reply).startswith("unsupported: the party has no codec that is decoded here")
        assert "G729/8000" in reason(reply)
        assert not ears(board)


def test_one_that_changes_to_such_a_codec_is_unknown() -> None:
    with call() as board:
        asks(board)
        board.speaks(1)
        reoffered(board, "18 101")
        board.a.next = [[rtp(18, 1 + n, 160 * n, 0xBEEF, b"\1" * 20)] for n in range(5)]
        board.speaks(0.1)
        [told] = board.noticed
        assert (told["what"], told["reason"], told["confidence"]) == (
            "unknown",
            "codec G729/8000",
            0,
        )
        assert not ears(board)


def test_one_that_asks_for_t38_is_a_fax() -> None:
    with call() as board:
        asks(board)
        board.speaks(1)
        sdp = SDP.replace("m=audio 4000 RTP/AVP 0 8", f"m=image {board.a.port} udptl t38")
        sdp = sdp.replace("192.0.2.1", HOST)
        assert board.offer(sdp=sdp, to_tag="B", notify=1)["result"] == "ok"
        assert board.answer(sdp=sdp.replace(str(board.a.port), str(board.b.port)))["result"] == "ok"
        board.a.next = board.b.next = [[]] * 20
        board.speaks(0.2)
        assert [(each["what"], each["reason"]) for each in board.noticed] == [("fax", "t38")]


def test_it_passes_to_the_other_side_bit_for_bit_and_is_forwarded_again_at_the_end() -> None:
    with call() as board:
        outlet = board.sessions.find("call").parties["B"].rtp.outlet
        assert outlet.fd >= 0
        board.b.heard.clear()
        asks(board)
        assert outlet.fd < 0, "it is looked at on its way"
        says(board.a, *PERSON)
        sent = list(board.a.next)
        board.speaks(len(sent) * 0.02)
        assert [each.payload for each in board.b.heard] == sent
        assert len({each.ssrc for each in board.b.heard}) == 1
        board.speaks(PATIENCE_S)
        assert outlet.fd >= 0


def test_one_that_is_stopped_tells_nothing_more() -> None:
    with call() as board:
        asks(board)
        says(board.a, *PERSON)
        board.speaks(0.5)
        for _ in range(2):  # the second is without effect
            reply = board.ask("stop detection", call_id="call", from_tag="A", detection=1)
            assert reply["result"] == "ok"
        assert not ears(board)
        board.speaks(6)
        assert board.noticed == []


def test_a_call_that_ends_tells_nothing_more() -> None:
    with call() as board:
        asks(board)
        board.speaks(1)
        assert board.ask("delete", call_id="call")["result"] == "ok"
        board.passes(20)
        assert board.noticed == []


def test_what_cannot_be_is_refused_in_words() -> None:
    desk = Desk(Form.JSON)
    named: dict[str, Encodable] = {"call_id": "call", "from_tag": "A", "detection": 1}
    assert reason(desk.ask("start detection", **named)).startswith("unknown-call")
    desk.offer(notify=1)
    desk.answer()
    assert "no party 'C'" in reason(desk.ask("start detection", **named | {"from_tag": "C"}))
    bad: list[dict[str, Encodable]] = [{"tone_ms": 0}, {"tone_ms": "long"}, {"decision_ms": 1}]
    for terms in bad:
        assert reason(desk.ask("start detection", **named, **terms)).startswith("refused: ")
    assert reason(desk.ask("stop detection", **named | {"from_tag": "C"})).startswith("unknown")
    desk.sessions.close(desk.now)
    desk.passes(60)


def test_terms_and_findings_cross_the_wire() -> None:
    asked: dict[str, Decoded] = {"no-speech-ms": 3000, "greeting-end-ms": 900, "call-id": "c"}
    assert terms_of_keys(asked) == DetectionTerms(no_speech_ms=3000, greeting_end_ms=900)
    assert terms_of_keys({}) == DetectionTerms()
    event: dict[str, Decoded] = {
        "event": "detected", "call-id": "c", "tag": "a", "number": 1, "detection": 4,
        "what": "beep", "reason": "beep", "confidence": 950, "at-ms": 4100, "speech-ms": 2000,
        "silence-ms": 30, "frequency-hz": 1000, "began-ms": 3700, "ended-ms": 4000,
    }  # fmt: skip
    [(call_id, told)] = NoticeReader().take({"notify": "run", "events": [event]}, 7.0)
    assert isinstance(told, Detected)
    assert (call_id, told.party, told.detection, told.at) == ("c", "a", 4, 7.0)
    assert (told.found.what, told.found.confidence) == (Verdict.BEEP, 0.95)
    again = decode(encode(keys_of_found(told.found), Form.BENCODE))[0]
    assert found_of_keys(again) == told.found
    assert (
        list(NoticeReader().take({"notify": "run", "events": [event | {"what": "x"}]}, 7.0)) == []
    )


@virtual_time
async def test_an_encrypted_party_is_heard_once_it_is_decrypted() -> None:
    """Through the client, from the command to the event; what is forged is not heard."""
    told: list[MediaEvent] = []
    async with RelayHere(free_ports(40)) as relay:
        assert Capability.DETECTION in relay.capabilities
        async with SecureTalk(relay) as talk:
            relay.listen(talk.call_id, told.append)
            a, b = talk.secure("A", CM_80), talk.secure("B", None)
            await talk.invite(a, b)
            await relay.detect(talk.call_id, "A", 3, DetectionTerms())
            assert a.sender is not None
            for packet in spoken("PCMU", quiet(400) + words(700) + quiet(1500)):
                wire = a.sender.protect(packet)
                assert wire is not None
                a.snd(wire)
                a.snd(packet)
                await asyncio.sleep(0.02)
            [human] = told
            assert isinstance(human, Detected)
            assert (human.party, human.detection, human.found.what) == ("A", 3, Verdict.HUMAN)
            assert (await relay.query(talk.call_id)).parties["A"].refused > 100
            await relay.stop_detecting(talk.call_id, "A", 3)


def test_nothing_of_it_is_left_for_the_collector() -> None:
    """The relay seldom collects garbage, as that is a pause in all audio."""
    gc.collect()
    gc.disable()
    try:
        with call() as board:
            asks(board, number=1)
            board.speaks(6)
            asks(board, number=2)
            board.speaks(1)
            assert kept() == {DetectionEar, PartyAudio, Detector}
            assert board.ask("delete", call_id="call")["result"] == "ok"
            board.passes(60)
            assert kept() == set()
    finally:
        gc.enable()


def kept() -> set[type]:
    """Which of what listens is still in memory."""
    return {type(each) for each in gc.get_objects()} & {DetectionEar, PartyAudio, Detector}
