"""HTTP connections: how many, from whom, and for how long. On virtual time, over real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from aiohttp import web

from config.settings import HttpSettings
from gateway.http.clients import CLIENTS, PROVEN, Clients, fairness
from gateway.http.door import (
    IDLE_S,
    KEPT_IDLE_S,
    REQUEST_S,
    Door,
    Site,
    exempt_sockets,
    let_wait,
    seated,
)
from gateway.http.problems import problems
from tests.virtual import virtual_time

ASK = b"GET / HTTP/1.1\r\nHost: gateway\r\n\r\n"


class Client:
    """One connection, as bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self, data: bytes = ASK) -> int:
        """The status of the answer, whose body is read too; 0 where there is none."""
        self.writer.write(data)
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return 0
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        self.body = await self.reader.readexactly(length)
        return int(head.split()[1])

    async def closed_after(self) -> float:
        """Seconds until the other side ends the connection."""
        began = asyncio.get_running_loop().time()
        with suppress(ConnectionError):
            await self.reader.read()
        return asyncio.get_running_loop().time() - began


class House:
    """A server with a door, and its clients; `/` answers, `/slow` never does, `/mine` proves,
    `/patient` proves and takes long."""

    def __init__(self, **settings: Any) -> None:
        self.settings = HttpSettings.model_validate(
            {"requests_per_second": 1000, "max_connections": 20, **settings}
        )
        self.slow = asyncio.Event()
        self.served = 0

    @asynccontextmanager
    async def open(self, most: int = 1000) -> AsyncIterator["House"]:
        clients = Clients(self.settings, asyncio.get_running_loop().time)
        app = web.Application(middlewares=[seated, problems, fairness])
        app[CLIENTS] = clients
        app.on_response_prepare.append(exempt_sockets)
        app.router.add_get("/", self._answer)
        app.router.add_get("/slow", self._wait)
        app.router.add_get("/mine", self._prove)
        app.router.add_get("/patient", self._wait_long)
        app.router.add_get("/socket", self._talk)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        async with Door(self.settings, clients, most) as self.door:
            await Site(runner, self.door, "127.0.0.1", 0).start()
            self.port = runner.addresses[0][1]
            self._opened: list[Client] = []
            yield self
        for client in self._opened:
            client.writer.transport.abort()
        self.slow.set()
        await runner.cleanup()
        await asyncio.sleep(0.1)
        assert len(self.door) == 0

    async def client(self, host: str = "127.0.0.9") -> Client:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(host, 0))
        client = Client(reader, writer)
        self._opened.append(client)
        await asyncio.sleep(0.01)  # until it is accepted, or is not
        return client

    async def _answer(self, _: web.Request) -> web.Response:
        self.served += 1
        return web.Response(text="here")

    async def _wait(self, _: web.Request) -> web.Response:
        await self.slow.wait()
        return web.Response(text="at last")

    async def _wait_long(self, request: web.Request) -> web.Response:
        let_wait(request, 100)
        await self.slow.wait()
        return web.Response(text="at last")

    async def _prove(self, request: web.Request) -> web.Response:
        request[PROVEN] = True
        return web.Response(text="mine")

    async def _talk(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for _ in socket:
            pass
        return socket


Story = Callable[[House], Coroutine[Any, Any, None]]


def house_test(**settings: Any) -> Callable[[Story], Callable[[], None]]:
    def decorate(story: Story) -> Callable[[], None]:
        async def run() -> None:
            async with House(**settings).open() as house:
                await story(house)

        run.__doc__, run.__name__ = story.__doc__, story.__name__
        return virtual_time(run)

    return decorate


@house_test()
async def test_a_client_that_asks_nothing_is_left(house: House) -> None:
    silent, half = await house.client(), await house.client()
    half.writer.write(ASK[:20])
    assert IDLE_S <= await silent.closed_after() < IDLE_S + 2
    assert await half.closed_after() < 2


@house_test()
async def test_a_head_that_comes_byte_by_byte_has_no_longer(house: House) -> None:
    slow = await house.client()
    began = asyncio.get_running_loop().time()
    for byte in ASK * 4:
        slow.writer.write(bytes([byte]))
        await asyncio.sleep(1)
        if slow.reader.at_eof() or slow.reader.exception():
            break
    assert asyncio.get_running_loop().time() - began < IDLE_S + 3
    assert house.served == 0


@house_test()
async def test_the_next_request_has_its_time_and_longer_for_who_is_known(house: House) -> None:
    stranger, known = await house.client(), await house.client()
    assert await stranger.ask() == 200
    assert await known.ask(ASK.replace(b"/ ", b"/mine ")) == 200
    assert IDLE_S <= await stranger.closed_after() < IDLE_S + 2
    assert KEPT_IDLE_S - 2 <= IDLE_S + await known.closed_after() < KEPT_IDLE_S + 2


@house_test()
async def test_a_request_has_its_time_too(house: House) -> None:
    """As where the client reads nothing of a long answer."""
    client = await house.client()
    client.writer.write(ASK.replace(b"/ ", b"/slow "))
    assert REQUEST_S <= await client.closed_after() < REQUEST_S + 3


@house_test(connections_per_address=2)
async def test_what_people_do_may_take_longer_and_takes_no_room_of_its_address(
    house: House,
) -> None:
    """As a function of Retell's, which waits until somebody answers a transfer."""
    waiting = [await house.client() for _ in range(2)]
    for client in waiting:
        client.writer.write(ASK.replace(b"/ ", b"/patient "))
        await asyncio.sleep(0.01)
    assert await (await house.client()).ask() == 200
    assert 100 <= await waiting[0].closed_after() < 103
    again = await house.client()
    await again.ask(ASK.replace(b"/ ", b"/mine "))
    again.writer.write(ASK.replace(b"/ ", b"/slow "))
    assert REQUEST_S <= await again.closed_after() < REQUEST_S + 3


@house_test(connections_per_address=3)
async def test_one_address_has_so_many_connections_and_others_go_on(house: House) -> None:
    greedy = [await house.client() for _ in range(10)]
    assert len(house.door) == 3
    assert house.door.refused["too many of one address"] == 7
    other = await house.client("127.0.0.10")
    assert await other.ask() == 200
    greedy[0].writer.close()
    await asyncio.sleep(0.1)
    assert await (await house.client()).ask() == 200


@house_test(max_connections=12, connections_per_address=3)
async def test_who_has_proved_itself_is_no_stranger_of_its_address(house: House) -> None:
    """As Retell, all of whose webhooks come from one address; its idle ones go last."""
    known = []
    for _ in range(9):
        known.append(await house.client())
        assert await known[-1].ask(ASK.replace(b"/ ", b"/mine ")) == 200
    strangers = [await house.client() for _ in range(5)]
    assert house.door.refused["too many of one address"] == 2
    other = await house.client("127.0.0.10")
    assert await other.ask() == 200
    assert await strangers[0].closed_after() < 0.1
    assert not any(client.reader.at_eof() for client in known)


@house_test(max_connections=5, connections_per_address=5)
async def test_where_there_is_no_room_the_longest_idle_goes(house: House) -> None:
    """Thousands of idle connections from everywhere keep nobody out who has something to ask."""
    idle = [await house.client(f"127.0.0.{20 + number}") for number in range(4)]
    busy = await house.client("127.0.0.30")
    busy.writer.write(ASK.replace(b"/ ", b"/slow "))
    await asyncio.sleep(0.1)
    for number in range(50):
        honest = await house.client(f"127.0.1.{number}")
        assert await honest.ask() == 200
    assert len(house.door) == 5
    assert await idle[0].closed_after() < 0.1
    house.slow.set()
    assert (await busy.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")


@house_test(max_connections=2, connections_per_address=5)
async def test_where_all_are_busy_the_new_one_is_refused(house: House) -> None:
    for _ in range(2):
        client = await house.client()
        client.writer.write(ASK.replace(b"/ ", b"/slow "))
        await asyncio.sleep(0.05)
    assert await (await house.client()).ask() == 0
    assert house.door.refused["too many"] == 1


@house_test(max_connections=2, connections_per_address=2)
async def test_a_socket_that_was_let_in_has_no_seat(house: House) -> None:
    """A jambonz has one for each call, all from one address, and they last for hours."""
    upgrade = (
        b"GET /socket HTTP/1.1\r\nHost: gateway\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    sockets = []
    for _ in range(10):
        client = await house.client()
        client.writer.write(upgrade)
        assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        sockets.append(client)
    assert len(house.door) == 0
    await asyncio.sleep(3600)
    assert not any(client.reader.at_eof() for client in sockets)


@virtual_time
async def test_few_descriptors_mean_few_connections() -> None:
    async with House(connections_per_address=50).open(most=4) as house:
        for _ in range(10):
            await house.client()
        assert len(house.door) == 4


@house_test(trusted_proxies=["127.0.0.9"], connections_per_address=2, requests_per_second=5)
async def test_those_behind_a_trusted_proxy_do_not_share_one_limit(house: House) -> None:
    clients = [await house.client() for _ in range(10)]
    for number, client in enumerate(clients):
        told = f"X-Forwarded-For: 203.0.113.200, 198.51.100.{number}\r\n\r\n".encode()
        for _ in range(9):
            assert await client.ask(ASK[:-2] + told) == 200
    assert asyncio.get_running_loop().time() < 1


@house_test(connections_per_address=50, max_connections=60, requests_per_second=5)
async def test_who_is_no_trusted_proxy_cannot_speak_for_others(house: House) -> None:
    statuses = []
    for number in range(40):
        told = f"X-Forwarded-For: 198.51.100.{number}\r\n\r\n".encode()
        statuses.append(await (await house.client()).ask(ASK[:-2] + told))
    assert asyncio.get_running_loop().time() > 4
    assert set(statuses) == {200}


@house_test(requests_per_second=10, connections_per_address=50, max_connections=60)
async def test_a_client_that_asks_too_often_waits_its_turn(house: House) -> None:
    """It is served at its rate, whatever it does; beyond a wait of two seconds, refused."""
    clients = [await house.client() for _ in range(48)]
    began = asyncio.get_running_loop().time()
    statuses = await asyncio.gather(*(client.ask() for client in clients))
    took_s = asyncio.get_running_loop().time() - began
    assert statuses.count(200) == house.served == 40
    assert statuses.count(429) == 8
    assert 1.5 < took_s < 2.5
    other = await house.client("127.0.0.10")
    assert await other.ask() == 200
    assert asyncio.get_running_loop().time() - began - took_s < 0.1


@house_test(requests_per_second=1)
async def test_who_proves_itself_is_not_counted(house: House) -> None:
    client = await house.client()
    for _ in range(100):
        assert await client.ask(ASK.replace(b"/ ", b"/mine ")) == 200
    assert asyncio.get_running_loop().time() < 1


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40) + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X-Long: " + b"x" * 9000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: 1\r\n" % n for n in range(100)) + b"\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nExpect: \xff\r\n\r\n",
    ],
    ids=["tls", "long field", "many fields", "negative length", "no text is expected"],
)
def test_what_is_no_http_is_a_problem_too(data: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    @house_test()
    async def story(house: House) -> None:
        client = await house.client()
        assert await client.ask(data) == 400
        assert json.loads(client.body)["code"] == "bad-request"
        assert await client.closed_after() < 2

    story()
    assert "Traceback" not in capsys.readouterr().err
