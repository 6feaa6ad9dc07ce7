"""Commands about one leg, the verb `sip:request`, and the keys that `dtmfCapture` waits for."""

import asyncio
from pathlib import Path

import pytest

from sip.media.events import Digit, Played
from sip.media.plane import MediaError
from sip.softswitch.jambonz.sounds import Sounds
from sip.softswitch.jambonz.verbs import parse_verbs
from sip.softswitch.jambonz.verbs.schema import VerbError
from tests.ladder import PCMU, Ladder, dial, ladder_with

HERE = Path(__file__).parent
#: Any file that is there: the media plane of a ladder plays nothing.
FILE = "test_commands.py"
ladder_test = ladder_with(sounds=Sounds(folder=HERE, country="GB"))


def child(ladder: Ladder) -> str:
    """The callSid of whom the caller talks to."""
    [sid] = {
        frame["data"]["call_sid"]
        for frame in ladder.app.told("call:status")
        if "parent_call_sid" in frame["data"]
    }
    return str(sid)


def asked(ladder: Ladder, what: str) -> list[tuple[str, ...]]:
    """What the media engine was asked, without the call's id."""
    return [each[2:] for each in ladder.media.asked if each[0] == what]


async def told_error(ladder: Ladder) -> str:
    await ladder.app.until(lambda: ladder.app.told("jambonz:error"))
    return str(ladder.app.told("jambonz:error")[-1]["data"]["details"])


async def ends(ladder: Ladder) -> None:
    await ladder.hung_up_by("carrier")


@ladder_test
async def test_a_side_is_muted_and_heard_again(ladder: Ladder) -> None:
    """The caller without callSid, else whom it names."""
    await ladder.call_up()
    await ladder.app.command("mute:status", {"mute_status": "mute"})
    await ladder.app.command("mute:status", {"mute_status": "mute"}, callSid=child(ladder))
    await ladder.app.command("mute:status", {"mute_status": "unmute"})
    await ladder.app.command("mute:status", {"mute_status": "unmute"})
    await asyncio.sleep(0.5)
    assert asked(ladder, "withhold") == [("a", "blocked"), ("b1", "blocked")]
    assert asked(ladder, "let pass") == [("a", "blocked")]
    await ends(ladder)


@ladder_test
async def test_a_mute_lasts_when_another_comes(ladder: Ladder) -> None:
    """The caller is muted, and brought to another leg: it is muted there as well."""
    await ladder.call_up()
    carrier, second = ladder.peer("carrier"), ladder.peer("second")
    await ladder.app.command("mute:status", {"mute_status": "mute"})
    await asyncio.sleep(0.5)
    await ladder.app.command("redirect", [dial("second"), {"verb": "hangup"}])
    await ladder.peer("agent").is_hung_up()
    await second.answer_call()
    await asyncio.sleep(0.5)
    assert asked(ladder, "withhold") == [("a", "blocked"), ("a", "blocked")]
    await carrier.hang_up()
    await second.is_hung_up()


@ladder_test
async def test_one_side_hears_a_file_and_the_other_goes_on(ladder: Ladder) -> None:
    """The play's hook is told, and its ack has no verbs that are run."""
    await ladder.call_up()
    play = {"verb": "play", "url": FILE, "actionHook": "/played"}
    ladder.app.hooks["/played"] = lambda _: [{"verb": "hangup"}]
    await ladder.app.command("whisper", {"whisper": play}, callSid=child(ladder))
    await asyncio.sleep(0.5)
    assert ladder.media.played == [("b1", HERE / FILE, 1)]
    [session] = ladder.media.open_calls
    now = asyncio.get_running_loop().time()
    ladder.media.tell(session, Played(party="b1", play_id=1, finished=True, at=now))
    await ladder.app.until(lambda: ladder.app.told("/played"))
    await ladder.peer("carrier").silence(1)
    await ladder.app.command("whisper", [play, play])
    await asyncio.sleep(0.5)
    assert ladder.media.played[1:] == [("a", HERE / FILE, 1)]
    await ends(ladder)  # while it is played


