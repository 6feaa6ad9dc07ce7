"""What a conversation may rely on, whichever link carries it: the manners of a WebSocket."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.http.app_keys import CALLS
from gateway.jambonz import memory
from gateway.jambonz.messages import MAX_FRAME
from gateway.jambonz.session import JambonzSession, OnText
from gateway.jambonz.session import Socket as ApplicationSocket
from gateway.jambonz.web_socket import WebSocket
from sip.ids import Ids
from sip.softswitch.jambonz.link import AppError, Socket
from sip.softswitch.jambonz.socket import AppSocket
from sip.softswitch.jambonz.web_socket import AppAddress, WebSocketLink
from tests.contract.links import InMemory, Line, Links, WebSockets
from tests.gateway.conftest import TRUNK_DID, Gateway, Start, retell, start

__all__ = ["retell", "start"]  # fixtures

Json = dict[str, Any]


class Application:
    """The application's end of one conversation: what it heard, and how it takes a text."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.codes: list[int | None] = []
        self.socket: ApplicationSocket | None = None
        self.lost: list[str] = []
        self.on_text: OnText = lambda _: None

    def take(self, text: str) -> Any:
        self.texts.append(text)
        return self.on_text(text)

    def say(self, text: str) -> None:
        assert self.socket is not None
        self.socket.send(text, self.lost.append)


async def until(condition: Callable[[], object]) -> None:
    """Looked at again and again: no event tells of a state that is held by two halves."""
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came about")


Ends = tuple[Socket, Application]


