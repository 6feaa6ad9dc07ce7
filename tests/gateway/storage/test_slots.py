"""Slots: what each gateway of a cluster carries counts against a trunk's limit for all of them."""

import pytest
from sqlalchemy import select

from gateway.storage import slots as module
from gateway.storage.database import open_engine
from gateway.storage.slots import TableSlots, open_slots
from gateway.storage.tables import slots
from sip.softswitch.trunks.limits import TrunkFullError, TrunkLimits
from sip.softswitch.trunks.trunk import Trunk

CARRIER = Trunk(name="carrier", max_calls=3)


async def test_a_limit_holds_over_two_gateways(url: str) -> None:
    async with open_engine(url) as engine:
        one, two = TableSlots(engine, "one"), TableSlots(engine, "two")
        here, there = TrunkLimits(one), TrunkLimits(two)
        held = [here.receive(CARRIER), here.receive(CARRIER)]
        await one.sync()
        await two.sync()
        assert there.calls("carrier") == 2
        there.receive(CARRIER)
        with pytest.raises(TrunkFullError):
            there.receive(CARRIER)
        await two.sync()
        await one.sync()
        with pytest.raises(TrunkFullError):
            here.receive(CARRIER)
        held.pop().give_back()
        await one.sync()
        await two.sync()
        there.receive(CARRIER)


async def test_what_a_dead_gateway_carried_is_free_after_a_while(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_engine(url) as engine:
        dead, alive = TableSlots(engine, "dead"), TableSlots(engine, "alive")
        dead.take("carrier")
        await dead.sync()
        await alive.sync()
        assert alive.taken("carrier") == 1
        monkeypatch.setattr(module, "LASTS_S", 0.0)
        await dead.sync()  # its last word, already old
        await alive.sync()
        assert alive.taken("carrier") == 0


async def test_a_gateway_that_stops_takes_its_counts_along(url: str) -> None:
    async with open_engine(url) as engine:
        async with open_slots(engine, "one") as one:
            one.take("carrier")
            await one.sync()
            async with open_slots(engine, "two") as two:
                assert two.taken("carrier") == 1
        async with engine.connect() as connection:
            assert (await connection.execute(select(slots))).all() == []