@ladder_test
async def test_keys_are_sent_to_either_side(ladder: Ladder) -> None:
    """In the media they are pressed by the other side's party."""
    await ladder.call_up()
    await ladder.app.command("dtmf", {"dtmf": {"digit": "1", "duration": 250}})
    await ladder.app.command("dtmf", {"dtmf": "2#"}, callSid=child(ladder))
    await ladder.app.command("dtmf", {"digit": "*", "duration": 100})
    await asyncio.sleep(0.5)
    assert asked(ladder, "press") == [
        ("b1", "1", "250"),
        ("a", "2", "500"),
        ("a", "#", "500"),
        ("b1", "*", "100"),
    ]
    await ends(ladder)


@ladder_test
async def test_a_request_in_the_dialog_of_either_side(ladder: Ladder) -> None:
    await ladder.call_up()
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    asked_for = {"method": "INFO", "content_type": "application/x-note", "content": "sold"}
    await ladder.app.command(
        "sip:request", {"sip_request": asked_for | {"headers": {"X-Case": "7"}}}
    )
    info = await carrier.expect("INFO")
    assert (info.content_type, info.body, info.headers.get("x-case")) == (
        "application/x-note",
        b"sold",
        "7",
    )
    await carrier.send(200, answering="INFO")
    message = {"method": "MESSAGE", "body": "hello"}
    await ladder.app.command("sip:request", message, callSid=child(ladder))
    said = await agent.expect("MESSAGE")
    assert (said.content_type, said.body) == ("text/plain", b"hello")
    await agent.send(415, answering="MESSAGE")
    await ends(ladder)


@ladder_test
async def test_the_verb_tells_what_became_of_its_request(ladder: Ladder) -> None:
    request = {"verb": "sip:request", "actionHook": "/sent", "id": "r1"}
    ladder.app.verbs = lambda _: [
        {**request, "method": "INFO"},
        {"verb": "answer"},
        {"verb": "pause", "length": 1},
        {
            **request,
            "method": "info",
            "body": "{}",
            "headers": {"Content-Type": "application/json"},
        },
        {**request, "method": "OPTIONS"},
        {"verb": "hangup"},
    ]
    carrier = ladder.peer("carrier")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    info = await carrier.expect("INFO")
    assert (info.content_type, info.body) == ("application/json", b"{}")
    await carrier.send(200, answering="INFO")
    await carrier.expect("OPTIONS")
    await carrier.send(501, answering="OPTIONS")
    await carrier.is_hung_up()
    early, sent, refused = [frame["data"] for frame in ladder.app.told("/sent")]
    assert (early["result"], early["verb_id"]) == ("failed", "r1")
    assert "not up" in early["err"]
    assert (sent["result"], sent["sip_status"]) == ("success", 200)
    assert (refused["result"], refused["sip_status"]) == ("success", 501)


