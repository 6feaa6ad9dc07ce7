"""What the jambonz protocol asks of an application beyond deciding: acks, reconnects, closes."""

import asyncio
import base64
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from gateway.calls import live_calls, planner
from gateway.http.app_keys import CALLS, ENDPOINT, METRICS, STORE
from gateway.jambonz import endpoint, session, web_socket
from gateway.storage.call_records import CallStore
from tests.gateway.conftest import FALLBACK_DID, TRUNK_DID, Gateway, Start


async def test_subprotocol_is_chosen_and_compression_is_not(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        assert jambonz.socket.protocol == "ws.jambonz.org"
        assert not jambonz.socket.compress


@pytest.mark.parametrize("kind", ["verb:hook", "session:redirect", "dial:confirm", "brand:new"])
async def test_what_wants_an_ack_gets_one(gateway: Gateway, kind: str) -> None:
    """Known or not, in a call or not: without it jambonz waits 5 s and more goes wrong."""
    async with gateway.jambonz() as jambonz:
        msgid = await jambonz.send(kind, {"any": "thing"}, hook="/of-somebody-else")
        assert await jambonz.ack(msgid) is None


@pytest.mark.parametrize(
    "kind", ["call:status", "verb:status", "jambonz:error", "llm:event", "tts:streaming-event"]
)
async def test_what_wants_no_ack_gets_none(gateway: Gateway, kind: str) -> None:
    async with gateway.jambonz() as jambonz:
        await jambonz.send(kind, {})
        msgid = await jambonz.send("verb:hook", {})
        assert await jambonz.ack(msgid) is None  # the next frame answers the next message


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"type":5}', '"text"', "\u0000"])
async def test_what_is_no_message_is_passed_over(gateway: Gateway, text: str) -> None:
    async with gateway.jambonz() as jambonz:
        await jambonz.socket.send_str(text)
        verbs = await jambonz.new_call(to=TRUNK_DID)
        assert verbs[0]["verb"] == "dial"
        await jambonz.caller("no-answer", 487, call_termination_by="caller")


async def test_unknown_hook_of_a_call_changes_nothing(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID)
        msgid = await jambonz.send("verb:hook", {"dial_call_status": "failed"}, hook="/any")
        assert await jambonz.ack(msgid) is None
        await jambonz.answered()
        await jambonz.callee_hangs_up()
    assert (await gateway.record()).cause == "hangup"


