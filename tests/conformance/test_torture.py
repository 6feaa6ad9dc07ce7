"""RFC 4475 and RFC 5118 on the wire: every message, sent as it is, and the answer that it gets.

The sender is a trunk that is known by its address, so nothing is kept from it. A call that gets
through is declined by the application with 486: `CALL` means that the message was understood and
passed on. `SILENCE` is the answer to a response and to what cannot be a message yet.

As a registrar we serve no trunk here, so a sound REGISTER gets 405 with the methods that we take.
"""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from config.values import Source
from sip.core.message import Request, Response
from sip.softswitch.trunks.trunk import Trunk
from sip.transport.endpoint import Endpoint
from tests.conformance.wire import Sender
from tests.ladder import Ladder, make_ladder
from tests.virtual import virtual_time

DATA = Path(__file__).parents[1] / "data"
#: The known trunk's address: one that nobody else on this machine listens at.
KNOWN_V4, KNOWN_V6 = "127.0.81.75", "::1"
SIP_PORT = 5060
AT_ONCE_S = 0.4
#: Until every transaction is forgotten.
LATER_S = 40.0

CALL = (100, 486)
SILENCE: tuple[int, ...] = ()


class Case(NamedTuple):
    """What comes back over UDP, and over TCP where that is something else."""

    name: str
    section: str
    answers: tuple[int, ...]
    tcp: tuple[int, ...] | None = None


RFC_4475 = [
    # 3.1.1: valid messages
    Case("wsinv", "3.1.1.1", (481,)),  # its To has a tag, so it is in a dialog that we do not have
    Case("intmeth", "3.1.1.2", (501,)),  # understood, but nobody knows the method
    Case("esc01", "3.1.1.3", CALL),
    Case("escnull", "3.1.1.4", (405,)),
    Case("esc02", "3.1.1.5", (501,)),  # RE%47IST%45R is another method than REGISTER
    Case("lwsdisp", "3.1.1.6", (200,)),
    Case("longreq", "3.1.1.7", CALL),
    # one REGISTER, and what comes behind it in the datagram is dropped; on TCP it is a message
    Case("dblreq", "3.1.1.8", (405,), tcp=(405, 400)),  # an INVITE without Contact
    Case("semiuri", "3.1.1.9", (200,)),
    Case("transports", "3.1.1.10", (200,)),
    Case("mpart01", "3.1.1.11", (405,)),  # a sound MESSAGE, which we do not take
    Case("unreason", "3.1.1.12", SILENCE),
    Case("noreason", "3.1.1.13", SILENCE),
    # 3.1.2: invalid messages
    Case("badinv01", "3.1.2.1", (400,)),
    Case("clerr", "3.1.2.2", (400,), tcp=SILENCE),  # on TCP the rest may still come
    Case("ncl", "3.1.2.3", (400,)),
    Case("scalar02", "3.1.2.4", (400,)),
    Case("scalarlg", "3.1.2.5", SILENCE),
    Case("quotbal", "3.1.2.6", (400,)),
    Case("ltgtruri", "3.1.2.7", (400,)),
    Case("lwsruri", "3.1.2.8", (400,)),
    Case("lwsstart", "3.1.2.9", (400,)),
    Case("trws", "3.1.2.10", (400,)),
    Case("escruri", "3.1.2.11", (400,)),
    Case("baddate", "3.1.2.12", (100, 486)),  # we need no Date
    Case("regbadct", "3.1.2.13", (400,)),
    Case("badaspec", "3.1.2.14", (400,)),
    Case("baddn", "3.1.2.15", (200,)),  # the missing quotes may be inferred
    Case("badvers", "3.1.2.16", (505,)),
    Case("mismatch01", "3.1.2.17", (400,)),
    Case("mismatch02", "3.1.2.18", (400,)),
    Case("bigcode", "3.1.2.19", SILENCE),
    # 3.2: transaction layer
    Case("badbranch", "3.2.1", (400,)),
    # 3.3: application layer
    Case("insuf", "3.3.1", (400,)),
    Case("unkscm", "3.3.2", (416,)),
    Case("novelsc", "3.3.3", (416,)),
    Case("unksm2", "3.3.4", (405,)),
    Case("bext01", "3.3.5", (420,)),
    Case("invut", "3.3.6", (415,)),
    Case("regaut01", "3.3.7", (405,)),
    Case("multi01", "3.3.8", (400,)),
    Case("mcl01", "3.3.9", (400,)),
    Case("bcast", "3.3.10", SILENCE),
    Case("zeromf", "3.3.11", (200,)),  # it asks us, and nobody further on
    Case("cparam01", "3.3.12", (405,)),
    Case("cparam02", "3.3.13", (405,)),
    Case("regescrt", "3.3.14", (405,)),
    Case("sdp01", "3.3.15", (406,)),
    # 3.4: backward compatibility; no Content-Length is a datagram's privilege
    Case("inv2543", "3.4.1", CALL, tcp=(400,)),
]

