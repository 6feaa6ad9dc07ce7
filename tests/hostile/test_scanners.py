"""Scanning as sipvicious does it: no answer at all, then a ban, and one line in the log."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import product

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from sip.softswitch.trunks.trunk import Trunk
from tests.hostile import corpus
from tests.hostile.parties import Party
from tests.ladder import PCMU, Ladder, dial, make_ladder
from tests.virtual import virtual_time

SCANNER = "127.0.0.66"
GATEWAY = "127.0.0.1:5060"


def options_sweep() -> Iterator[bytes]:
    """svmap: OPTIONS to every extension of a block."""
    for extension in range(100, 200):
        yield corpus.request("OPTIONS", GATEWAY, SCANNER, user=str(extension), caller="100")


def register_enumeration() -> Iterator[bytes]:
    """svwar and svcrack: REGISTER for user after user, to tell 401, 404 and silence apart."""
    for extension in range(100, 200):
        yield corpus.request(
            "REGISTER", GATEWAY, SCANNER, user=str(extension), caller=str(extension)
        )


def toll_fraud() -> Iterator[bytes]:
    """INVITE to a number abroad behind every prefix that a PBX might want."""
    prefixes = ("", "0", "00", "000", "9", "90", "900", "9011", "011", "+", "8", "*")
    for prefix, number in product(prefixes, range(100, 109)):
        yield corpus.request("INVITE", GATEWAY, SCANNER, user=f"{prefix}442079460{number}")


def named(data: bytes, agent: bytes = b"friendly-scanner") -> bytes:
    return data.replace(b"Max-Forwards", b"User-Agent: " + agent + b"\r\nMax-Forwards", 1)


@asynccontextmanager
async def scanned() -> AsyncIterator[tuple[Ladder, Party]]:
    """A gateway with a login from anywhere, which is what scanners hope to find."""
    pbx = Trunk(name="pbx", login=("pbx-7Qm2vX", "s3cret"), registrar=True)
    async with make_ladder(trunks=[pbx]) as ladder:
        gateway = ladder.peer("carrier").gateway
        async with Party(SCANNER, (gateway.host, gateway.port)) as scanner:
            yield ladder, scanner
            await ladder.settled()


async def tick(ladder: Ladder) -> None:
    """What was sent so far has been taken, since a trunk's OPTIONS is answered."""
    carrier = ladder.peer("carrier")
    await carrier.send("OPTIONS")
    await carrier.expect(200)


def loud(logged: list[EventDict]) -> list[EventDict]:
    return [entry for entry in logged if entry["log_level"] != "info"]


@virtual_time
@pytest.mark.parametrize("scan", [options_sweep, register_enumeration, toll_fraud])
async def test_a_scan_is_met_with_silence_then_a_ban_and_one_line(scan: object) -> None:
    assert callable(scan)
    with capture_logs() as logged:
        async with scanned() as (ladder, scanner):
            for data in scan():
                scanner.send(data)
            await tick(ladder)
            await ladder.peer("carrier").silence(60)
            assert scanner.seen == {}
            assert ladder.switch.ua.dropped["unknown source"] == 20
            assert ladder.switch.ua.dropped["unread"] == len(list(scan())) - 20
            assert ladder.app.frames == []
    [line] = loud(logged)
    assert (line["event"], line["address"]) == ("source.banned", SCANNER)
    assert line["lift"] == f"retell-sip-gateway unban {SCANNER}"


@virtual_time
async def test_a_scanner_that_names_itself_is_banned_at_once() -> None:
    with capture_logs() as logged:
        async with scanned() as (ladder, scanner):
            for data in options_sweep():
                scanner.send(named(data))
            await tick(ladder)
            assert ladder.switch.ua.dropped["unknown source"] == 1
            assert scanner.seen == {}
    [line] = loud(logged)
    assert line["reason"] == "a scanner's User-Agent"


@virtual_time
async def test_garbage_is_an_offence_too() -> None:
    with capture_logs() as logged:
        async with scanned() as (ladder, scanner):
            for number in range(100):
                scanner.send(b"\0" * number + b"\x16\x03\x01 HTTP/1.1")
            await tick(ladder)
            assert ladder.switch.ua.dropped["malformed"] == 20
            assert scanner.seen == {}
    assert [line["event"] for line in loud(logged)] == ["source.banned"]


@virtual_time
async def test_a_guessed_password_bans_though_the_user_was_right() -> None:
    """What the digest is of: three in a row."""
    with capture_logs() as logged:
        async with scanned() as (ladder, scanner):
            for _ in range(10):
                register = corpus.request("REGISTER", GATEWAY, SCANNER, caller="pbx-7Qm2vX")
                guess = register.replace(b'realm="gateway.example.com"', b'realm="gateway.test"')
                scanner.send(guess)
            await tick(ladder)
            assert scanner.seen == {"4xx": 3}
    [line] = loud(logged)
    assert line["reason"] == "wrong passwords"


@virtual_time
async def test_a_ban_ends_or_is_lifted_and_the_next_is_longer() -> None:
    async with scanned() as (ladder, scanner):
        bans = ladder.switch._gatekeeper.bans
        clock = ladder.switch.ua.clock
        carrier = ladder.peer("carrier")

        async def scan() -> float:
            for data in options_sweep():
                scanner.send(data)
            await tick(ladder)
            [ban] = bans.list(clock.now())
            return ban.until - ban.since

        assert await scan() == 300
        await carrier.silence(301)
        assert not bans.list(clock.now())
        assert await scan() == 600
        assert bans.lift(SCANNER)
        assert await scan() == 300


@virtual_time
async def test_a_scan_does_not_disturb_a_call_of_a_trunk() -> None:
    async with scanned() as (ladder, scanner):
        carrier = ladder.peer("carrier")
        ladder.app.verbs = lambda _: [dial("agent"), {"verb": "hangup"}]
        await carrier.send("INVITE", sdp=PCMU)
        for data in toll_fraud():
            scanner.send(data)
        await carrier.expect(100)
        await ladder.peer("agent").answer_call()
        await carrier.expect(180)
        await carrier.expect(200, of="INVITE")
        await carrier.send("ACK")
        await carrier.hang_up()
        await ladder.peer("agent").is_hung_up()
