"""NG requests against the relay's control in this process; time is virtual, ports are real."""

import gc
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sip.media.ng.bencode import Encodable
from sip.media.ng.form import Form, decode, encode
from sip.media.relay.control import REPLY_LIFETIME_S
from sip.media.relay.party import Party
from sip.media.relay.rtp import RtpStream
from tests.media.desk import SDP, Desk, clip, port, reason


@pytest.fixture(params=list(Form))
def desk(request: pytest.FixtureRequest) -> Iterator[Desk]:
    """Ends with every socket closed."""
    desk = Desk(request.param)
    yield desk
    desk.sessions.close(desk.now)
    assert desk.watched == {}
    assert desk.pool.leased == 0


def test_ping(desk: Desk) -> None:
    reply = desk.ask("ping")
    assert reply == {"result": "pong", "ports": 2 * desk.pool.size, "ports-in-use": 0}


def test_a_repeated_cookie_gets_the_same_reply_and_does_nothing(desk: Desk) -> None:
    request = b"k1 " + encode(
        {"command": "offer", "call-id": "c", "from-tag": "A", "sdp": SDP}, desk.form
    )
    first = desk.raw(request)
    assert desk.pool.leased == 2
    assert desk.raw(request) == first
    delete = b"k2 " + encode({"command": "delete", "call-id": "c"}, desk.form)
    gone = desk.raw(delete)
    assert desk.raw(delete) == gone
    assert gone is not None
    assert b"ok" in gone
    assert desk.raw(request) == first, "a late repetition of the offer makes no new call"
    assert desk.pool.leased == 0


def test_the_same_cookie_of_another_client_is_another_request(desk: Desk) -> None:
    assert b"pong" in (desk.raw(b"k1 " + encode({"command": "ping"}, desk.form)) or b"")
    other = desk.control.handle(
        b"k1 " + encode({"command": "delete", "call-id": "x"}, desk.form),
        ("127.0.0.1", 40001),
        desk.now,
    )
    assert other is not None
    assert b"error" in other


def test_replies_are_forgotten_in_time(desk: Desk) -> None:
    request = b"k1 " + encode({"command": "query", "call-id": "call"}, desk.form)
    assert b"unknown-call" in (desk.raw(request) or b"")
    desk.offer()
    assert b"unknown-call" in (desk.raw(request) or b"")
    desk.now += REPLY_LIFETIME_S + 1
    desk.ask("ping")
    assert b"ok" in (desk.raw(request) or b"")


@pytest.mark.parametrize("command", ["subscribe request", "start forwarding", "transmogrify"])
def test_a_command_that_we_have_not_is_refused_by_name(desk: Desk, command: str) -> None:
    assert reason(desk.ask(command)).startswith(f"unsupported: command '{command}' is not known")


def test_no_command_at_all_is_refused(desk: Desk) -> None:
    assert reason(desk.ask("")).startswith("refused: ")


def test_a_strange_transport_protocol_is_refused(desk: Desk) -> None:
    refusal = reason(desk.offer(transport_protocol="UDP/TLS/RTP/SAVPF"))
    assert refusal.startswith("unsupported: transport-protocol")
    assert desk.pool.leased == 0


@pytest.mark.parametrize("missing", ["call_id", "from_tag", "sdp"])
def test_a_missing_key_is_named(desk: Desk, missing: str) -> None:
    reply = desk.offer(**{missing: ""})
    assert missing.replace("_", "-") in reason(reply)
    assert desk.pool.leased == 0


def test_offer_and_answer_face_different_parties(desk: Desk) -> None:
    facing_b = port(desk.offer())
    facing_a = port(desk.answer())
    assert facing_a != facing_b
    assert len(desk.watched) == 4


def test_media_address_is_written_in_place_of_ours(desk: Desk) -> None:
    sdp = desk.offer(media_address="198.51.100.9")["sdp"]
    assert isinstance(sdp, str)
    assert "c=IN IP4 198.51.100.9\r\n" in sdp
    assert "203.0.113.10" not in sdp
    assert "media-address" in reason(desk.offer(media_address="2001:db8::1"))


@pytest.mark.parametrize("value", ["192.0.2.1", ["IP4"], ["IP4", "host"], 5])
def test_a_strange_received_from_is_refused(desk: Desk, value: Encodable) -> None:
    assert "received-from" in reason(desk.offer(received_from=value))


def test_a_repeated_offer_keeps_the_ports_until_somebody_answers(desk: Desk) -> None:
    first = port(desk.offer())
    assert port(desk.offer()) == first
    facing_a = port(desk.answer())
    assert port(desk.answer()) == facing_a, "183 and 200 of one callee"
    second = port(desk.offer())
    assert second != first
    assert port(desk.answer(to_tag="C")) == facing_a, "hunting is not seen from A"
    assert desk.pool.leased == 2, "B's ports are free again"


def test_a_fork_that_answers_under_another_tag_takes_the_same_ports(desk: Desk) -> None:
    """RFC 3261 13.2.2.4: one offer, two answers; nobody was offered other ports."""
    facing_b = port(desk.offer())
    facing_a = port(desk.answer(to_tag="B"))
    assert port(desk.answer(to_tag="C")) == facing_a
    assert port(desk.ask("offer", call_id="call", from_tag="A", to_tag="C", sdp=SDP)) == facing_b
    assert "no offer" in reason(desk.answer(from_tag="B", to_tag="A"))


