"""Several engines as one: where calls go and stay, and what an engine's end does to them."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from structlog.testing import capture_logs

from sip.clock import LoopClock
from sip.media.detection.terms import DetectionTerms
from sip.media.events import Digit, FaxTone, Lost, MediaEvent
from sip.media.plane import Capability, MediaError, Withheld
from sip.media.pool.lost_calls import WAIT_S
from sip.media.pool.member import FULL_S, Health, Member
from sip.media.pool.pool import EnginePool
from sip.media.pool.watch import PING_EVERY_S, PING_S
from tests.fakes.media import FakeMedia
from tests.ladder import PCMU
from tests.virtual import virtual_time


@dataclass
class FakeEngine(FakeMedia):
    """An engine that can be dead, hang, or be busy for a while."""

    dead: bool = False
    closed: bool = False

    def __post_init__(self) -> None:
        self.answers = asyncio.Event()
        self.answers.set()

    async def ping(self) -> None:
        await self.answers.wait()
        if self.dead:
            raise MediaError("refused", "nobody listens")

    async def offer(self, *args: Any, **keys: Any) -> str:
        await self.answers.wait()
        return await super().offer(*args, **keys)

    async def close(self) -> None:
        self.closed = True


@dataclass
class Yard:
    """A pool of fakes, and what its calls were told."""

    pool: EnginePool
    engines: dict[str, FakeEngine]
    told: list[tuple[str, MediaEvent]] = field(default_factory=list)

    def member(self, name: str, capacity: int | None = None) -> Member:
        engine = self.engines.setdefault(name, FakeEngine())
        return Member(name=name, plane=engine, capacity=capacity, close=engine.close)

    async def call(self, call_id: str) -> str:
        """A call that listens; the engine that took it."""
        self.pool.listen(call_id, lambda event: self.told.append((call_id, event)))
        await self.again(call_id)
        return self.engine_of(call_id)

    async def again(self, call_id: str) -> None:
        await self.pool.offer(call_id, "a", PCMU)
        await self.pool.answer(call_id, "a", "b1", PCMU)

    def engine_of(self, call_id: str) -> str:
        [name] = [name for name, one in self.engines.items() if call_id in one.open_calls]
        return name

    def spread(self) -> dict[str, int]:
        return {state.name: state.calls for state in self.pool.roster.states}

    def health(self, name: str) -> Health:
        return next(state.health for state in self.pool.roster.states if state.name == name)

    @property
    def lost(self) -> list[str]:
        return [call_id for call_id, event in self.told if isinstance(event, Lost)]


@asynccontextmanager
async def yard(*names: str, capacity: int | None = None) -> AsyncIterator[Yard]:
    engines = {name: FakeEngine() for name in names}
    members = [
        Member(name=name, plane=one, capacity=capacity, close=one.close)
        for name, one in engines.items()
    ]
    pool = EnginePool(members, clock=LoopClock())
    pool.start()
    try:
        yield Yard(pool, engines)
    finally:
        await pool.close()
        assert all(engine.closed for engine in engines.values())


@virtual_time
async def test_an_engine_that_answers_others_is_there() -> None:
    """It is so busy that a ping's turn does not come in time."""
    async with yard("busy", "hung") as y:
        for engine in y.engines.values():
            engine.answers.clear()
        for _ in range(50):
            await asyncio.sleep(0.1)
            y.engines["busy"].heard_at = asyncio.get_running_loop().time()
        assert (y.health("busy"), y.health("hung")) == (Health.UP, Health.DOWN)


@virtual_time
async def test_calls_go_to_the_least_loaded_and_stay() -> None:
    async with yard("one", "two", "three") as y:
        for number in range(9):
            await y.call(f"c{number}")
        assert y.spread() == {"one": 3, "two": 3, "three": 3}
        gone = [f"c{n}" for n in range(9) if y.engine_of(f"c{n}") == "two"]
        for call_id in gone:
            await y.pool.delete(call_id)
        assert await y.call("next") == "two"
        stays = y.engine_of("c0")
        await y.again("c0")
        assert y.engine_of("c0") == stays
        await y.pool.query("c0")


@virtual_time
async def test_each_engine_of_a_call_listens_for_a_fax_where_the_call_asked() -> None:
    async with yard("one", "two") as y:
        y.pool.listen("c", lambda event: y.told.append(("c", event)), fax_of="a")
        await y.again("c")
        await y.call("other")
        first = y.engine_of("c")
        [second] = {"one", "two"} - {first}
        heard = FaxTone(party="a", at=1.0)
        y.engines[first].tell("c", heard)
        assert y.told == [("c", heard)]
        y.engines[first].dead = True
        await asyncio.sleep(2)
        y.engines[first].open_calls.clear()
        await y.again("c")
        for name in (first, second):
            asked = [one for one in y.engines[name].asked if one[0] == "listen for a fax"]
            assert asked == [("listen for a fax", "c", "a")]
        await y.pool.delete("c")
        assert "c" not in y.pool._wishes


