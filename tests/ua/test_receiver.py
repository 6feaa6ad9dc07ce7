"""A request that breaks in our hands: it is refused, and neither transaction nor dialog stays."""

import asyncio
import socket
from collections.abc import Callable

from structlog.testing import capture_logs

from sip.clock import LoopClock
from sip.core.message import Request
from sip.core.parser import parse_message
from sip.errors import ParseError
from sip.ids import Ids
from sip.transport.endpoint import Endpoint
from sip.ua.server_transaction import ServerTransaction
from sip.ua.user_agent import UserAgent
from tests.virtual import virtual_time

LISTEN = Endpoint("udp", "127.0.0.1", 0)


class Leg:
    """Who has a dialog, and breaks when it is asked for something."""

    dropped = False

    def on_request(self, transaction: ServerTransaction) -> None:
        raise RuntimeError("a leg breaks")

    def on_ack(self, ack: Request) -> None:
        raise RuntimeError("a leg breaks")

    def drop(self) -> None:
        self.dropped = True


class Caller:
    """A socket that sends requests to one user agent."""

    def __init__(self, to: Endpoint) -> None:
        self._to = (to.host, to.port)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self._cseq = 0

    def send(self, method: str, *, to_tag: str = "", headers: str = "") -> None:
        if method != "ACK":
            self._cseq += 1
        port = self._socket.getsockname()[1]
        tag = f";tag={to_tag}" if to_tag else ""
        self._socket.sendto(
            f"{method} sip:a@127.0.0.1 SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK-{self._cseq}\r\n"
            "From: <sip:b@127.0.0.1>;tag=b\r\n"
            f"To: <sip:a@127.0.0.1>{tag}\r\n"
            "Call-ID: one@127.0.0.1\r\n"
            f"CSeq: {self._cseq} {method}\r\n"
            f"Contact: <sip:b@127.0.0.1:{port}>\r\n"
            f"{headers}Content-Length: 0\r\n\r\n".encode(),
            self._to,
        )

    async def status(self) -> int:
        loop = asyncio.get_running_loop()
        data = await asyncio.wait_for(loop.sock_recv(self._socket, 65535), 5)
        message = parse_message(data)
        assert not isinstance(message, Request)
        return message.status

    def close(self) -> None:
        self._socket.close()


async def agent(on_request: Callable[[ServerTransaction], None]) -> tuple[UserAgent, Caller]:
    ua = UserAgent(clock=LoopClock(), ids=Ids(), on_request=on_request)
    return ua, Caller(await ua.listen(LISTEN))


async def nothing_is_left(ua: UserAgent, caller: Caller) -> None:
    await asyncio.sleep(40)
    assert set(ua.gauges.values()) == {0}
    caller.close()
    await ua.close()


@virtual_time
async def test_a_request_that_breaks_is_refused_and_leaves_no_dialog() -> None:
    leg = Leg()

    def take(transaction: ServerTransaction) -> None:
        ua.open_dialog(transaction.request.call_id, "ours", leg)
        transaction.respond(ua.response(transaction.request, 180, to_tag="ours"))
        raise RuntimeError("between the dialog and the call")

    ua, caller = await agent(take)
    with capture_logs() as lines:
        caller.send("INVITE")
        assert [await caller.status(), await caller.status()] == [180, 500]
        caller.send("ACK", to_tag="ours")
        caller.send("BYE", to_tag="ours")
        assert await caller.status() == 481
    assert leg.dropped
    [line] = lines
    assert (line["event"], line["method"]) == ("request.broke", "INVITE")
    assert line["exc_info"]
    await nothing_is_left(ua, caller)


@virtual_time
async def test_a_request_that_breaks_in_a_dialog_leaves_the_dialog_as_it_was() -> None:
    """The leg decides what becomes of its dialog: a later BYE must still find it."""
    ua, caller = await agent(lambda _: None)
    ua.open_dialog("one@127.0.0.1", "ours", Leg())
    with capture_logs() as lines:
        caller.send("INVITE", to_tag="ours")
        assert await caller.status() == 500
        caller.send("ACK", to_tag="ours")
        await asyncio.sleep(1)
        assert ua.gauges["dialogs"] == 1
        caller.send("UPDATE", to_tag="ours")
        assert await caller.status() == 500
    assert [line["event"] for line in lines] == ["request.broke"] * 2
    ua.close_dialog("one@127.0.0.1", "ours")
    await nothing_is_left(ua, caller)


@virtual_time
async def test_an_ack_that_breaks_is_logged_and_the_next_message_is_read() -> None:
    ua, caller = await agent(lambda _: None)
    ua.open_dialog("one@127.0.0.1", "ours", Leg())
    with capture_logs() as lines:
        caller.send("ACK", to_tag="ours")
        caller.send("UPDATE", to_tag="ours")
        assert await caller.status() == 500
    assert [line["event"] for line in lines] == ["message.broke", "request.broke"]
    ua.close_dialog("one@127.0.0.1", "ours")
    await nothing_is_left(ua, caller)


@virtual_time
async def test_a_field_that_turns_out_malformed_is_answered_by_its_reason() -> None:
    leg = Leg()

    def take(transaction: ServerTransaction) -> None:
        ua.open_dialog(transaction.request.call_id, "ours", leg)
        raise ParseError("Malformed Session-Expires")

    ua, caller = await agent(take)
    caller.send("INVITE")
    assert await caller.status() == 400
    caller.send("ACK")
    assert leg.dropped
    assert ua.dropped["malformed"] == 1
    await nothing_is_left(ua, caller)


@virtual_time
async def test_dialogs_of_other_calls_stay() -> None:
    def take(transaction: ServerTransaction) -> None:
        ua.open_dialog("another@127.0.0.1", "opened meanwhile", Leg())
        ua.open_dialog(transaction.request.call_id, "ours", Leg())
        raise RuntimeError("too late")

    ua, caller = await agent(take)
    ua.open_dialog("one@127.0.0.1", "of the same Call-ID, from before", Leg())
    with capture_logs():
        caller.send("INVITE")
        assert await caller.status() == 500
        caller.send("ACK")
    assert ua.gauges["dialogs"] == 2
    ua.close_dialog("another@127.0.0.1", "opened meanwhile")
    ua.close_dialog("one@127.0.0.1", "of the same Call-ID, from before")
    await nothing_is_left(ua, caller)
