"""The phone's calls, against an agent on raw sockets with the manners of real peers."""

import re
import socket
import threading
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from testkit import melody
from testkit.melody import AGENT, CALLER, synthesise
from testkit.phone.audio import AudioError, read_wav, write_wav
from testkit.phone.options import CallOptions, Expect, PhoneError
from testkit.phone.place import place_call
from testkit.phone.report import CallReport, Ended
from tests.testkit.phone.agent import Agent, Manner

pytest.importorskip("pyVoIP", reason="the test phone's library is not installed")


@pytest.fixture(autouse=True)
def _nothing_stays_behind() -> Iterator[None]:
    """Each call ends its threads: one that stayed would hold a socket too."""
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def call(agent: Agent, **options: object) -> CallReport:
    known: dict[str, object] = {"number": "+14155550100", "max_talk_s": 6.0}
    return place_call(CallOptions(port=agent.port, **(known | options)))  # type: ignore[arg-type]


def shown(report: CallReport) -> str:
    console = Console(width=400, highlight=False)
    with console.capture() as capture:
        console.print(report.render())
    return capture.get()


def values(text: str, name: str) -> list[str]:
    return re.findall(rf"^{name}: (.*?)\r$", text, re.MULTILINE)


@pytest.mark.parametrize("compact", [False, True], ids=["plain", "compact-headers-rich-sdp"])
@pytest.mark.parametrize("payload_type", [0, 8], ids=["mu-law", "a-law"])
def test_both_directions_are_proved_by_content(compact: bool, payload_type: int) -> None:
    with Agent(Manner(compact=compact, payload_type=payload_type)) as agent:
        report = call(agent)
    assert report.proved
    assert report.ended is Ended.PHONE
    assert report.codec == {0: "PCMU", 8: "PCMA"}[payload_type]
    assert [one.heard for one in report.heard] == [True, True]
    assert min(one.similarity or 0.0 for one in report.heard) > 0.9
    assert report.ringing_ms is not None
    assert report.answered_ms is not None
    assert report.ringing_ms <= report.answered_ms < 2000
    assert report.talked_ms < 6000, "it hangs up as soon as all is heard"
    assert report.packets_lost == 0
    assert agent.seen.methods() == ["INVITE", "ACK", "BYE"]


def test_the_dialog_is_kept_as_rfc_3261_says() -> None:
    with Agent(Manner()) as agent:
        call(agent)
    invite, ack, bye = (agent.seen.first(method) for method in ("INVITE", "ACK", "BYE"))
    target = f"sip:agent@127.0.0.1:{agent.port};transport=udp"
    assert ack.startswith(f"ACK {target} SIP/2.0")
    assert bye.startswith(f"BYE {target} SIP/2.0")
    for request in (ack, bye):
        assert values(request, "To") == [values(invite, "To")[0] + ";tag=agent1"]
        assert values(request, "From") == values(invite, "From")
        assert values(request, "Call-ID") == values(invite, "Call-ID")
    branches = {values(request, "Via")[0] for request in (invite, ack, bye)}
    assert len(branches) == 3
    assert values(ack, "CSeq") == ["1 ACK"]
    assert values(bye, "CSeq") == ["2 BYE"]


def test_two_calls_share_no_identity() -> None:
    seen = []
    for _ in range(2):
        with Agent(Manner(final="486 Busy Here")) as agent:
            call(agent)
            seen.append(agent.seen.first("INVITE"))
    assert values(seen[0], "Call-ID") != values(seen[1], "Call-ID")
    assert values(seen[0], "Via") != values(seen[1], "Via")


def test_an_agent_that_echoes_but_does_not_sing_is_half_a_proof() -> None:
    with Agent(Manner(sing=False)) as agent:
        report = call(agent, max_talk_s=5.0)
    assert [one.heard for one in report.heard] == [False, True]
    assert not report.proved


def test_an_agent_that_does_not_hear_us_is_half_a_proof() -> None:
    with Agent(Manner(echo=False)) as agent:
        report = call(agent)
    assert [(one.heard, one.judged) for one in report.heard] == [(True, True), (False, True)]
    assert not report.proved
    assert "our melody NOT heard" in shown(report)