CANNOT = frozenset(Capability) - {Capability.DETECTION}


@virtual_time
async def test_a_call_that_wants_to_know_who_answers_goes_to_an_engine_that_can_tell() -> None:
    async with yard("one", "two", "three") as y:
        for name in ("one", "two"):
            y.engines[name].capabilities = CANNOT
        assert Capability.DETECTION in y.pool.capabilities
        for number in range(4):
            y.pool.listen(f"c{number}", print, detects=True)
            await y.again(f"c{number}")
        assert y.spread() == {"one": 0, "two": 0, "three": 4}
        assert ("detects", "c0") in y.engines["three"].asked
        await y.pool.detect("c0", "b1", 1, DetectionTerms())
        assert y.engines["three"].detections[1][:2] == ("c0", "b1")
        await y.pool.stop_detecting("c0", "b1", 1)
        assert y.engines["three"].detections == {}
        assert await y.call("other") in ("one", "two")


@virtual_time
async def test_where_no_such_engine_has_room_the_call_goes_to_another_all_the_same() -> None:
    async with yard("one", "two", capacity=1) as y:
        y.engines["one"].capabilities = CANNOT
        for call_id in ("first", "second"):
            y.pool.listen(call_id, print, detects=True)
            await y.again(call_id)
        assert (y.engine_of("first"), y.engine_of("second")) == ("two", "one")
        y.engines["two"].capabilities = CANNOT
        assert Capability.DETECTION not in y.pool.capabilities


@virtual_time
async def test_where_all_tell_their_size_the_emptiest_is_the_least_full() -> None:
    """A relay with a tenth of the ports gets a tenth of the calls."""
    async with yard("small", "large") as y:
        y.engines["small"].ports, y.engines["large"].ports = (0, 40), (0, 400)
        for number in range(55):
            await y.call(f"c{number}")
        assert y.spread() == {"small": 5, "large": 50}


@virtual_time
async def test_a_full_engine_gets_no_new_call() -> None:
    async with yard("one", "two", capacity=2) as y:
        for number in range(4):
            await y.call(f"c{number}")
        with pytest.raises(MediaError, match="every media engine is full") as full:
            await y.call("c4")
        assert full.value.slug == "no-ports"
        await y.pool.delete("c0")
        await y.call("c5")


@virtual_time
async def test_one_that_says_that_it_is_full_is_left_alone_for_a_while() -> None:
    async with yard("one", "two") as y:
        y.engines["one"].refuse = MediaError("no-ports", "none left")
        await y.call("c0")
        asked = len(y.engines["one"].asked)
        await y.call("c1")
        assert y.spread() == {"one": 0, "two": 2}
        assert len(y.engines["one"].asked) == asked
        y.engines["one"].refuse = None
        await asyncio.sleep(FULL_S + 0.1)
        assert await y.call("c2") == "one"


@virtual_time
async def test_what_the_description_is_to_blame_for_is_tried_once() -> None:
    async with yard("one", "two") as y:
        for engine in y.engines.values():
            engine.refuse = MediaError("bad-sdp", "no audio")
        with pytest.raises(MediaError, match="no audio"):
            await y.call("c0")
        assert sum(len(engine.asked) for engine in y.engines.values()) == 1
        assert y.spread() == {"one": 0, "two": 0}


@virtual_time
async def test_a_killed_engine_is_noticed_within_half_a_second_and_its_calls_are_told() -> None:
    async with yard("one", "two") as y:
        for number in range(8):
            await y.call(f"c{number}")
        inside = [f"c{n}" for n in range(8) if y.engine_of(f"c{n}") == "one"]
        y.engines["one"].dead = True
        y.engines["one"].open_calls.clear()
        await asyncio.sleep(0.5)
        assert y.lost == inside, "each once, in their order, and no other"
        assert y.health("one") is Health.DOWN
        for call_id in inside:
            with pytest.raises(MediaError) as gone:
                await y.pool.query(call_id)
            assert gone.value.slug == "unknown-call"
            await y.again(call_id)
        assert y.spread() == {"one": 0, "two": 8}
        assert y.pool.calls_lost == y.pool.calls_moved == Counter(one=4)
        assert (await y.pool.delete(inside[1])).moves == 1, "the dead one's counters are missing"
        # what the dead one would still say is nobody's, what the new one says is
        y.engines["one"].tell(inside[0], Lost(at=1.0))
        digit = Digit(party="a", digit="5", duration_ms=100, at=1.0)
        y.engines["two"].tell(inside[0], digit)
        assert y.told[len(inside) :] == [(inside[0], digit)]


