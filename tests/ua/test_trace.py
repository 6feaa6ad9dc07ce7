"""Which messages a ladder remembers, and how much memory they take."""

import asyncio
import socket
import time

import pytest

from sip.clock import LoopClock
from sip.core.parser import parse_message
from sip.trace import FIRST, MAX_BYTES, MAX_DIALOG_BYTES, Direction, Trace
from tests.ladder import PCMU, Ladder, ladder_test
from tests.virtual import virtual_time

PEER, OURS = "udp:192.0.2.1:5060", "udp:192.0.2.2:5060"


def text(start: str, call_id: str, body: str = "", method: str | None = None) -> bytes:
    """A request, or with `method` a response to one."""
    return "\r\n".join(
        (
            start,
            "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK-1",
            "From: <sip:a@192.0.2.1>;tag=1",
            "To: <sip:b@192.0.2.2>",
            f"Call-ID: {call_id}",
            f"CSeq: 1 {method or start.split()[0]}",
            f"Content-Length: {len(body)}",
            "",
            body,
        )
    ).encode()


class Noting:
    """A trace, and the clock that it is told the time by."""

    def __init__(self, budget_bytes: int = MAX_BYTES, dialog_bytes: int = MAX_DIALOG_BYTES) -> None:
        self.trace = Trace(budget_bytes=budget_bytes, dialog_bytes=dialog_bytes)
        self.clock = LoopClock()

    def note(self, data: bytes, way: Direction = "in") -> None:
        self.trace.add(self.clock, way, PEER, OURS, parse_message(data), data)

    def request(self, method: str, call_id: str, body: str = "", way: Direction = "in") -> None:
        self.note(text(f"{method} sip:b@192.0.2.2 SIP/2.0", call_id, body), way)

    def summaries(self, *call_ids: str) -> list[str]:
        return [traced.summary for traced in self.trace.ladder(call_ids)]


@virtual_time
async def test_a_call_from_its_invite_on() -> None:
    noting = Noting()
    noting.request("INVITE", "call", PCMU)
    noting.note(text("SIP/2.0 200 OK", "call", method="INVITE"), "out")
    for method in ("BYE", "OPTIONS"):
        noting.request(method, "call")
    assert noting.summaries("call") == [
        "INVITE sip:b@192.0.2.2",
        "200 OK (INVITE)",
        "BYE sip:b@192.0.2.2",
        "OPTIONS sip:b@192.0.2.2",
    ]
    [invite, *_] = noting.trace.ladder(["call"])
    assert invite.message.encode() == text("INVITE sip:b@192.0.2.2 SIP/2.0", "call", PCMU)


@virtual_time
async def test_what_belongs_to_no_call_is_not_kept() -> None:
    """A PBX asks by OPTIONS all day, each with a Call-ID of its own."""
    noting = Noting()
    for number in range(10):
        for method in ("OPTIONS", "REGISTER", "BYE"):
            noting.request(method, f"{method}-{number}")
    assert noting.trace.size == 0


@virtual_time
async def test_invites_that_become_no_call_push_no_call_out() -> None:
    noting = Noting(budget_bytes=200_000)
    noting.request("INVITE", "call")
    noting.trace.keep("call")
    noting.request("INVITE", "ours", way="out")
    for number in range(2_000):
        noting.request("INVITE", f"stranger-{number}")
    assert len(noting.summaries("call", "ours")) == 2
    assert noting.summaries("stranger-1999")  # the newest can be looked at
    assert not noting.summaries("stranger-0")


@virtual_time
async def test_the_oldest_call_gives_way_when_the_budget_is_used_up() -> None:
    noting = Noting(budget_bytes=50_000)
    for number in range(100):
        noting.request("INVITE", f"call-{number}", PCMU, way="out")
        assert noting.trace.size <= 50_000
    assert not noting.summaries("call-0")
    assert noting.summaries("call-99")


@virtual_time
async def test_of_a_long_dialog_the_middle_is_left_out() -> None:
    noting = Noting(dialog_bytes=20_000)
    noting.request("INVITE", "call", PCMU)
    for _ in range(500):
        noting.request("UPDATE", "call")
    noting.request("BYE", "call")
    shown = noting.trace.ladder(["call"])
    assert shown[0].summary.startswith("INVITE")
    assert shown[-1].summary.startswith("BYE")
    assert len(shown) + shown[FIRST].left_out == 502
    assert sum(one.left_out for one in shown) == shown[FIRST].left_out
    assert noting.trace.size <= 20_000


@virtual_time
async def test_nothing_is_kept_with_a_budget_of_nothing() -> None:
    noting = Noting(budget_bytes=0)
    noting.request("INVITE", "call", way="out")
    assert (noting.trace.size, noting.summaries("call")) == (0, [])