@pytest.mark.parametrize(
    ("manner", "options", "heard", "judged", "words"),
    [
        (Manner(echo=False), {"max_talk_s": 2.5}, [True, False], [True, False], "--seconds"),
        (Manner(sing=False), {"max_talk_s": 1.0}, [False, False], [False, False], "--seconds"),
        (Manner(hang_up_after_s=0.6), {}, [False, False], [False, False], "other side hung up"),
        (
            Manner(sing=False),
            {"max_talk_s": 1.0, "expect": Expect.SOUND},
            [False],
            [False],
            "--seconds",
        ),
    ],
    ids=["no-echo-yet", "no-greeting-yet", "hung-up", "no-sound-yet"],
)
def test_a_call_that_was_too_short_is_no_verdict(
    manner: Manner,
    options: dict[str, object],
    heard: list[bool],
    judged: list[bool],
    words: str,
) -> None:
    """It proves nothing, and says so rather than that nothing is heard."""
    with Agent(manner) as agent:
        report = call(agent, **options)
    assert [one.heard for one in report.heard] == heard
    assert [one.judged for one in report.heard] == judged
    assert not report.proved
    text = shown(report)
    assert words in text
    assert "NOT heard" not in text


@pytest.mark.parametrize(
    ("final", "options", "words"),
    [
        ("404 Not Found", {}, "+14155550100 is not under numbers"),
        ("407 Proxy Authentication Required", {}, "Give --user and --password"),
        ("401 Unauthorized", {"user": "me", "password": "x"}, "did not take me"),
        ("486 Busy Here", {}, "486 Busy Here"),
    ],
)
def test_a_refusal_says_what_to_do(final: str, options: dict[str, object], words: str) -> None:
    with Agent(Manner(final=final)) as agent:
        report = call(agent, **options)
    assert words in shown(report)


def test_lost_audio_is_counted_and_the_melodies_are_found_all_the_same() -> None:
    with Agent(Manner(loss=0.04)) as agent:
        report = call(agent)
    assert report.proved
    assert report.packets_lost > 0


def test_the_agent_hangs_up_first() -> None:
    with Agent(Manner(hang_up_after_s=0.6)) as agent:
        report = call(agent)
    assert report.ended is Ended.OTHER_SIDE
    assert report.talked_ms < 2000
    assert "BYE" not in agent.seen.methods()


@pytest.mark.parametrize(
    ("final", "status"),
    [("486 Busy Here", 486), ("503 Service Unavailable", 503), ("499 Odd Code", 499)],
)
def test_a_refusal_is_acknowledged_and_reported(final: str, status: int) -> None:
    with Agent(Manner(final=final)) as agent:
        report = call(agent)
    assert (report.ended, report.status) == (Ended.REFUSED, status)
    assert not report.proved
    assert final.split(" ", 1)[1] in report.failure()
    invite, ack = agent.seen.first("INVITE"), agent.seen.first("ACK")
    assert values(ack, "Via") == values(invite, "Via"), "RFC 3261 17.1.1.3"
    assert values(ack, "To")[0].endswith(";tag=agent1")


def test_a_call_that_only_rings_is_cancelled() -> None:
    with Agent(Manner(provisional=("100 Trying", "183 Session Progress"), final=None)) as agent:
        report = call(agent, answer_within_s=0.7)
    assert report.ended is Ended.NO_ANSWER
    assert report.status == 487
    assert report.ringing_ms is not None
    invite, cancel = agent.seen.first("INVITE"), agent.seen.first("CANCEL")
    assert values(cancel, "Via") == values(invite, "Via")
    assert values(cancel, "CSeq") == ["1 CANCEL"]
    assert agent.seen.methods()[-1] == "ACK"


def test_lost_requests_are_sent_again() -> None:
    with Agent(Manner(drop_first_invites=1, drop_first_byes=1)) as agent:
        report = call(agent)
    assert report.proved
    assert agent.seen.methods() == ["INVITE", "INVITE", "ACK", "BYE", "BYE"]