@pytest.fixture(params=["web-socket", "memory"])
async def ends(
    request: pytest.FixtureRequest,
) -> AsyncIterator[Ends]:
    """Both ends of one conversation: the softswitch's, not started yet, and the application's."""
    application = Application()
    if request.param == "memory":
        ours, theirs = memory.pair()
        application.socket = theirs
        theirs.start(application.take, application.codes.append)
        yield ours, application
        return

    async def handle(request: web.Request) -> web.StreamResponse:
        application.socket = socket = WebSocket()
        response = await socket.open(request)
        await socket.run(application.take, application.codes.append)
        return response

    app = web.Application()
    app.router.add_get("/app", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    async with aiohttp.ClientSession() as http:
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/app"
        yield await WebSocketLink(http, AppAddress(url=url))._connect(0.0), application
    await runner.cleanup()


async def test_texts_arrive_in_order_both_ways_and_then_the_close(ends: Ends) -> None:
    socket, application = ends
    line = Line(socket)
    for number in range(50):
        socket.send(f"in {number}", line.lost.append)
    await until(lambda: len(application.texts) == 50)
    for number in range(50):
        application.say(f"out {number}")
    assert application.socket is not None
    await application.socket.close(1000)
    assert await line.close_code() == 1000
    assert application.texts == [f"in {number}" for number in range(50)]
    assert [line.texts.get_nowait() for _ in range(50)] == [f"out {n}" for n in range(50)]
    assert not line.lost


async def test_last_words_arrive_before_the_softswitchs_close(ends: Ends) -> None:
    socket, application = ends
    line = Line(socket)
    socket.send("last words", line.lost.append)
    await socket.close(1001)
    await until(lambda: application.codes)
    assert (application.texts, application.codes) == (["last words"], [1001])
    assert await line.close_code() == 1001


async def test_nothing_is_handled_in_the_senders_own_turn(ends: Ends) -> None:
    socket, application = ends
    line = Line(socket)
    socket.send("hello", line.lost.append)
    assert application.texts == []
    await until(lambda: application.texts)


@pytest.mark.parametrize("code", [1000, 1001, 1011, 4000])
async def test_the_application_closes(ends: Ends, code: int) -> None:
    socket, application = ends
    line = Line(socket)
    socket.send("hello", line.lost.append)
    await until(lambda: application.texts)
    assert application.socket is not None
    await application.socket.close(code)
    assert await line.close_code() == code
    await until(lambda: application.codes)
    assert application.codes == [code]


async def test_what_is_sent_after_the_end_is_lost_and_said_to_be(ends: Ends) -> None:
    socket, application = ends
    line = Line(socket)
    socket.send("hello", line.lost.append)
    await until(lambda: application.texts)
    await socket.close(1000)
    await until(lambda: application.codes)
    socket.send("too late", line.lost.append)
    application.say("too late as well")
    await until(lambda: line.lost and application.lost)
    assert (line.lost, application.lost) == (["too late"], ["too late as well"])
    assert application.texts == ["hello"]


async def test_the_end_is_told_once(ends: Ends) -> None:
    socket, application = ends
    line = Line(socket)
    socket.send("hello", line.lost.append)
    await until(lambda: application.texts)
    assert application.socket is not None
    await asyncio.gather(socket.close(1000), application.socket.close(1001))
    await until(lambda: application.codes)
    await line.close_code()
    await asyncio.sleep(0.05)
    assert len(application.codes) == 1


async def test_an_application_that_fails_closes_with_1011(ends: Ends) -> None:
    """Its exception ends the conversation, not the softswitch's half."""
    socket, application = ends

    def fail(_: str) -> None:
        raise RuntimeError("a bug")

    application.on_text = fail
    line = Line(socket)
    socket.send("hello", line.lost.append)
    assert await line.close_code() == 1011
    await until(lambda: application.codes)
    assert application.codes == [1011]


async def test_an_application_that_fails_at_work_closes_with_1011(ends: Ends) -> None:
    socket, application = ends

    async def fail() -> None:
        await asyncio.sleep(0.01)
        raise RuntimeError("a bug")

    application.on_text = lambda _: fail()
    line = Line(socket)
    socket.send("hello", line.lost.append)
    assert await line.close_code() == 1011


async def test_a_softswitch_that_fails_closes_with_1011(ends: Ends) -> None:
    socket, application = ends
    codes: list[int | None] = []

    def fail(_: str) -> None:
        raise RuntimeError("a bug")

    application.on_text = lambda _: application.say("answer")
    socket.start(fail, codes.append)
    socket.send("hello", print)
    await until(lambda: application.codes and codes)
    assert (application.codes, codes) == ([1011], [1011])


async def test_a_text_waits_for_the_work_on_the_one_before(ends: Ends) -> None:
    socket, application = ends
    course: list[str] = []

    async def work(text: str) -> None:
        course.append(f"begin {text}")
        await asyncio.sleep(0.02)
        course.append(f"end {text}")

    application.on_text = work
    line = Line(socket)
    socket.send("a", line.lost.append)
    socket.send("b", line.lost.append)
    await until(lambda: len(course) == 4)
    assert course == ["begin a", "end a", "begin b", "end b"]
    await socket.close(1000)


async def test_a_text_that_is_too_long_closes_with_1009(ends: Ends) -> None:
    socket, application = ends
    line = Line(socket)
    socket.send("hello", line.lost.append)
    await until(lambda: application.texts)
    application.say("x" * (MAX_FRAME + 1000))
    assert await line.close_code() == 1009
    assert line.texts.empty()


async def test_in_memory_an_end_that_takes_nothing_costs_a_bounded_number_of_texts() -> None:
    """A WebSocket's peer that reads nothing holds up the writer; here the conversation ends."""
    ours, theirs = memory.pair()
    codes: list[int | None] = []
    never = asyncio.Event()

    async def wait() -> None:
        await never.wait()

    theirs.start(lambda _: wait(), codes.append)
    line = Line(ours)
    for number in range(memory.MAX_WAITING + 50):
        ours.send(str(number), line.lost.append)
    assert len(line.lost) == 50
    assert await line.close_code() == 1008
    never.set()


# the softswitch's session with the application's, over both


class Conversation:
    """The softswitch's half of a call, as its driver uses it."""

    def __init__(self, links: Links) -> None:
        self.commands: list[Json] = []
        self.gone = asyncio.Event()
        self.socket = AppSocket(
            links.link,
            Ids(),
            call_sid="call-1",
            on_command=self.commands.append,
            on_gone=self.gone.set,
        )
        self.session: Json = {
            "call_sid": "call-1",
            "direction": "inbound",
            "from": "+12125550100",
            "to": TRUNK_DID,
            "call_id": "a@192.0.2.1",
            "sip": {"headers": {}},
            "originating_sip_trunk_name": "carrier",
        }

    def status(self, status: str, code: int, **more: object) -> None:
        self.socket.status(
            {"call_sid": "call-1", "call_status": status, "sip_status": code, **more}
        )


@pytest.fixture(params=[WebSockets, InMemory])
async def linked(request: pytest.FixtureRequest, start: Start) -> AsyncIterator[Any]:
    gateway = await start()
    links = request.param(gateway)
    yield gateway, links
    await links.close()


async def test_a_call_from_session_new_to_its_record(linked: tuple[Gateway, Links]) -> None:
    gateway, links = linked
    call = Conversation(links)
    verbs = await call.socket.open(call.session)
    assert isinstance(verbs, list)
    assert [verb["verb"] for verb in verbs] == ["dial", "hangup"]
    call.status("in-progress", 200)
    result = {"dial_call_status": "completed", "dial_sip_status": 200, "dial_call_sid": "leg"}
    assert await call.socket.hook("/dial-action", result) is None
    call.status("completed", 200, call_termination_by="caller", duration=1)
    await call.socket.close()
    record = await gateway.record()
    assert (record.ended_by, record.cause, record.sip_status) == ("caller", "hangup", 200)
    assert not call.gone.is_set()


async def test_a_call_goes_on_after_the_application_failed(
    linked: tuple[Gateway, Links], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Close 1011, session:reconnect with the first payload, then what was said meanwhile."""
    gateway, links = linked
    call = Conversation(links)
    await call.socket.open(call.session)

    failed = asyncio.Event()

    def fail_once(*_: object) -> None:
        monkeypatch.undo()
        failed.set()
        raise RuntimeError("a bug")

    monkeypatch.setattr("gateway.jambonz.session.parse", fail_once)
    call.status("trying", 100)
    await until(failed.is_set)
    call.status("no-answer", 487, call_termination_by="caller")
    await until(lambda: call.socket._connected and not call.socket._outbox)
    await call.socket.close()
    assert (await gateway.record()).cause == "cancelled"


async def test_an_application_that_closes_with_1000_has_left(
    linked: tuple[Gateway, Links],
) -> None:
    gateway, links = linked
    call = Conversation(links)
    await call.socket.open(call.session)
    [live] = gateway.app[CALLS]._calls.values()
    assert live.session is not None
    await live.session.close()
    async with asyncio.timeout(5):
        await call.gone.wait()
    with pytest.raises(AppError, match="has left"):
        await call.socket.hook("/dial-action", {})
    await call.socket.close()


async def test_a_command_that_the_softswitch_fails_at_costs_the_command_only(
    linked: tuple[Gateway, Links],
) -> None:
    gateway, links = linked
    call = Conversation(links)

    def fail(_: Json) -> None:
        raise RuntimeError("a bug")

    call.socket._on_command = fail
    await call.socket.open(call.session)
    [live] = gateway.app[CALLS]._calls.values()
    assert live.session is not None
    frame = '{"type": "command", "command": "redirect", "data": []}'
    live.session.send(frame, print)
    # told as jambonz:error, to which our application answers with a decline
    await until(lambda: live.machine.phase.value == "declining")
    assert not call.socket.gone
    call.status("failed", 500)
    await call.socket.close()
    assert (await gateway.record()).cause == "internal-error"


async def test_in_memory_a_conversation_that_is_over_frees_itself(start: Start) -> None:
    """A gateway runs the collector of cycles in quiet moments only (`sip/collector.py`)."""
    gateway = await start()
    gc.collect()
    gc.disable()
    try:
        call = Conversation(InMemory(gateway))
        await call.socket.open(call.session)
        live = gateway.app[CALLS].find("call-1")
        assert live is not None
        assert isinstance(live.session, JambonzSession)
        halves: list[weakref.ref[Any]] = [weakref.ref(call.socket), weakref.ref(live.session)]
        call.status("no-answer", 487, call_termination_by="caller")
        await call.socket.close()
        await gateway.record()
        del call, live
        await asyncio.sleep(0.01)
        assert [half() for half in halves] == [None, None]
    finally:
        gc.enable()


async def test_in_memory_a_closing_application_takes_no_call(start: Start) -> None:
    """Over a WebSocket the port closes instead."""
    gateway = await start()
    links = InMemory(gateway)
    await gateway.app.shutdown()
    with pytest.raises(AppError, match="closing"):
        await links.link.socket()