async def test_call_without_a_sid_is_declined(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        await jambonz.socket.send_json({"type": "session:new", "msgid": "m", "data": {}})
        verbs = await jambonz.ack("m")
        assert verbs == [{"verb": "sip:decline", "status": 500, "reason": "Server Internal Error"}]


async def test_bug_in_routing_declines_the_call_and_closes_nothing(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception must not drop the socket: before the first ack jambonz never gets over it."""

    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(planner, "route", broken)
    async with gateway.jambonz() as jambonz:
        verbs = await jambonz.new_call(to=TRUNK_DID)
        assert verbs == [{"verb": "sip:decline", "status": 500, "reason": "Server Internal Error"}]
        await jambonz.declined(500)
    record = await gateway.record()
    assert (record.cause, record.fault, record.sip_status) == ("internal-error", "gateway", 500)


async def test_bug_in_a_hook_declines_the_call(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID)
        monkeypatch.setattr("gateway.calls.call_machine.dial_refusal", broken)
        verbs = await jambonz.refused(503)
        assert [(verb["verb"], verb["status"]) for verb in verbs] == [("sip:decline", 500)]
        await jambonz.declined(500)
    assert (await gateway.record()).fault == "gateway"


async def test_verbs_that_jambonz_refuses_end_the_call(gateway: Gateway) -> None:
    """Else it would wait for other ones for ever."""
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID)
        await jambonz.send("jambonz:error", {"msg": "InvalidMessage", "details": "no such verb"})
        assert (await jambonz.command())[0] == {
            "verb": "sip:decline",
            "status": 500,
            "reason": "Server Internal Error",
        }
        await jambonz.declined(500)
    assert (await gateway.record()).cause == "internal-error"


async def test_conversation_goes_on_after_a_jambonz_error(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID)
        await jambonz.answered()
        await jambonz.send("jambonz:error", {"msg": "InvalidMessage"})
        await jambonz.callee_hangs_up()
    assert (await gateway.record()).cause == "hangup"


@pytest.mark.parametrize("code", [1006, 1011, 4000])
async def test_call_goes_on_over_a_reconnect(gateway: Gateway, code: int) -> None:
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID)
        await jambonz.leg("trying", 100)
        if code == 1006:
            await jambonz.break_connection()
        else:
            await jambonz.hang_up(code)
        assert await jambonz.reconnect() is None
        verbs = await jambonz.dial_ended("failed", 503)
        assert verbs[0]["status"] == 503
        await jambonz.declined(503)
    record = await gateway.record()
    assert record.cause == "unavailable"


@pytest.fixture
async def hurried(monkeypatch: pytest.MonkeyPatch, start: Start) -> Gateway:
    """A gateway that pings every tenth of a second."""
    monkeypatch.setattr(web_socket, "PING_S", 0.1)
    monkeypatch.setattr(endpoint, "PING_ROUND_S", 0.02)
    return await start()


async def test_a_quiet_socket_is_kept_awake(hurried: Gateway) -> None:
    """Proxies cut connections on which nothing passes; whoever answers our pings is alive."""
    async with hurried.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID)
        quiet = asyncio.create_task(jambonz.socket.receive())  # aiohttp answers pings by itself
        await asyncio.sleep(0.6)
        assert not quiet.done()
        quiet.cancel()
        await asyncio.gather(quiet, return_exceptions=True)
        await jambonz.answered()
        await jambonz.callee_hangs_up()
    assert (await hurried.record()).cause == "hangup"


async def test_their_pings_are_answered(gateway: Gateway) -> None:
    async with gateway.jambonz(autoping=False) as jambonz:
        await jambonz.socket.ping(b"anybody there?")
        async with asyncio.timeout(5):
            answer = await jambonz.socket.receive()
        assert (answer.type, answer.data) == (aiohttp.WSMsgType.PONG, b"anybody there?")


async def test_a_dead_socket_is_left_and_its_call_goes_on_elsewhere(hurried: Gateway) -> None:
    """A connection that a firewall forgot looks open for ever, unless one asks."""
    async with hurried.jambonz(autoping=False) as jambonz:
        await jambonz.new_call(to=TRUNK_DID)
        async with asyncio.timeout(5):
            kinds: list[aiohttp.WSMsgType] = []
            while not kinds or kinds[-1] is aiohttp.WSMsgType.PING:
                kinds.append((await jambonz.socket.receive()).type)
        assert kinds == [aiohttp.WSMsgType.PING, aiohttp.WSMsgType.CLOSE]
        assert jambonz.socket.close_code == 1001
        assert await jambonz.reconnect() is None
        await jambonz.answered()
        await jambonz.callee_hangs_up()
    assert (await hurried.record()).cause == "hangup"


async def test_reconnect_while_the_old_socket_still_seems_open(gateway: Gateway) -> None:
    """Half-open TCP: the old socket's end, when it comes, is no news of the call."""
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID)
        old = jambonz.socket
        assert await jambonz.reconnect() is None
        await old.close(code=1000)
        await jambonz.answered()
        await jambonz.callee_hangs_up()
    assert (await gateway.record()).cause == "hangup"


async def test_jambonz_that_never_comes_back(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_calls, "RECONNECT_S", 0.01)
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID)
        await jambonz.break_connection()
    record = await gateway.record()
    assert (record.cause, record.fault, record.sip_status) == ("connection-lost", "unknown", None)


async def test_jambonz_ends_the_session_without_a_last_word(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID)
        await jambonz.hang_up(1001)
    assert (await gateway.record()).cause == "connection-lost"


async def test_socket_that_stays_open_after_the_call_is_closed_with_1000(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_calls, "LINGER_S", 0.01)
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID)
        await jambonz.caller("no-answer", 487, call_termination_by="caller")
        message = await jambonz.socket.receive(timeout=5)
        assert message.type is aiohttp.WSMsgType.CLOSE
        assert message.data == 1000
    assert (await gateway.record()).cause == "cancelled"


