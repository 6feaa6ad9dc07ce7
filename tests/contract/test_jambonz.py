"""Our application against frames that a real jambonz sent, and against what it takes from us."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pytest

from gateway.jambonz.messages import UNACKED
from gateway.jambonz.verbs import (
    Config,
    Decline,
    Dial,
    Gather,
    Hangup,
    Pause,
    PhoneTarget,
    Play,
    SipRefer,
    SipTarget,
    Verb,
    Verbs,
)
from gateway.storage.call_records import CallRecord
from tests.contract.links import InMemory, Line, Links, WebSockets
from tests.gateway.conftest import Start, retell, start

Json = dict[str, Any]

__all__ = ["retell", "start"]  # fixtures

DATA = Path(__file__).parent / "data"
PROPERTIES: Json = json.loads((DATA / "verb-properties.json").read_text())
DID = "+14155550100"
CALLER = "+12125550100"


def check_verbs(verbs: list[Json]) -> None:
    """As jambonz checks an array: non-empty, nothing unknown, nothing missing."""
    assert verbs
    for verb in verbs:
        rules = PROPERTIES[verb["verb"]]
        given = set(verb) - {"verb"}
        assert given <= set(rules["known"]), verb
        assert set(rules["required"]) <= given, verb
        for target in verb.get("target", []):
            assert set(target) <= set(PROPERTIES["target"]["known"]), target
            assert {"type"} <= set(target)
            assert target["type"] in ("phone", "sip", "user", "teams")
        if verb["verb"] == "sip:decline":
            assert 300 <= verb["status"] <= 699, verb


class Replay:
    """Plays jambonz's part of a story and keeps what the application said to it."""

    def __init__(self, links: Links) -> None:
        self.links = links
        self.lines: dict[int, Line] = {}
        self.acks: list[tuple[str, list[Json]]] = []

    async def play(self, name: str) -> None:
        for text in (DATA / f"{name}.jsonl").read_text().splitlines():
            row = json.loads(text)
            match row["kind"]:
                case "upgrade":
                    self.lines[row["conn"]] = await self.links.open(row["path"])
                case "text":
                    await self._frame(self.lines[row["conn"]], row["msg"])
                case "close" if row["by"] == "jambonz":
                    await self.lines[row["conn"]].close(row["code"])
                case "close":  # the application's socket broke
                    await self.links.cut(self.lines[row["conn"]])

    async def _frame(self, line: Line, frame: Json) -> None:
        line.say(frame)
        if frame["type"] in UNACKED:
            return
        ack = await line.hear()
        assert ack["type"] == "ack", ack
        assert ack["msgid"] == frame["msgid"]
        verbs = ack.get("data", [])
        if verbs:
            check_verbs(verbs)
        self.acks.append((str(frame.get("hook", frame["type"])), verbs))
        if verbs == [{"verb": "config"}]:
            command = await line.hear()
            assert command["command"] == "redirect"
            check_verbs(command["data"])
            self.acks.append(("command", command["data"]))


@dataclass(frozen=True)
class Story:
    """A recording, and what must come of it: acks as (message, first verb), the record's words."""

    acks: list[tuple[str, str | int | None]]
    ending: tuple[str, str, int]
    fault: str = "nobody"


NEW = ("session:new", "dial")
DONE = ("/dial-action", None)
STORIES = {
    "callee-hangs-up": Story([NEW, DONE], ("callee", "hangup", 200)),
    "caller-hangs-up": Story([NEW, DONE], ("caller", "hangup", 200)),
    "caller-cancels": Story([NEW, DONE], ("caller", "cancelled", 487)),
    "callee-busy": Story([NEW, ("/dial-action", 486)], ("callee", "busy", 486), "retell"),
    "failed-after-early-media": Story(
        [NEW, ("/dial-action", 503)], ("callee", "unavailable", 503), "retell"
    ),
    "from-retell-answered": Story([NEW, DONE], ("caller", "hangup", 200)),
    "from-retell-callee-busy": Story(
        [NEW, ("/dial-action", 486)], ("callee", "busy", 486), "callee"
    ),
    "refer-by-the-agent": Story(
        [NEW, ("/refer", None), DONE, ("/referComplete", None)], ("caller", "hangup", 200)
    ),
    "registered-call-answered": Story(
        [("session:new", "config"), ("command", "dial"), DONE], ("callee", "hangup", 200)
    ),
    "ring-timeout": Story([NEW, ("/dial-action", 480)], ("callee", "no-answer", 480), "retell"),
    "ring-timeout-lost-in-a-race": Story(
        [NEW, ("/dial-action", 480)], ("callee", "no-answer", 480), "retell"
    ),
    "caller-cancels-before-the-ack": Story([NEW], ("caller", "cancelled", 487)),
    "socket-breaks-while-ringing": Story(
        [NEW, ("session:reconnect", None), DONE], ("callee", "hangup", 200)
    ),
    "ended-by-command": Story([NEW, DONE], ("gateway", "hangup", 200)),
    "callee-hangs-up-status-elsewhere": Story([NEW, DONE], ("callee", "hangup", 200)),
    "caller-hangs-up-status-elsewhere": Story([NEW, DONE], ("caller", "hangup", 200)),
    "caller-cancels-status-elsewhere": Story([NEW, DONE], ("caller", "cancelled", 487)),
    "placed-by-rest": Story([NEW, DONE], ("callee", "hangup", 200)),
    "placed-by-rest-agent-busy": Story(
        [NEW, ("/dial-action", "hangup")], ("caller", "busy", 200), "retell"
    ),
    "child-becomes-adult": Story(
        [
            NEW,
            ("/p1", None),
            ("/c1", None),
            DONE,
            ("session:adulting", None),
        ],
        ("callee", "hangup", 200),  # all that can be seen: the dialled leg was over first
    ),
}


