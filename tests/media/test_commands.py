"""What is asked of an engine beside offers and answers, as it stands on the wire."""

from collections.abc import Iterator

import pytest

from sip.media.ng.bencode import Decoded, Encodable
from sip.media.ng.commands import Commands
from sip.media.ng.form import Form
from sip.media.plane import Capability, EngineStatistics, MediaError, Subscription, Withheld
from sip.media.relay.control import LISTED
from tests.media.desk import Desk, reason

Request = dict[str, Encodable]


class Asked(Commands):
    """An engine that says what the test wants."""

    def __init__(self, reply: dict[str, Decoded], *lacks: Capability) -> None:
        self.requests: list[tuple[str, Request]] = []
        self.reply = reply
        self.lacks = lacks

    @property
    def capabilities(self) -> frozenset[Capability]:
        return frozenset(Capability) - set(self.lacks)

    async def request(self, command: str, keys: object) -> dict[str, Decoded]:
        assert isinstance(keys, dict)
        self.requests.append((command, keys))
        return self.reply


async def test_withholding_is_four_commands() -> None:
    engine = Asked({"result": "ok"})
    for how in Withheld:
        await engine.withhold("c", "a", how)
        await engine.let_pass("c", "a", how)
    assert [command for command, _ in engine.requests] == [
        "block media",
        "unblock media",
        "silence media",
        "unsilence media",
    ]
    assert all(keys == {"call-id": "c", "from-tag": "a"} for _, keys in engine.requests)


async def test_a_subscription_is_asked_for_answered_and_ended() -> None:
    engine = Asked({"result": "ok", "to-tag": "s", "sdp": "v=0"})
    assert await engine.subscribe("c", "a") == Subscription("s", "v=0")
    await engine.answer_subscription("c", "s", "v=0 answer")
    await engine.unsubscribe("c", "s")
    assert [(command, keys.get("to-tag")) for command, keys in engine.requests] == [
        ("subscribe request", None),
        ("subscribe answer", "s"),
        ("unsubscribe", "s"),
    ]


@pytest.mark.parametrize("reply", [{}, {"to-tag": "s"}, {"sdp": "v=0"}, {"to-tag": 1, "sdp": 2}])
async def test_an_engine_that_offers_a_subscriber_nothing_is_refused(
    reply: dict[str, Decoded],
) -> None:
    with pytest.raises(MediaError, match="offers nothing"):
        await Asked(reply).subscribe("c", "a")


async def test_what_an_engine_lacks_is_not_even_asked() -> None:
    engine = Asked({}, Capability.WITHHOLD, Capability.SUBSCRIBE)
    for request in (
        engine.withhold("c", "a", Withheld.BLOCKED),
        engine.let_pass("c", "a", Withheld.BLOCKED),
        engine.subscribe("c", "a"),
        engine.answer_subscription("c", "s", ""),
        engine.unsubscribe("c", "s"),
    ):
        with pytest.raises(MediaError) as refused:
            await request
        assert refused.value.slug == "unsupported"
    assert engine.requests == []


@pytest.mark.parametrize(
    ("told", "read"),
    [
        (
            {  # rtpengine writes its uptime as text
                "currentstatistics": {"sessionstotal": 3},
                "totalstatistics": {
                    "uptime": "18",
                    "managedsessions": 7,
                    "relayedpackets": 100,
                    "relayedbytes": 17200,
                },
            },
            EngineStatistics(sessions=3, ended=7, packets=100, octets=17200, uptime_s=18),
        ),
        ({"totalstatistics": {"uptime": "soon"}}, EngineStatistics()),
        ("none", EngineStatistics()),
    ],
)
async def test_statistics_are_read_as_far_as_they_are_there(
    told: Decoded, read: EngineStatistics
) -> None:
    assert await Asked({"statistics": told}).statistics() == read


@pytest.mark.parametrize("calls", [None, "c", {}, ["c", 1, []]])
async def test_a_list_that_is_none_holds_no_call(calls: "Decoded | None") -> None:
    engine = Asked({} if calls is None else {"calls": calls})
    assert await engine.calls() == (("c",) if isinstance(calls, list) else ())


# our relay's side of them


@pytest.fixture
def desk() -> Iterator[Desk]:
    """Ends with every socket closed."""
    desk = Desk(Form.JSON, pairs=80)
    yield desk
    desk.sessions.close(desk.now)


def test_the_relay_lists_as_many_calls_as_it_is_asked_for(desk: Desk) -> None:
    for number in range(40):
        desk.offer(call_id=f"c{number}")
    assert len(_listed(desk.ask("list"))) == LISTED
    assert _listed(desk.ask("list", limit=3)) == ["c0", "c1", "c2"]
    assert len(_listed(desk.ask("list", limit=1000))) == 40
    for limit in (0, -1, "all"):
        assert "limit" in reason(desk.ask("list", limit=limit))


def test_the_relay_tells_what_it_has_done(desk: Desk) -> None:
    desk.offer()
    desk.answer()
    desk.ask("delete", call_id="call", from_tag="A")
    desk.offer(call_id="other")
    desk.now += 18.5
    assert desk.ask("statistics")["statistics"] == {
        "currentstatistics": {"sessionsown": 1, "sessionstotal": 1},
        "totalstatistics": {
            "uptime": "1018",
            "managedsessions": 1,
            "relayedpackets": 0,
            "relayedbytes": 0,
        },
    }


def test_the_relay_withholds_nobody_that_it_does_not_know(desk: Desk) -> None:
    assert reason(desk.ask("block media", call_id="no", from_tag="A")).startswith("unknown-call")
    desk.offer()
    assert "no party 'X'" in reason(desk.ask("silence media", call_id="call", from_tag="X"))
    assert desk.ask("block media", call_id="call", from_tag="A") == {"result": "ok"}


def _listed(reply: dict[str, Decoded]) -> list[Decoded]:
    calls = reply["calls"]
    assert isinstance(calls, list)
    return calls
