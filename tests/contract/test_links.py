"""What a conversation may rely on, whichever link carries it: the manners of a WebSocket."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.jambonz import memory
from gateway.jambonz.messages import MAX_FRAME
from gateway.jambonz.session import OnText
from gateway.jambonz.session import Socket as ApplicationSocket
from gateway.jambonz.web_socket import WebSocket
from sip.softswitch.jambonz.link import Socket
from sip.softswitch.jambonz.web_socket import AppAddress, WebSocketLink
from tests.contract.links import Line
from tests.gateway.conftest import retell, start

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