@virtual_time
async def test_five_hundred_calls_are_told_in_turn() -> None:
    async with yard("one", "two") as y:
        for number in range(1000):
            await y.call(f"c{number}")
        y.engines["one"].dead = True
        await asyncio.sleep(PING_EVERY_S)
        seen = []
        for _ in range(30):
            seen.append(len(y.lost))
            await asyncio.sleep(0.1)
        assert max(later - before for before, later in pairwise(seen)) <= 21
        assert len(y.lost) == 500


@virtual_time
async def test_without_another_engine_calls_wait_for_theirs_to_be_back() -> None:
    async with yard("only") as y:
        await y.call("c0")
        y.engines["only"].dead = True
        await asyncio.sleep(1.0)
        assert y.lost == []
        with pytest.raises(MediaError, match="no media engine answers: only"):
            await y.pool.offer("new", "a", PCMU)
        with pytest.raises(MediaError, match="none of only answers"):
            await y.pool.ping()
        y.engines["only"].dead = False
        await asyncio.sleep(0.5)
        assert y.lost == ["c0"]
        await y.again("c0")
        await y.pool.ping()


@virtual_time
async def test_a_new_call_waits_for_the_only_engine_to_be_back() -> None:
    """A relay that is killed runs again in half a second; one that is asked then falls under it."""
    async with yard("only") as y:
        y.engines["only"].answers.clear()
        asked = asyncio.create_task(y.call("c0"))
        await asyncio.sleep(0)
        y.pool.roster.fallen("only")
        await asyncio.sleep(0.6)
        assert not asked.done()
        y.engines["only"].answers.set()
        assert await asked == "only"
        assert y.lost == []


@virtual_time
async def test_calls_are_told_in_the_end_though_nothing_takes_them() -> None:
    async with yard("only") as y:
        await y.call("c0")
        y.engines["only"].dead = True
        await asyncio.sleep(WAIT_S + 1)
        assert y.lost == ["c0"]
        assert y.pool.calls_moved == Counter()


@virtual_time
async def test_an_engine_that_does_not_answer_is_doubted_before_it_is_given_up() -> None:
    """Control of an engine on another host may be lost for a moment while audio goes on."""
    async with yard("one", "two") as y:
        await y.call("c0")
        home = y.engines[y.engine_of("c0")]
        name = y.engine_of("c0")
        home.answers.clear()
        await asyncio.sleep(PING_EVERY_S + PING_S + 0.1)
        assert y.health(name) is Health.DOUBTFUL
        assert y.lost == []
        assert await y.call("c1") != name, "no new call goes there"
        home.answers.set()
        await asyncio.sleep(0.5)
        assert y.health(name) is Health.UP
        assert y.lost == []
        home.answers.clear()
        await asyncio.sleep(2 * (PING_EVERY_S + PING_S) + 0.1)
        assert y.health(name) is Health.DOWN
        assert y.lost == ["c0"]


@virtual_time
async def test_a_request_does_not_wait_for_an_engine_that_fell_meanwhile() -> None:
    async with yard("one", "two") as y:
        for engine in y.engines.values():
            engine.answers.clear()
        asked = asyncio.create_task(y.call("c0"))
        await asyncio.sleep(0.1)
        y.engines["two"].answers.set()
        y.pool.roster.fallen("one")
        assert await asyncio.wait_for(asked, 0.1) == "two"
        assert y.lost == [], "it never was in the other"


@virtual_time
async def test_what_an_engine_still_has_when_it_is_back_is_taken_out() -> None:
    """It was unreachable, and not dead: its calls are elsewhere by now, or over."""
    async with yard("one", "two") as y:
        for number in range(4):
            await y.call(f"c{number}")
        inside = [f"c{n}" for n in range(4) if y.engine_of(f"c{n}") == "one"]
        y.pool.roster.fallen("one")
        y.engines["one"].dead = True
        await asyncio.sleep(0.6)
        assert y.lost == inside
        await y.pool.offer(inside[0], "a", PCMU)
        with pytest.raises(MediaError):
            await y.pool.delete(inside[1])
        y.engines["one"].dead = False
        await asyncio.sleep(0.6)
        assert y.engines["one"].open_calls == set()
        assert inside[0] in y.engines["two"].open_calls