def test_every_recording_is_played() -> None:
    assert {path.stem for path in DATA.glob("*.jsonl")} == set(STORIES)


@pytest.mark.parametrize("kind", [WebSockets, InMemory])
@pytest.mark.parametrize("name", STORIES)
async def test_recorded_story(start: Start, name: str, kind: Callable[..., Links]) -> None:
    method = "dial" if name == "registered-call-answered" else "trunk"
    gateway = await start(
        sip={"listen": []},
        application={},
        numbers={DID: {"agent": "agent_1", "method": method}},
        trunks=[{"name": "MyPstn"}],
        outbound={"routes": [{"trunks": ["MyPstn"]}]},
    )
    replay = Replay(kind(gateway))
    async with asyncio.timeout(20):
        await replay.play(name)
        record = await gateway.record()
    story = STORIES[name]
    assert [(hook, first(verbs)) for hook, verbs in replay.acks] == story.acks
    assert (record.ended_by, record.cause, record.sip_status) == story.ending
    assert record.fault == story.fault
    check_record(record, name)


def first(verbs: list[Json]) -> str | int | None:
    """The first verb's name, or the status it declines with."""
    if not verbs:
        return None
    status: int | None = verbs[0].get("status")
    return status or str(verbs[0]["verb"])


def check_record(record: CallRecord, name: str) -> None:
    """The facts that every recording has in common."""
    by_rest, from_retell = name.startswith("placed-by-rest"), name.startswith("from-retell")
    assert record.a_sip_call_id is not None
    assert record.a_sip_call_id.startswith("outleg-1@" if by_rest else "a1b2c3d4-")
    direction = "retell" if from_retell else "outbound" if by_rest else "inbound"
    assert record.direction == direction
    numbers = (CALLER, DID) if direction == "inbound" else (DID, CALLER)
    assert (record.from_number, record.to_number) == numbers
    assert (record.answered_ms is not None) is (record.sip_status == 200)
    if "status-elsewhere" in name:
        return  # what only a call:status tells is not known
    if name == "callee-hangs-up":
        assert record.retell_headers == {"x-retell-call-id": "call_123"}
    if name != "caller-cancels-before-the-ack":
        assert record.b_sip_call_id is not None
        assert record.b_sip_call_id.startswith("outleg-")


#: Each verb that our application sends, at its fullest and its barest.
EXAMPLES: Verbs = (
    Dial(
        targets=(PhoneTarget(DID, "retell"),),
        action_hook="/dial-action",
        timeout_s=44.6,
        caller_id=CALLER,
        headers={"X-A": "1"},
        music="wait.wav",
    ),
    Dial(
        targets=(
            PhoneTarget(DID, "pbx", {"X-A": "1"}, "/transfer-confirm/0", CALLER),
            SipTarget("sip:200@pbx.example.com", {"X-A": "1"}, "/transfer-confirm/1", CALLER),
        ),
        action_hook="/transfer-dial",
        timeout_s=30,
        time_limit_s=89.6,
        refer_hook="/refer",
    ),
    Play("welcome.wav", early=True, action_hook="/transfer-said"),
    Play("music.wav", early=True, forever=True),
    SipRefer(
        refer_to=f"tel:{DID}",
        action_hook="/transfer-refer",
        event_hook="/transfer-news",
        referred_by=f"sip:{DID}@gateway.example.com",
        headers={"X-A": "1"},
    ),
    SipRefer(refer_to=f"tel:{DID}", action_hook="/transfer-refer"),
    Gather(action_hook="/transfer-accept/0", digits=1, timeout_s=10, play="whisper.wav"),
    Gather(action_hook="/transfer-accept/0", digits=1, timeout_s=0.2),
    Pause(5.0),
    Dial(targets=(SipTarget("sip:call_1@host"),), action_hook="/dial-action", timeout_s=0.1),
    Decline(486),
    Decline(603, "Decline"),
    Hangup(),
    Config(fax_hook="/fax-heard"),
    Config(),
)


@pytest.mark.parametrize("verb", EXAMPLES)
def test_verb_is_one_that_jambonz_takes(verb: Verb) -> None:
    check_verbs([verb.wire()])
    assert verb.wire().get("timeout", 1) >= 1


def test_every_verb_of_ours_has_an_example() -> None:
    assert {type(example) for example in EXAMPLES} == set(get_args(Verb))


@pytest.mark.parametrize("status", [0, 180, 183, 200, 302, 700])
def test_no_decline_with_what_declines_nothing(status: int) -> None:
    """jambonz reports ringing/180 for a dial that timed out: sent back, no final answer."""
    with pytest.raises(ValueError, match="does not decline"):
        Decline(status)