@ladder_test
async def test_a_caller_that_hangs_up_answers_no_request(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: [
        {"verb": "answer"},
        {"verb": "pause", "length": 1},
        {"verb": "sip:request", "method": "INFO", "actionHook": "/sent"},
    ]
    carrier = ladder.peer("carrier")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await carrier.expect("INFO")
    await carrier.hang_up()
    await ladder.app.until(lambda: ladder.app.told("/sent"), timeout_s=2)
    assert ladder.app.told("/sent")[0]["data"]["result"] == "failed"
    await carrier.send(200, answering="INFO")


@pytest.mark.parametrize(
    ("name", "data", "more", "words"),
    [
        ("mute:status", {"mute_status": "loud"}, {}, "mute_status must be mute or unmute"),
        ("mute:status", {"mute_status": "mute"}, {"callSid": "x"}, "no leg with this callSid"),
        ("whisper", {"verb": "hangup"}, {}, "each verb must be a play"),
        ("whisper", [], {}, "no verbs"),
        ("whisper", {"verb": "play"}, {}, "url is missing"),
        ("dtmf", {"duration": 100}, {}, "dtmf is missing"),
        ("dtmf", "1", {}, "data must be an object"),
        ("dtmf", {"digit": "x"}, {}, "dtmf may hold 0-9"),
        ("sip:request", {"method": "BYE"}, {}, "method must be one of INFO, MESSAGE, NOTIFY"),
        ("sip:request", {"method": "INFO", "headers": {"Via": "x"}}, {}, "softswitch's own"),
        ("listen:status", {"listen_status": "pause"}, {}, "known to jambonz, not supported here"),
    ],
)
def test_what_cannot_be_done_is_refused_in_words(
    name: str, data: object, more: dict[str, object], words: str
) -> None:
    async def story(ladder: Ladder) -> None:
        await ladder.call_up()
        await ladder.app.command(name, data, **more)
        assert words in await told_error(ladder)
        await ends(ladder)

    ladder_test(story)()


@ladder_test
async def test_a_leg_that_is_not_answered_hears_no_whisper(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: [dial("agent"), {"verb": "hangup"}]
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await agent.expect("INVITE")
    await agent.send(180)
    await carrier.expect(180)
    await ladder.app.command("whisper", {"verb": "play", "url": FILE})
    assert "the leg is not answered" in await told_error(ladder)
    await agent.send(486)
    await agent.expect("ACK")
    await carrier.expect(603)
    await carrier.send("ACK")


@ladder_test
async def test_what_the_media_engine_cannot_do_is_told(ladder: Ladder) -> None:
    await ladder.call_up()
    ladder.media.refuse = MediaError("unsupported", "this media engine cannot")
    await ladder.app.command("mute:status", {"mute_status": "mute"})
    assert await told_error(ladder) == "this media engine cannot"
    assert ladder.app.told("jambonz:error")[-1]["data"]["msg"] == "NotSupported"
    ladder.media.refuse = None
    await ends(ladder)


# dtmfCapture


@pytest.mark.parametrize(
    ("capture", "heard"),
    [
        (["*9", "#"], [("a", "*9"), ("b1", "#")]),
        ({"parentCall": ["*9"], "childCall": ["*9"]}, [("a", "*9")]),
        ({"childCall": ["#"]}, [("b1", "#")]),
    ],
)
def test_keys_that_an_application_waits_for(capture: object, heard: list[tuple[str, str]]) -> None:
    """Its hook is told of whose side they were; whatever it answers, the two go on."""

    async def story(ladder: Ladder) -> None:
        ladder.app.verbs = lambda _: [
            dial("agent", dtmfCapture=capture, dtmfHook="/keys"),
            {"verb": "hangup"},
        ]
        ladder.app.hooks["/keys"] = lambda _: [{"verb": "hangup"}]
        await ladder.call_up()
        [session] = ladder.media.open_calls
        now = asyncio.get_running_loop().time()
        for party, key in (("a", "*"), ("a", "9"), ("b1", "1"), ("b1", "#")):
            ladder.media.tell(session, Digit(party=party, digit=key, duration_ms=100, at=now))
        await ladder.app.until(lambda: len(ladder.app.told("/keys")) == len(heard))
        sids = {"a": ladder.app.frames[0]["data"]["call_sid"], "b1": child(ladder)}
        told = [frame["data"] for frame in ladder.app.told("/keys")]
        assert [(one["call_sid"], one["dtmf"]) for one in told] == [
            (sids[party], keys) for party, keys in heard
        ]
        await ladder.peer("carrier").silence(1)
        await ends(ladder)

    ladder_test(story)()


@pytest.mark.parametrize(
    ("capture", "words"),
    [
        ("*9", "dtmfCapture must be an array, or an object of childCall, parentCall"),
        ({"call": ["1"]}, "dtmfCapture must be an array, or an object of childCall, parentCall"),
        (["*9", "x"], "dtmfCapture may hold 0-9"),
        ({"childCall": "1"}, "dtmfCapture.childCall must be an array of at most 20"),
        (["1"] * 21, "dtmfCapture must be an array of at most 20"),
        ([""], "dtmfCapture must be 1 to 32 keys"),
    ],
)
def test_keys_that_nobody_can_press_are_refused_in_words(capture: object, words: str) -> None:
    with pytest.raises(VerbError, match=words):
        parse_verbs([dial("agent", dtmfCapture=capture)], print)