@virtual_time
async def test_what_is_forgotten_takes_no_room() -> None:
    noting = Noting()
    noting.request("INVITE", "call", way="out")
    noting.request("INVITE", "other", way="in")
    noting.trace.forget(["call", "other", "unheard-of"])
    assert noting.trace.size == 0


@virtual_time
async def test_what_passes_while_the_clock_stands_still_stays_in_order() -> None:
    """uvloop's clock has milliseconds: an answer must not stand before what it answers."""
    noting = Noting()
    noting.request("INVITE", "a")
    noting.request("INVITE", "b", way="out")
    noting.note(text("SIP/2.0 180 Ringing", "b", method="INVITE"))
    noting.note(text("SIP/2.0 180 Ringing", "a", method="INVITE"), "out")
    shown = noting.trace.ladder(["a", "b"])
    assert len({one.at for one in shown}) == 1
    assert [one.sip_call_id for one in shown] == ["a", "b", "b", "a"]


@virtual_time
async def test_a_clock_that_is_set_changes_no_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two legs, and the wall clock goes back an hour between the first one's messages."""
    noting = Noting()
    noting.request("INVITE", "a")
    began = noting.trace.ladder(["a"])[0].at
    await asyncio.sleep(1)
    noting.clock.epoch = lambda: time.time() - 3600
    noting.request("INVITE", "b", way="out")
    await asyncio.sleep(1)
    noting.request("BYE", "a")
    shown = noting.trace.ladder(["a", "b"])
    assert [(one.summary.split()[0], one.sip_call_id) for one in shown] == [
        ("INVITE", "a"),
        ("INVITE", "b"),
        ("BYE", "a"),
    ]
    assert [round(one.at - began, 3) for one in shown] == [0, 1, 2]


@ladder_test
async def test_a_strangers_responses_erase_no_ladder_and_lead_to_a_ban(ladder: Ladder) -> None:
    """They match nothing that we sent, so they are no call's; two thousand of them are an
    offence."""
    await ladder.call_up()
    await asyncio.sleep(1)
    dialogs = {frame["data"]["call_id"] for frame in ladder.app.told("call:status")}
    before = ladder.trace.ladder(dialogs)
    assert len(before) >= 5
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.9", 0))
        to = (ladder.peer("carrier").gateway.host, ladder.peer("carrier").gateway.port)
        for number in range(2_013):
            stranger.sendto(text("SIP/2.0 200 OK", f"stray-{number}", method="INVITE"), to)
            if number % 50 == 0:
                await asyncio.sleep(0.01)
    assert ladder.trace.ladder(dialogs) == before
    assert ladder.trace.ladder(["stray-1"]) == []
    assert [ban.address for ban in ladder.gatekeeper.bans.list(LoopClock().now())] == ["127.0.0.9"]
    await ladder.hung_up_by("carrier")


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("plain", "plain"),
        ("tab\tulator", "tab\tulator"),
        ("Grüße", "Grüße"),
        ("\x1b[2J", "\ufffd[2J"),
        ("l\u202eeft", "l\ufffdeft"),
        ("del\x7f", "del\ufffd"),
    ],
)
@virtual_time
async def test_what_moves_a_terminals_cursor_is_shown_as_a_sign(sent: str, shown: str) -> None:
    noting = Noting()
    start = "INVITE sip:b@192.0.2.2 SIP/2.0"
    before, after = text(start, "call").decode().partition("\r\n\r\n")[::2]
    noting.trace.add(
        noting.clock,
        "in",
        PEER,
        OURS,
        parse_message(text(start, "call")),
        f"{before}\r\nSubject: {sent}\r\n\r\n{after}".encode(),
    )
    (traced,) = noting.trace.ladder(["call"])
    assert traced.message == f"{before}\r\nSubject: {shown}\r\n\r\n{after}"


@virtual_time
async def test_what_one_message_hides_changes_no_other() -> None:
    """A ladder is looked through as a whole: a zero byte in a message is not its end."""
    noting = Noting()
    noting.request("INVITE", "call", "v=0\0o=-\x1b[2J")
    noting.request("INFO", "call", "Signal=7")
    noting.request("BYE", "call")
    first, second, third = (traced.message for traced in noting.trace.ladder(["call"]))
    assert first.endswith("v=0\ufffdo=-\ufffd[2J")
    assert second.endswith("Signal=*")
    assert third == text("BYE sip:b@192.0.2.2 SIP/2.0", "call").decode()
    noting.request("INVITE", "plain")
    noting.request("BYE", "plain")
    noting.note(text("OPTIONS sip:b@192.0.2.2 SIP/2.0", "plain", "a\0b"))
    assert [traced.message[-3:] for traced in noting.trace.ladder(["plain"])] == [
        "\n\r\n",
        "\n\r\n",
        "a\ufffdb",
    ]
