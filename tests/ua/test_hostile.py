"""Whatever arrives, from strangers and from trunks: nothing raises through, nothing stays open."""

import random
from collections.abc import Iterator
from pathlib import Path

from sip.transport.endpoint import Endpoint
from tests.ladder import PCMU, Ladder, Peer, dial, ladder_test

TORTURE = sorted((Path(__file__).parent.parent / "data" / "rfc4475").glob("*.dat"))
ROUNDS = 3000


def mutations(seeds: list[bytes], count: int) -> Iterator[bytes]:
    """Deterministic damage: bytes flipped, cut out, doubled, and messages spliced."""
    rng = random.Random(4475)
    for _ in range(count):
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(data) + 1)
            match rng.randrange(5):
                case 0:
                    data[at : at + 1] = bytes([rng.randrange(256)])
                case 1:
                    del data[at : at + rng.randint(1, 40)]
                case 2:
                    data[at:at] = data[at : at + rng.randint(1, 40)] * rng.randint(1, 3)
                case 3:
                    data[at:at] = rng.choice(seeds)[: rng.randint(0, 60)]
                case 4:
                    data[at:at] = rng.choice([b"\r\n", b"\0", b",", b'"', b"<", b";", b"%", b":"])
            if not data:
                data = bytearray(b"x")
        yield bytes(data)


async def seeds(peer: Peer) -> list[bytes]:
    own = [peer._request(name, "+14155550100", (), PCMU, False) for name in ("INVITE", "OPTIONS")]
    return [message.to_bytes() for message in own] + [path.read_bytes() for path in TORTURE]


@ladder_test
async def test_damaged_datagrams_from_a_trunk_and_a_stranger(ladder: Ladder) -> None:
    """A real call placed in the middle of it completes; afterwards nothing is open."""
    ladder.app.verbs = lambda _: [dial("agent"), {"verb": "hangup"}]
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    second, stranger = ladder.peer("second"), ladder.peer("stranger")
    ladder.app.hooks["/dial-action"] = lambda _: [{"verb": "sip:decline", "status": 480}]
    assert len(TORTURE) == 49
    damaged = mutations(await seeds(second), ROUNDS)
    for number, data in enumerate(damaged):
        source = stranger if number % 2 else second
        ladder.switch.ua._receiver.receive(
            data, ladder.switch.ua._transport.flow_to(_endpoint(source))
        )
    assert ladder.switch.ua.dropped["malformed"] > ROUNDS / 10
    assert ladder.switch.ua.dropped["unknown source"] > 0
    await stranger.silence(1)
    for driver in list(ladder.switch._calls.values()):
        driver.end()
    ladder.app.verbs = lambda _: [dial("agent"), {"verb": "hangup"}]
    await agent.drain(40)
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await agent.answer_call()
    await carrier.expect(180)
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await carrier.hang_up()
    await agent.is_hung_up()


def _endpoint(peer: Peer) -> Endpoint:
    return Endpoint("udp", "127.0.0.1", peer.port)