RFC_5118 = [
    Case("ipv6-good", "4.1", (405,)),
    Case("ipv6-bad", "4.2", (400,)),
    Case("port-ambiguous", "4.3", (405,)),  # sound, if not what was meant
    Case("port-unambiguous", "4.4", (405,)),
    Case("via-received-param-with-delim", "4.5", (481,)),  # understood: no such dialog
    Case("via-received-param-no-delim", "4.5", (200,)),
    Case("ipv6-in-sdp", "4.6", CALL),
    Case("mult-ip-in-header", "4.7", (481,)),
    Case("mult-ip-in-sdp", "4.8", CALL),
    Case("ipv4-mapped-ipv6", "4.9", CALL),
    Case("ipv6-bug-abnf-3-colons", "4.10", (200,)),
    Case("ipv6-correct-abnf-2-colons", "4.10", (200,)),
]

#: Headers that a refusal must bring (RFC 3261 8.2.1, 8.2.2.3, 8.2.3, 21.4.7).
EXPLAINS = {405: "allow", 501: "allow", 420: "unsupported", 415: "accept", 406: "accept"}


def read(rfc: str, name: str) -> bytes:
    """The message; those of RFC 5118 4.6, 4.8 and 4.9 with a Content-Length that is right.

    The RFC prints 268, 181 and 236 where its bodies have 251, 189 and 245 octets.
    """
    data = (DATA / rfc / f"{name}.dat").read_bytes()
    if rfc == "rfc5118":
        head, _, body = data.partition(b"\r\n\r\n")
        data = re.sub(rb"(Content-Length: )\d+", rb"\g<1>%d" % len(body), head) + b"\r\n\r\n" + body
    return data


def answer_port(data: bytes) -> int:
    """Where the answer to a datagram goes: the port of the topmost Via, else 5060."""
    via = re.search(rb"(?im)^v(?:ia)?[ \t]*:[^\r,;]*", data)
    port = re.search(rb":(\d+)$", via[0].rpartition(b"]")[2].strip()) if via else None
    return int(port[1]) if port else SIP_PORT


@asynccontextmanager
async def switch(known: str, **more: Any) -> AsyncIterator[tuple[Ladder, Sender]]:
    """A running softswitch with one more trunk at `known`, and who sends from there."""
    trunk = Trunk(name="known", sources=(Source.parse(known),), **more)
    async with make_ladder(trunks=[trunk]) as ladder:
        ladder.app.verbs = lambda _: [{"verb": "sip:decline", "status": 486}]
        port = ladder.peer("carrier").gateway.port
        host = "::1" if ":" in known else "127.0.0.1"
        wires = ["tcp"] if host == "127.0.0.1" else ["udp", "tcp"]
        await ladder.switch.listen([Endpoint(wire, host, port) for wire in wires])
        yield ladder, Sender(known, Endpoint("udp", host, port))
        await ladder.settled()