def test_an_answer_without_sdp_is_hung_up() -> None:
    with Agent(Manner(sdp=False)) as agent:
        report = call(agent, max_talk_s=0.5)
    assert not report.proved
    assert report.codec is None
    assert agent.seen.methods()[-1] == "BYE"


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_a_login_is_proved_by_digest(algorithm: str) -> None:
    challenge = f'Digest realm="office", nonce="n1", algorithm={algorithm}, qop="auth"'
    with Agent(Manner(challenge=challenge)) as agent:
        report = call(agent, user="desk", password="secret")
    assert report.proved
    assert agent.seen.methods()[:4] == ["INVITE", "ACK", "INVITE", "ACK"]
    first, second = agent.seen.first("INVITE"), agent.seen.last("INVITE")
    assert values(second, "CSeq") == ["2 INVITE"]
    assert values(second, "Via") != values(first, "Via")
    assert 'username="desk"' in values(second, "Proxy-Authorization")[0]
    assert f"algorithm={algorithm}" in values(second, "Proxy-Authorization")[0]


def test_without_a_login_a_challenge_is_a_refusal() -> None:
    with Agent(Manner(challenge='Digest realm="office", nonce="n1"')) as agent:
        report = call(agent)
    assert (report.ended, report.status) == (Ended.REFUSED, 407)


def test_further_headers_are_in_the_invite_and_in_its_repetition() -> None:
    login = {"user": "phone", "password": "secret"}
    with Agent(Manner(challenge='Digest realm="office", nonce="n1"')) as agent:
        call(agent, headers=(("X-Order", "7"), ("X-Name", "Ann")), **login)
    first, second = [one for one in agent.seen.requests if one.startswith("INVITE ")]
    for invite in (first, second):
        assert (values(invite, "X-Order"), values(invite, "X-Name")) == (["7"], ["Ann"])


def test_silence_from_the_other_end_is_told_from_a_closed_port() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind(("127.0.0.1", 0))
        port = mute.getsockname()[1]
        options = CallOptions(number="+14155550100", port=port, answer_within_s=1.5)
        report = place_call(options)
    assert report.ended is Ended.NOTHING_CAME_BACK
    assert "trunks" in report.failure()
    report = place_call(options)
    assert report.ended is Ended.NOTHING_LISTENS
    assert "is the gateway running?" in report.failure()


def test_what_was_heard_is_recorded(tmp_path: Path) -> None:
    target = tmp_path / "heard.wav"
    with Agent(Manner()) as agent:
        call(agent, record=target)
    with wave.open(str(target)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 1, 2)
    heard = read_wav(target)
    assert melody.find(AGENT, heard).heard
    assert melody.find(CALLER, heard).heard


def test_a_played_file_is_known_again_in_its_echo(tmp_path: Path) -> None:
    song = tmp_path / "song.wav"
    write_wav(song, synthesise(((400, 300), (650, 200), (2100, 260), (450, 400), (1850, 200))))
    with Agent(Manner()) as agent:
        report = call(agent, play=song)
    assert report.proved
    assert report.heard[1].what == "the played file"


def test_any_sound_will_do_for_a_real_agent(tmp_path: Path) -> None:
    song = tmp_path / "song.wav"
    write_wav(song, synthesise(((400, 3000),)))
    with Agent(Manner(sing=False)) as agent:
        report = call(agent, play=song, expect=Expect.SOUND, max_talk_s=4.0)
    assert report.proved
    assert [one.direction for one in report.heard] == ["agent → caller"]


def test_a_port_in_use_is_said_so() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(PhoneError, match=rf"udp:127\.0\.0\.1:{port}: Address already in use"):
            place_call(CallOptions(number="+14155550100", listen_port=port))


def test_a_file_too_short_to_be_known_again_is_refused(tmp_path: Path) -> None:
    song = tmp_path / "short.wav"
    write_wav(song, synthesise(((400, 500),)))
    with pytest.raises(AudioError, match=r"short\.wav: less than 1 s of sound"):
        place_call(CallOptions(number="+14155550100", play=song))
