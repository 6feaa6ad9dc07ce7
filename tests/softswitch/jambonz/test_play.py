"""The verb `play`, and the sounds of `dial`."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sip.media.events import Played
from sip.media.plane import FOREVER, RingbackTone
from sip.softswitch.jambonz.sounds import SoundError, Sounds
from sip.softswitch.jambonz.verbs import parse_verbs
from sip.softswitch.jambonz.verbs.schema import VerbError
from tests.ladder import PCMU, Ladder, Peer, dial, ladder_with

HERE = Path(__file__).parent
#: Any file that is there: the media plane of a ladder plays nothing.
FILE = "test_play.py"
SOUNDS = Sounds(folder=HERE, country="GB")
played = ladder_with(sounds=SOUNDS)


def play(**more: Any) -> dict[str, Any]:
    return {"verb": "play", "url": FILE, **more}


async def calls(carrier: Peer) -> None:
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)


async def over(ladder: Ladder, play_id: int = 1, *, finished: bool = True) -> None:
    """The engine has played to the end."""
    await asyncio.sleep(0.1)
    (sid,) = ladder.media.open_calls
    now = asyncio.get_running_loop().time()
    ladder.media.tell(sid, Played(party="a", play_id=play_id, finished=finished, at=now))


@played
async def test_an_announcement_is_played_before_the_agent_is_called(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: [play(), dial("agent"), {"verb": "hangup"}]
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await calls(carrier)
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await agent.silence(5)
    assert ladder.media.played == [("a", HERE / FILE, 1)]
    await over(ladder)
    await agent.expect("INVITE")
    await agent.send(486)
    await agent.expect("ACK")
    await carrier.is_hung_up()


@played
async def test_an_early_announcement_answers_nothing(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: [
        play(earlyMedia=True),
        {"verb": "sip:decline", "status": 486},
    ]
    carrier = ladder.peer("carrier")
    await calls(carrier)
    progress = await carrier.expect(183)
    assert b"m=audio" in progress.body
    await over(ladder)
    await carrier.expect(486)
    await carrier.send("ACK")


@played
async def test_files_follow_each_other_as_often_as_asked(ladder: Ladder) -> None:
    other = "test_pause.py"
    ladder.app.verbs = lambda _: [play(url=[FILE, other], loop=2), {"verb": "hangup"}]
    carrier = ladder.peer("carrier")
    await calls(carrier)
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    for play_id in (1, 2, 3, 4):
        await over(ladder, play_id)
    await carrier.is_hung_up()
    assert [str(file) for _, file, _ in ladder.media.played] == [
        str(HERE / name) for name in (FILE, other, FILE, other)
    ]


@played
async def test_the_hook_is_told_how_it_went_and_may_bring_verbs(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: [play(loop="forever", timeoutSecs=3, actionHook="/played")]
    ladder.app.hooks["/played"] = lambda _: [{"verb": "hangup"}]
    carrier = ladder.peer("carrier")
    await calls(carrier)
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await carrier.is_hung_up()
    (told,) = ladder.app.told("/played")
    data = told["data"]
    assert (data["reason"], data["playback_seconds"]) == ("playCompleted", 3)
    assert ladder.media.played == [("a", HERE / FILE, FOREVER)]
    assert ladder.media.asked[-2][0] == "stop"


@pytest.mark.parametrize("name", ["missing.wav", "../../../README.md", "/etc/passwd"])
def test_a_file_that_is_not_in_the_folder_is_told_and_the_call_goes_on(name: str) -> None:
    async def story(ladder: Ladder) -> None:
        ladder.app.verbs = lambda _: [play(url=name, actionHook="/played"), {"verb": "hangup"}]
        carrier = ladder.peer("carrier")
        await calls(carrier)
        await carrier.expect(603)
        await carrier.send("ACK")
        (told,) = ladder.app.told("/played")
        assert told["data"]["reason"] == "playFailed"
        assert ladder.media.played == []

    played(story)()


@played
async def test_a_command_takes_the_place_of_what_is_played(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: [play(loop="forever")]
    carrier = ladder.peer("carrier")
    await calls(carrier)
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await asyncio.sleep(1)
    await ladder.app.command("redirect", [{"verb": "hangup"}])
    await carrier.is_hung_up()


@played
async def test_an_answered_caller_hears_its_countrys_ringback(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: [dial("agent", answerOnBridge=False), {"verb": "hangup"}]
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await calls(carrier)
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await agent.expect("INVITE")
    await agent.send(180)
    await asyncio.sleep(0.1)
    assert ladder.media.played == [("a", RingbackTone("GB"), FOREVER)]
    await agent.send(486)
    await agent.expect("ACK")
    await carrier.is_hung_up()


@played
async def test_a_caller_hears_a_file_while_it_rings(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: [dial("agent", dialMusic=FILE), {"verb": "hangup"}]
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await calls(carrier)
    await carrier.expect(183)
    await agent.expect("INVITE")
    await asyncio.sleep(0.1)
    assert ladder.media.played == [("a", HERE / FILE, FOREVER)]
    await agent.send(180)
    await carrier.expect(180)
    await agent.send(200, sdp=PCMU)
    await agent.expect("ACK")
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    assert any(asked[0] == "stop" for asked in ladder.media.asked)
    await carrier.hang_up()
    await agent.is_hung_up()


@played
async def test_a_call_goes_on_without_a_file_that_is_missing(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: [dial("agent", dialMusic="missing.wav"), {"verb": "hangup"}]
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await calls(carrier)
    await agent.expect("INVITE")
    await agent.send(486)
    await agent.expect("ACK")
    await carrier.expect(603)
    await carrier.send("ACK")


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (play(url="https://example.com/a.wav"), "a URL is known to jambonz, not supported here"),
        (play(url="say:Hello"), "name a file of the folder media.sounds"),
        (play(url=[]), "url must name a file"),
        (play(url=7), "url must be the name of a file"),
        (play(loop=0), "loop must be a number above 0, or forever"),
        (play(loop=True), "loop must be a number"),
        (play(timeoutSecs="soon"), "timeoutSecs must be a number of seconds"),
        (play(timeoutSecs=float("inf")), "timeoutSecs must be a number of seconds"),
        (play(seekOffset=8000), "seekOffset is known to jambonz"),
        ({"verb": "play"}, "url is missing"),
        ({"verb": "say", "text": "Hello"}, "'say' is known to jambonz, not supported here"),
        (dial("agent", dialMusic="http://example.com/a.wav"), "dialMusic .* a URL"),
    ],
)
def test_what_cannot_be_played_is_refused_in_words(item: dict[str, Any], words: str) -> None:
    with pytest.raises(VerbError, match=words):
        parse_verbs([item], print)


def test_without_a_folder_nothing_can_be_played() -> None:
    with pytest.raises(SoundError, match=r"media\.sounds names no folder"):
        Sounds().file("a.wav")


def test_a_link_out_of_the_folder_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "sounds").mkdir()
    (tmp_path / "secret.wav").write_bytes(b"RIFF")
    (tmp_path / "sounds" / "link.wav").symlink_to(tmp_path / "secret.wav")
    with pytest.raises(SoundError, match="is not in the folder"):
        Sounds(folder=tmp_path / "sounds").file("link.wav")