def check(case: Case, wire: str, rfc: str, found: list[Request | Response]) -> None:
    """The prescribed answers, each with what it must say."""
    expected = case.tcp if wire == "tcp" and case.tcp is not None else case.answers
    assert tuple(message.status for message in found if isinstance(message, Response)) == expected
    sent = read(rfc, case.name)
    for answer in found:
        assert isinstance(answer, Response)
        assert answer.headers.get(EXPLAINS.get(answer.status, "via"))
        assert (answer.headers.get("call-id") or "").encode() in sent
        assert answer.via.received == (KNOWN_V6 if rfc == "rfc5118" else KNOWN_V4)


CASES = [
    pytest.param(rfc, case, id=f"{rfc}-{case.section}-{case.name}")
    for rfc, cases in (("rfc4475", RFC_4475), ("rfc5118", RFC_5118))
    for case in cases
]


@pytest.mark.parametrize(("rfc", "case"), CASES)
@virtual_time
async def test_each_message_gets_the_prescribed_answer(rfc: str, case: Case) -> None:
    known = KNOWN_V6 if rfc == "rfc5118" else KNOWN_V4
    data = read(rfc, case.name)
    port = answer_port(data)
    require_port(known, port)
    async with switch(known) as (ladder, sender):
        check(case, "udp", rfc, await sender.over_udp(data, port, AT_ONCE_S))
        assert len(ladder.app.told("session:new")) == (case.answers == CALL)
        await asyncio.sleep(LATER_S)
        check(case, "tcp", rfc, await sender.over_tcp(data, AT_ONCE_S))


REGISTERS = [
    pytest.param(rfc, case, id=f"{rfc}-{case.section}-{case.name}")
    for rfc, cases in (("rfc4475", RFC_4475), ("rfc5118", RFC_5118))
    for case in cases
    if case.answers == (405,) and case.name != "mpart01"
]


@pytest.mark.parametrize(("rfc", "case"), REGISTERS)
@virtual_time
async def test_a_registrar_asks_who_it_is(rfc: str, case: Case) -> None:
    """The same REGISTERs where the trunk registers with us: understood, and none is proven.

    An Authorization of a scheme that nobody knows is as good as none (RFC 4475 3.3.7).
    """
    known = KNOWN_V6 if rfc == "rfc5118" else KNOWN_V4
    data = read(rfc, case.name)
    port = answer_port(data)
    require_port(known, port)
    async with switch(known, login=("pbx", "secret"), registrar=True) as (_, sender):
        [answer] = await sender.over_udp(data, port, AT_ONCE_S)
        assert isinstance(answer, Response)
        assert answer.status == 401
        assert "Digest" in (answer.headers.get("www-authenticate") or "")


@pytest.mark.parametrize("case", [case for case in RFC_5118 if case.section == "4.6"])
@virtual_time
async def test_a_body_shorter_than_it_says_is_refused(case: Case) -> None:
    """RFC 3261 18.3. As the RFC prints it, the message of 4.6 is 17 octets short."""
    require_port(KNOWN_V6, SIP_PORT)
    async with switch(KNOWN_V6) as (_, sender):
        printed = (DATA / "rfc5118" / f"{case.name}.dat").read_bytes()
        [answer] = await sender.over_udp(printed, SIP_PORT, AT_ONCE_S)
        assert isinstance(answer, Response)
        assert (answer.status, answer.reason) == (400, "Body Shorter Than Content-Length")


@pytest.mark.parametrize("rfc", ["rfc4475", "rfc5118"])
def test_every_message_of_the_rfc_is_sent(rfc: str) -> None:
    cases = RFC_4475 if rfc == "rfc4475" else RFC_5118
    assert sorted(case.name for case in cases) == sorted(
        path.stem for path in (DATA / rfc).glob("*.dat")
    )


def require_port(host: str, port: int) -> None:
    """Answers go to the Via's port, so it must be free: say which is not."""
    with socket.socket(
        socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM
    ) as probe:
        try:
            probe.bind((host, port))
        except OSError as error:
            pytest.skip(f"UDP port {port} of {host} is needed for the answers: {error}")
