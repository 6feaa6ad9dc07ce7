"""One story on stage: a running gateway, SIPp around it, and what is left of it afterwards."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.interop.harness.gateway import CALLER, LOGIN, PLAIN, Gateway, Holdings
from tests.interop.harness.network import Network, Party
from tests.interop.harness.siplog import MessageLog
from tests.interop.harness.sipp import Outcome, Sipp, Transport

Json = dict[str, Any]

SETTLE_S = 5.0


class Scene:
    """Starts parties, remembers what the gateway held before, and looks again after."""

    def __init__(self, gateway: Gateway, directory: Path) -> None:
        self.gateway = gateway
        self.network: Network = gateway.network
        self.transport: Transport = gateway.transport
        self.directory = directory
        self._parties: list[Sipp] = []
        self._before: Holdings | None = None
        self._known: set[str] = set()
        #: Legs that may stay for 64 x T1: an INVITE that was given up without any response cannot
        #: be cancelled (RFC 3261 9.1), and a late answer must still be acknowledged and hung up.
        self.given_up = 0

    async def open(self) -> None:
        self._before = await self.gateway.holdings()
        self._known = {record["call_id"] for record in await self.gateway.calls()}

    async def close(self) -> None:
        for party in self._parties:
            await party.close()

    async def callee(self, scenario: str, party: Party, **more: Any) -> Sipp:
        """Somebody who waits to be called."""
        return await self._start(scenario=scenario, party=party, **more)

    async def caller(
        self, scenario: str, party: Party | None = None, number: str = PLAIN, **more: Any
    ) -> Sipp:
        """Carrier A, unless another party is named, calls `number` through the gateway."""
        keys: Mapping[str, str] = {"caller": CALLER, **more.pop("keys", {})}
        return await self._start(
            scenario=scenario,
            party=party or self.network.carrier_a,
            target=more.pop("target", self.network.gateway),
            number=number,
            keys=keys,
            **more,
        )

    async def retell(self, scenario: str, number: str, **more: Any) -> Sipp:
        """Retell, proving itself by its digest, calls `number` through the gateway."""
        login = more.pop("login", LOGIN)
        party = more.pop("party", self.network.retell)
        keys = {"caller": PLAIN}
        return await self.caller(scenario, party, number, login=login, keys=keys, **more)

    async def records(self) -> list[Json]:
        """The call records that this story has added, oldest first."""
        return [
            record
            for record in reversed(await self.gateway.calls())
            if record["call_id"] not in self._known
        ]

    async def record(self) -> Json:
        """The one call record of this story, once its call has ended."""
        records: list[Json] = []
        for _ in range(int(SETTLE_S / 0.1)):
            records = await self.records()
            if records and all(record["ended_at"] for record in records):
                break
            await asyncio.sleep(0.1)
        assert len(records) == 1, f"{len(records)} call records: {records}"
        assert records[0]["ended_at"], f"not ended: {records[0]}"
        return records[0]

    async def nothing_left(self) -> None:
        """No more legs, calls, tasks, sockets and children than before.

        Transactions are not looked at here: they stay for 64 x T1 by design; test_afterwards
        looks at them.
        """
        assert self._before is not None
        now = await self.gateway.holdings()
        for _ in range(int(SETTLE_S / 0.1)):
            if not self._left(now):
                return
            await asyncio.sleep(0.1)
            now = await self.gateway.holdings()
        raise AssertionError(f"left over: {self._left(now)}\n{self.gateway.program.tail(8)}")

    def _left(self, now: Holdings) -> dict[str, object]:
        assert self._before is not None
        left: dict[str, object] = {}
        if now.live_calls:
            left["live calls"] = now.live_calls
        if now.legs > self._before.legs + self.given_up:
            left["legs"] = (self._before.legs, now.legs)
        if now.tasks > self._before.tasks:
            left["tasks"] = (self._before.tasks, now.tasks)
        if len(now.sockets) > len(self._before.sockets):
            left["processes"] = (self._before.sockets, now.sockets)
        if sum(now.sockets) > sum(self._before.sockets):
            left["sockets"] = (self._before.sockets, now.sockets)
        return left

    async def _start(self, **what: Any) -> Sipp:
        place = f"{len(self._parties)}-{what['party'].role}-{what['scenario']}"
        sipp = Sipp(
            **{"transport": self.transport, "directory": self.directory / place, **what},
        )
        self._parties.append(sipp)
        return await sipp.start()


def ending(record: Json) -> tuple[str, str, int]:
    """Who ended the call, how, and what the caller was told."""
    return record["ended_by"], record["cause"], record["sip_status"]


def tried(record: Json) -> list[tuple[str, int | None]]:
    """The trunks that were dialled, in order, with the code each came back with."""
    return [(attempt["trunk"], attempt["code"]) for attempt in record["attempts"]]


def good(outcome: Outcome, calls: int = 1) -> MessageLog:
    """Every call went as its scenario says, on a quiet wire without a single repetition."""
    assert outcome.exit_code == 0, str(outcome)
    assert outcome.succeeded == calls, str(outcome)
    assert outcome.retransmitted == 0, str(outcome)
    assert outcome.log.repeated() == {}, f"{outcome.log.repeated()}\n{outcome}"
    return outcome.log
