"""Bindings are kept in the store that was given, whatever it says of itself."""

from sip.clock import LoopClock
from sip.softswitch.registration.bindings import Bindings
from sip.softswitch.shared import BindingRecord, MemoryStore


class WritesBehind(MemoryStore[BindingRecord]):
    """Its length is what waits to be written: nothing, so that it is false as a condition."""

    def __len__(self) -> int:
        return 0


def record(expires_ms: int) -> BindingRecord:
    return BindingRecord(
        trunk="desk",
        aor="200@pbx.example.com",
        contact="sip:200@192.0.2.7:5060",
        params="",
        q=1.0,
        instance="",
        source="udp:192.0.2.7:5060",
        path="",
        sip_call_id="1@192.0.2.7",
        cseq=1,
        user_agent="phone",
        registered_ms=expires_ms - 60_000,
        expires_ms=expires_ms,
    )


async def test_bindings_come_back_from_a_store_where_nothing_waits() -> None:
    clock = LoopClock()
    store = WritesBehind()
    store.save(record(round(clock.epoch() * 1000) + 60_000))
    bindings = Bindings(clock, store)
    assert await bindings.restore(["desk"]) == 1
    assert [place.text for place in bindings.of("desk", clock.now())] == ["sip:200@192.0.2.7:5060"]
    bindings.close()