async def test_same_call_announced_twice_leaves_two_closed_records(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID)
        verbs = await jambonz.new_call(to=TRUNK_DID)
        assert verbs[0]["verb"] == "dial"
        await jambonz.caller("no-answer", 487, call_termination_by="caller")
        await jambonz.hang_up()
        await gateway.app[CALLS].none_left()
    causes = [record.cause for record in await gateway.records()]
    # begun in one millisecond, perhaps, and so in no order
    assert set(causes) == {"cancelled", "connection-lost"}
    assert len(causes) == 2


async def test_adulted_child_starts_no_call(gateway: Gateway) -> None:
    """Its socket is `/adulting` under ours, its envelopes carry no call_sid."""
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID)
        await jambonz.answered()
        for path in ("/adulting", "/adulting/adulting"):
            url = f"{gateway.url}/retell{path}"
            async with gateway.http.ws_connect(url, protocols=("ws.jambonz.org",)) as child:
                data = {"call_sid": "child", "parent_call_sid": jambonz.call_sid}
                await child.send_json({"type": "session:adulting", "msgid": "m", "data": data})
                assert await child.receive_json(timeout=5) == {"type": "ack", "msgid": "m"}
                over = {"type": "call:status", "msgid": "n", "data": {**data, "call_status": "x"}}
                await child.send_json(over)
        assert len(gateway.app[CALLS]) == 1
        await jambonz.callee_hangs_up()
    assert (await gateway.record()).cause == "hangup"


async def test_status_of_a_call_not_announced_yet_is_no_call(gateway: Gateway) -> None:
    """A call begun by jambonz's REST API reports before session:new, without an envelope sid."""
    async with gateway.jambonz() as jambonz:
        data = {"call_sid": "rest", "call_status": "trying", "sip_status": 100}
        await jambonz.send("call:status", data, call_sid=None)
        assert await jambonz.ack(await jambonz.send("verb:hook", {})) is None
    assert await gateway.records() == []


async def test_shutdown_says_going_away_and_leaves_the_record_open(gateway: Gateway) -> None:
    """A jambonz then looks for the successor, which adopts the call."""
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID)
        reading = asyncio.create_task(jambonz.socket.receive(timeout=5))
        await gateway.app[ENDPOINT].close()
        message = await reading
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1001)
    assert [record.state for record in await gateway.records()] == ["live"]


async def test_lost_ack_of_a_hook_is_made_up_for(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verbs of an ack that could not be sent follow by command after the reconnect."""
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID)
        real = web_socket.WebSocket.send

        def send(_: object, text: str, lost: Callable[[str], None]) -> None:
            lost(text)

        monkeypatch.setattr(web_socket.WebSocket, "send", send)
        await jambonz.send("verb:hook", {"dial_call_status": "busy"}, hook="/dial-action")
        await jambonz.hang_up(4000)
        monkeypatch.setattr(web_socket.WebSocket, "send", real)
        assert await jambonz.reconnect() is None
        assert (await jambonz.command())[0]["status"] == 486
        await jambonz.declined(486)
    assert (await gateway.record()).cause == "busy"


async def test_first_ack_that_may_be_lost_is_given_again(gateway: Gateway) -> None:
    """jambonz takes the reconnect's ack for it then, and ignores its verbs otherwise."""
    async with gateway.jambonz() as jambonz:
        verbs = await jambonz.new_call(to=TRUNK_DID, told=False)
        await jambonz.break_connection()
        assert await jambonz.reconnect() == verbs
        await jambonz.answered()
        await jambonz.callee_hangs_up()
    assert (await gateway.record()).cause == "hangup"


@pytest.mark.parametrize("heard", [True, False])
async def test_ack_of_a_hook_that_may_be_lost_is_given_again(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, heard: bool
) -> None:
    """By its message's id, which our softswitch still knows; a jambonz, which does not and shows
    no sign of the verbs, gets them by command."""
    monkeypatch.setattr(session, "PROOF_S", 0.05)
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=FALLBACK_DID)
        await jambonz.leg("trying", 100)
        dial = await jambonz.refused(503)
        await jambonz.break_connection()
        assert await jambonz.reconnect() is None
        again = await jambonz.receive()
        assert (again["type"], again["data"]) == ("ack", dial)
        if heard:
            await jambonz.leg("trying", 100)
            await asyncio.sleep(0.1)
            msgid = await jambonz.send("verb:hook", {}, hook="/any")
            assert await jambonz.ack(msgid) is None  # the next frame: no command came between
        else:
            assert await jambonz.command() == dial
        await jambonz.answered()
        await jambonz.callee_hangs_up()
    record = await gateway.record()
    assert [attempt["trunk"] for attempt in record.attempts] == ["retell", "pbx"]