def test_reinvites_in_either_direction_keep_every_port(desk: Desk) -> None:
    facing_b, facing_a = port(desk.offer()), port(desk.answer())
    assert port(desk.offer(to_tag="B")) == facing_b
    assert port(desk.answer()) == facing_a
    assert port(desk.offer(from_tag="B", to_tag="A")) == facing_a
    assert port(desk.answer(from_tag="B", to_tag="A")) == facing_b


def test_a_reinvite_of_a_call_the_relay_lost_makes_it_anew(desk: Desk) -> None:
    """After a restart of the relay a re-INVITE with both tags brings the audio back."""
    facing_b = port(desk.offer(to_tag="B"))
    assert port(desk.answer()) != facing_b
    assert desk.pool.leased == 2


def test_an_answer_to_nothing_is_an_unknown_call(desk: Desk) -> None:
    assert reason(desk.answer()).startswith("unknown-call: ")
    desk.offer()
    assert reason(desk.answer(from_tag="X")).startswith("unknown-call: ")
    assert reason(desk.answer(to_tag="A")).startswith("refused: ")
    assert reason(desk.offer(to_tag="A")).startswith("refused: ")


def test_exhaustion_is_no_ports_and_takes_nothing(desk: Desk) -> None:
    desk.offer(call_id="1")
    desk.answer(call_id="1")
    desk.offer(call_id="2")
    assert reason(desk.offer(call_id="3")).startswith("no-ports: of 4 port pairs 4 are in use")
    assert desk.pool.leased == 4
    assert desk.logged == ["relay.no-ports"]
    desk.ask("delete", call_id="1")
    assert desk.offer(call_id="3")["result"] == "ok"


def test_half_a_call_that_finds_no_ports_gives_back_what_it_took() -> None:
    desk = Desk(Form.JSON, pairs=1)
    assert reason(desk.offer()).startswith("no-ports: ")
    assert desk.pool.leased == 0
    assert desk.watched == {}
    assert len(desk.sessions) == 0


def test_hunting_that_finds_no_ports_leaves_the_call_as_it_was() -> None:
    desk = Desk(Form.JSON, pairs=2)
    desk.offer()
    facing_a = port(desk.answer())
    assert reason(desk.offer()).startswith("no-ports: ")
    assert port(desk.answer()) == facing_a
    desk.sessions.close(desk.now)


def test_a_bad_offer_changes_nothing(desk: Desk) -> None:
    desk.offer()
    facing_a = port(desk.answer())
    bad = SDP.replace("RTP/AVP", "RTP/SAVP")
    assert reason(desk.offer(to_tag="B", sdp=bad)).startswith("bad-sdp: ")
    assert port(desk.answer()) == facing_a


@pytest.mark.parametrize(
    "datagram", [b"", b"nospace", b" nocookie", b"x" * 300 + b" d7:command4:pinge"]
)
def test_what_is_no_ng_message_gets_no_answer(desk: Desk, datagram: bytes) -> None:
    assert desk.raw(datagram) is None
    assert desk.logged == ["relay.control-garbage"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=100))
def test_any_body_is_answered(desk: Desk, body: bytes) -> None:
    """With an error, unless it happens to be a ping."""
    desk.control.forget_replies(float("inf"))
    reply = desk.raw(b"cookie " + body)
    assert reply is not None
    ping = b"ping" in body
    assert decode(reply.partition(b" ")[2])[0]["result"] in ("error", *(["pong"] if ping else []))


KEYS = ["command", "call-id", "from-tag", "to-tag", "sdp", "received-from", "flags",
        "notify", "silence", "blob", "file", "play-id"]  # fmt: skip
JUNK = st.recursive(
    st.integers()
    | st.text(max_size=20)
    | st.sampled_from(["offer", "answer", "play media", "stop media", SDP]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(request=st.dictionaries(st.sampled_from(KEYS), JUNK))
def test_any_dictionary_is_answered_without_an_internal_error(
    desk: Desk, request: dict[str, Encodable]
) -> None:
    desk.control.forget_replies(float("inf"))
    reply = desk.raw(b"cookie " + encode(request, desk.form))
    assert reply is not None
    assert b"internal error" not in reply
    desk.sessions.close(desk.now)


def test_a_call_that_ended_is_freed_without_the_collector(desk: Desk) -> None:
    """The relay hardly ever lets the collector pause it, so calls must leave no cycles."""
    gc.collect()
    gc.disable()
    try:
        for n in range(10):
            desk.offer(call_id=str(n))
            desk.answer(call_id=str(n))
            desk.offer(call_id=str(n))
            desk.answer(call_id=str(n), to_tag="C")
            desk.offer(call_id=str(n), from_tag="C", to_tag="A")
            desk.offer(call_id=str(n), to_tag="C", notify=1, silence=10000)
            desk.ask("play media", call_id=str(n), from_tag="A", blob=clip())
            desk.ask("delete", call_id=str(n))
            desk.offer(call_id=str(n), sdp="no SDP")
        left = [found for found in gc.get_objects() if isinstance(found, Party | RtpStream)]
    finally:
        gc.enable()
    assert left == []
