"""A call's conversation as a whole: the softswitch's half and the application's, on any link."""

import asyncio
import gc
import itertools
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.http.app_keys import CALLS
from gateway.jambonz.session import JambonzSession
from sip.ids import Ids
from sip.softswitch.jambonz.link import AppError
from sip.softswitch.jambonz.socket import AppSocket
from tests.contract.links import InMemory, Line, Links, WebSockets
from tests.contract.test_links import until
from tests.gateway.conftest import TRUNK_DID, Gateway, Start, retell, start

__all__ = ["retell", "start"]  # fixtures

Json = dict[str, Any]


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

    def lose(self, number: int) -> asyncio.Future[str]:
        """The text of that number, from 1, does not reach us; the future has it."""
        lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        heard = itertools.count(1)

        def hear(text: str) -> None:
            if next(heard) == number:
                lost.set_result(text)
            else:
                AppSocket._take(self.socket, text)

        self.socket._take = hear  # type: ignore[method-assign]
        return lost

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


async def breaks(links: Links, call: Conversation) -> None:
    """The application's end of the conversation breaks."""
    socket = call.socket._socket
    assert socket is not None
    line = Line.__new__(Line)  # a Line's making would start the socket again
    line.socket = socket
    await links.cut(line)


async def test_a_first_ack_that_is_lost_with_its_socket_is_given_again(
    linked: tuple[Gateway, Links],
) -> None:
    gateway, links = linked
    call = Conversation(links)
    lost = call.lose(1)
    opening = asyncio.create_task(call.socket.open(call.session))
    await lost
    await breaks(links, call)
    async with asyncio.timeout(3):
        verbs = await opening
    assert isinstance(verbs, list)
    assert [verb["verb"] for verb in verbs] == ["dial", "hangup"]
    call.status("no-answer", 487, call_termination_by="caller")
    await call.socket.close()
    assert (await gateway.record()).cause == "cancelled"


async def test_a_hooks_ack_that_is_lost_with_its_socket_is_given_again(
    linked: tuple[Gateway, Links],
) -> None:
    gateway, links = linked
    call = Conversation(links)
    lost = call.lose(2)
    await call.socket.open(call.session)
    result = {"dial_call_status": "busy", "dial_sip_status": 486, "dial_call_sid": "leg"}
    asking = asyncio.create_task(call.socket.hook("/dial-action", result))
    await lost
    await breaks(links, call)
    async with asyncio.timeout(3):
        verbs = await asking
    assert isinstance(verbs, list)
    assert verbs[0]["status"] == 486
    call.status("failed", 486)
    await call.socket.close()
    assert (await gateway.record()).cause == "busy"


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