@pytest.mark.parametrize(("msg", "goes_on"), [("NotSupported", True), ("InvalidMessage", False)])
async def test_what_the_softswitch_goes_without_ends_no_call(
    gateway: Gateway, msg: str, goes_on: bool
) -> None:
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID)
        await jambonz.send("jambonz:error", {"msg": msg, "details": "dial: tag is …"})
        msgid = await jambonz.send("verb:hook", {}, hook="/any")
        frame = await jambonz.receive()
        assert (frame.get("msgid") == msgid) is goes_on
        await jambonz.caller("no-answer", 487, call_termination_by="caller")


# who may open the socket

BASIC = {"application": {"serve": True, "username": "jambonz", "password": "secret"}}


async def test_basic_credentials_are_demanded_where_configured(start: Start) -> None:
    gateway = await start(**BASIC)
    good = base64.b64encode(b"jambonz:secret").decode()
    bad = base64.b64encode(b"jambonz:wrong").decode()
    url = f"{gateway.url}/retell"
    for headers in ({}, {"Authorization": f"Basic {bad}"}):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await gateway.http.ws_connect(url, headers=headers)
        assert refused.value.status == 401
    async with gateway.http.ws_connect(url, headers={"Authorization": f"Basic {good}"}) as ws:
        assert not ws.closed


async def test_without_credentials_only_this_machine_is_let_in(gateway: Gateway) -> None:
    """A proxy on this machine speaks for others, so that its requests are not this machine's."""
    headers = {"X-Forwarded-For": "198.51.100.7"}
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await gateway.http.ws_connect(f"{gateway.url}/retell", headers=headers)
    assert refused.value.status == 403


async def test_without_serve_a_gateway_that_does_sip_has_no_such_page(start: Start) -> None:
    gateway = await start(application={})
    for path in ("/retell", "/retell/adulting"):
        async with gateway.http.get(gateway.url + path) as response:
            assert response.status == 404
            assert "application.serve" in await response.text()
    assert (await gateway.get("/healthz"))[0] == 200


async def test_serve_false_closes_the_door_where_we_do_no_sip(start: Start) -> None:
    gateway = await start(sip={"listen": []}, application={"serve": False})
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await gateway.http.ws_connect(f"{gateway.url}/retell")
    assert refused.value.status == 404


async def test_real_jambonz_is_let_in_from_anywhere_when_we_do_no_sip(start: Start) -> None:
    gateway = await start(sip={"listen": []}, application={})
    headers = {"X-Forwarded-For": "198.51.100.7"}
    async with gateway.http.ws_connect(f"{gateway.url}/retell", headers=headers) as ws:
        assert not ws.closed


async def test_sockets_and_calls_are_counted(gateway: Gateway) -> None:
    def value(name: str, **labels: str) -> Any:
        return gateway.app[METRICS].registry.get_sample_value(name, labels)

    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID)
        assert value("gateway_jambonz_sockets") == 1
        assert value("gateway_calls_live") == 1
        await jambonz.answered()
        await jambonz.callee_hangs_up()
    await gateway.record()
    assert value("gateway_calls_live") == 0
    labels = {"direction": "inbound", "trunk": "carrier", "cause": "hangup", "fault": "nobody"}
    assert value("gateway_calls_ended_total", **labels) == 1
    assert value("gateway_dial_attempts_total", trunk="retell", code="2xx") == 1


async def test_every_call_has_exactly_one_record(gateway: Gateway) -> None:
    """A burst, written together: some end before their start is stored."""
    store: CallStore = gateway.app[STORE]

    async def one() -> None:
        async with gateway.jambonz() as jambonz:
            await jambonz.new_call(to=TRUNK_DID)
            await jambonz.answered()
            await jambonz.callee_hangs_up()

    await asyncio.gather(*(one() for _ in range(50)))
    await gateway.app[CALLS].none_left()
    assert await store.count() == 50
    records = await gateway.records()
    assert {(record.state, record.cause) for record in records} == {("ended", "hangup")}
