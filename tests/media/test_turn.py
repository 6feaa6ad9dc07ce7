"""The steps of packets that are encrypted."""

import socket

import pytest

from sip.media.relay.turn import Turn


class Road:
    """A party's way that says what is asked of it; what it proves, it has sealed and written."""

    def __init__(self, turn: Turn, name: str, asked: list[str]) -> None:
        self._turn = turn
        self._asked = asked
        self._name = name
        #: The step at which it fails.
        self.faulty = ""
        self.ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.theirs.setblocking(False)

    def prove(self, packet: bytes, now: float) -> None:
        self._asked.append(f"{self._name} prove {packet.decode()} {now:g}")
        self._fail_at("prove", packet)
        self._turn.taken.append((self, packet))

    def seal(self, packet: bytes, now: float) -> None:
        self._asked.append(f"{self._name} seal {packet.decode()} {now:g}")
        self._fail_at("seal", packet)
        self._turn.ready.append((self.ours.fileno(), packet.upper(), self))

    def send_again(self, wire: bytes) -> None:
        self._asked.append(f"{self._name} send again {wire.decode()}")

    def _fail_at(self, step: str, packet: bytes) -> None:
        if self.faulty == step:
            raise ValueError(packet)

    def heard(self) -> list[bytes]:
        heard = []
        while True:
            try:
                heard.append(self.theirs.recv(100))
            except BlockingIOError:
                return heard

    def close(self) -> None:
        self.ours.close()
        self.theirs.close()


@pytest.fixture
def turn() -> Turn:
    return Turn()


def test_each_step_is_taken_for_all(turn: Turn) -> None:
    asked: list[str] = []
    roads = a, b = [Road(turn, name, asked) for name in "ab"]
    turn.arrived += [(a, b"one"), (b, b"two"), (a, b"three")]
    turn.taken.append((b, b"clear"))
    turn.end(4.0)
    proven = ["a prove one 4", "b prove two 4", "a prove three 4"]
    assert asked == [*proven, "b seal clear 4", "a seal one 4", "b seal two 4", "a seal three 4"]
    assert a.heard() == [b"ONE", b"THREE"]
    assert b.heard() == [b"CLEAR", b"TWO"]
    turn.end(5.0)
    assert a.heard() == b.heard() == []
    for road in roads:
        road.close()


def test_what_a_socket_does_not_take_goes_another_way(turn: Turn) -> None:
    asked: list[str] = []
    roads = a, b = [Road(turn, name, asked) for name in "ab"]
    a.ours.shutdown(socket.SHUT_WR)
    turn.taken += [(a, b"one"), (b, b"two")]
    turn.end(4.0)
    assert asked[2:] == ["a send again ONE"]
    assert b.heard() == [b"TWO"]
    for road in roads:
        road.close()


@pytest.mark.parametrize("step", ["prove", "seal"])
def test_a_fault_of_ours_costs_one_packet(turn: Turn, step: str) -> None:
    asked: list[str] = []
    roads = a, b = [Road(turn, name, asked) for name in "ab"]
    a.faulty = step
    turn.arrived += [(b, b"one"), (a, b"two"), (b, b"three")]
    with pytest.raises(ValueError, match="two"):
        turn.end(4.0)
    assert b.heard() == [b"ONE", b"THREE"]
    turn.end(5.0)
    assert a.heard() == b.heard() == []
    for road in roads:
        road.close()