@virtual_time
async def test_a_call_that_only_its_engine_forgot_is_told_at_once() -> None:
    async with yard("one") as y:
        await y.call("c0")
        y.engines["one"].tell("c0", Lost(at=1.0))
        await asyncio.sleep(0.01)
        assert y.lost == ["c0"]
        await y.again("c0")
        assert y.spread() == {"one": 1}


@virtual_time
async def test_other_engines_by_configuration_while_calls_are_up() -> None:
    async with yard("old", "kept") as y:
        for number in range(4):
            await y.call(f"c{number}")
        old = [f"c{n}" for n in range(4) if y.engine_of(f"c{n}") == "old"]
        with capture_logs() as logs:
            y.pool.roster.configure({"kept", "new"}, [y.member("new")])
        assert [(log["event"], log["engine"]) for log in logs] == [
            ("media.engine-added", "new"),
            ("media.engine-retires", "old"),
        ]
        assert await y.call("c4") == "new"
        for call_id in old:  # they go on where they are
            await y.again(call_id)
            assert y.engine_of(call_id) == "old"
            assert not y.engines["old"].closed
            assert (await y.pool.delete(call_id)).parties, "their counters are told"
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert y.engines["old"].closed
        assert set(y.spread()) == {"kept", "new"}


@virtual_time
async def test_an_engine_may_come_back_before_it_was_empty() -> None:
    async with yard("one", "two") as y:
        await y.call("c0")
        await y.call("c1")
        y.pool.roster.configure({"two"}, ())
        y.pool.roster.configure({"one", "two"}, ())
        await y.call("c2")
        await y.call("c3")
        assert y.spread() == {"one": 2, "two": 2}


@virtual_time
async def test_a_pool_can_what_each_of_its_engines_can() -> None:
    async with yard("one", "two") as y:
        assert y.pool.capabilities == frozenset(Capability)
        y.engines["two"].capabilities = frozenset({Capability.PLAY})
        assert y.pool.capabilities == {Capability.PLAY, Capability.DETECTION}
        y.pool.roster.retire("two")
        assert y.pool.capabilities == frozenset(Capability)


@virtual_time
async def test_ports_are_those_of_all_that_tell() -> None:
    async with yard("one", "two", "silent") as y:
        assert y.pool.ports is None
        y.engines["one"].ports, y.engines["two"].ports = (4, 100), (8, 200)
        assert y.pool.ports == (12, 300)


@virtual_time
async def test_a_listener_that_breaks_harms_no_other() -> None:
    async with yard("one", "two") as y:
        for number in range(4):
            await y.call(f"c{number}")

        def broken(event: MediaEvent) -> None:
            raise RuntimeError("broken")

        first, second = (f"c{n}" for n in range(4) if y.engine_of(f"c{n}") == "one")
        y.pool.listen(first, broken)
        y.engines["one"].dead = True
        with capture_logs() as logs:
            await asyncio.sleep(0.5)
        assert y.lost == [second]
        assert "media.event-failed" in [log["event"] for log in logs]


@virtual_time
async def test_what_is_asked_of_a_call_goes_to_its_engine() -> None:
    async with yard("one", "two") as y:
        for number in range(4):
            await y.call(f"c{number}")
        home = y.engines[y.engine_of("c2")]
        before = len(home.asked)
        await y.pool.play("c2", "a", b"RIFF", 1)
        await y.pool.stop_play("c2", "a")
        await y.pool.withhold("c2", "a", Withheld.BLOCKED)
        await y.pool.let_pass("c2", "a", Withheld.BLOCKED)
        told = [what for what, *_ in home.asked[before:]]
        assert told == [
            "play",
            "stop",
            "withhold",
            "let pass",
        ]
        for refused in (
            y.pool.subscribe("c2", "a"),
            y.pool.answer_subscription("c2", "s", PCMU),
            y.pool.unsubscribe("c2", "s"),
        ):
            with pytest.raises(MediaError, match="unsupported"):
                await refused
        for unknown in (y.pool.play("no", "a", b"", 1), y.pool.subscribe("no", "a")):
            with pytest.raises(MediaError, match="unknown-call"):
                await unknown


@virtual_time
async def test_calls_and_statistics_are_those_of_all_that_answer() -> None:
    async with yard("one", "two", "three") as y:
        for number in range(6):
            await y.call(f"c{number}")
        assert sorted(await y.pool.calls()) == [f"c{n}" for n in range(6)]
        y.pool.roster.fallen("three")
        assert (await y.pool.statistics()).sessions == len(await y.pool.calls()) == 4
