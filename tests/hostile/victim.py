"""A gateway process under attack, and what it holds."""

import asyncio
import json
import os
import random
import re
from collections.abc import Callable, Collection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sip.collector import EVERY_S
from tests.hostile.parties import Address, Callee
from tests.interop.harness.gateway import Gateway
from tests.interop.harness.network import Network
from tests.ladder import DID
from tests.transport.tls.authority import Authority

#: Timers of transactions end 32 s after the last message (RFC 3261 17), a call's goodbye later.
QUIET_S = 150.0
#: Limits that damaged messages do not reach: all of them are to be read.
WIDE = {"calls": 5000, "calls_per_second": 5000}
#: Within so many seconds of that it has collected its garbage (`sip.collector`).
COLLECTED_S = EVERY_S + 5


#: How long the end of a call may take to be on record when the attack is over, and how often it is
#: looked for, in seconds.
SETTLES_S = 10.0
LOOKS_S = 0.5


class Victim:
    """Async context manager: `retell-sip-gateway run` and the addresses around it."""

    def __init__(
        self,
        directory: Path,
        limits: dict[str, int] | None = WIDE,
        *,
        change: Callable[[dict[str, Any]], None] = lambda _: None,
        output: int | None = None,
    ) -> None:
        """Without `limits`, those that a gateway has by default. `change` may alter the rest of the
        configuration; with `output`, what the gateway says goes there."""
        self._limits = limits
        self._change = change
        self._output = output
        self._network = Network()
        self._directory = directory
        self._callee: Callee | None = None
        self._gateway: Gateway | None = None

    async def __aenter__(self) -> Self:
        self._network.__enter__()
        self._callee = Callee(self._network.retell.host, ("127.0.0.1", 0), random.Random(0))
        self._gateway = Gateway(
            self._network, "udp", self._directory, self._configure, output=self._output
        )
        self._callee.gateway = self.gateway
        await self._callee.__aenter__()
        await self._gateway.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._gateway is not None
        try:
            await self._gateway.__aexit__(kind, error, trace)
        finally:
            await self.callee.__aexit__(kind, error, trace)
            self._network.__exit__(kind, error, trace)

    def _configure(self, settings: dict[str, Any]) -> None:
        """Two trunks that call, one under attack; their calls go to a callee of ours."""
        assert self._callee is not None
        settings["retell"] |= {"sip_uri": f"sip:{self._callee.name}", "ring_timeout_s": 20}
        settings["trunks"] = [
            {"name": "fuzzed", "identify": [self.fuzzed]},
            {"name": "honest", "identify": [self.honest]},
        ]
        settings["numbers"] = {DID: {}}
        settings.pop("outbound")
        certificate = str(Authority(self._directory).issue("gateway.example.com"))
        settings["sip"]["listen"].append(f"tls:{self._network.secure_gateway}")
        settings["sip"]["tls"] = {"certificate": certificate, "key": certificate}
        # an attacker's calls would talk on
        settings["limits"] = {"drain_s": 1, **(self._limits or {})}
        if self._limits is not None:
            settings["sip"]["bans"] = {"strangers_per_second": 1_000_000}
        # the usual ones: a pair rests for seconds after use, and a thousand ports are soon at rest
        settings.pop("media")
        self._change(settings)

    # addresses

    def _host(self, last_octet: int) -> str:
        return f"127.0.{self._network.block}.{last_octet}"

    @property
    def gateway(self) -> Address:
        return self._network.gateway.host, self._network.gateway.port

    @property
    def secure_gateway(self) -> Address:
        return self._network.secure_gateway.host, self._network.secure_gateway.port

    @property
    def http(self) -> Address:
        host, _, port = self._network.http.rpartition(":")
        return host, int(port)

    @property
    def fuzzed(self) -> str:
        return self._host(20)

    @property
    def honest(self) -> str:
        return self._host(21)

    @property
    def stranger(self) -> str:
        return self._host(66)

    @property
    def callee(self) -> Callee:
        assert self._callee is not None
        return self._callee

    # what it holds

    @property
    def pid(self) -> int:
        assert self._gateway is not None
        return self._gateway.program.pid

    def memory_mb(self) -> float:
        """Resident memory of the gateway process, without the relay's."""
        return self._status("VmRSS")

    def peak_mb(self) -> float:
        return self._status("VmHWM")

    def cpu_s(self) -> float:
        """Processor time of the gateway process so far, in seconds, without the relay's."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _status(self, key: str) -> float:
        text = Path(f"/proc/{self.pid}/status").read_text()
        match = re.search(rf"{key}:\s+(\d+) kB", text)
        assert match is not None
        return int(match[1]) / 1024

    async def quiet(self) -> None:
        """Wait until it holds no call, leg or transaction, and has given back what it could.

        Raises AssertionError.
        """
        assert self._gateway is not None
        held = {}
        for _ in range(int(QUIET_S)):
            holdings = await self._gateway.holdings()
            held = {"calls": holdings.live_calls, "legs": holdings.legs}
            held["transactions"] = holdings.transactions
            if not any(held.values()):
                await asyncio.sleep(COLLECTED_S)
                return
            await asyncio.sleep(1)
        raise AssertionError(f"still held after {QUIET_S:g} s: {held}\n{await self._stuck()}")

    async def _stuck(self) -> str:
        """The ladders of calls that have not ended, for whoever looks into it."""
        assert self._gateway is not None
        live = [call for call in await self._gateway.calls() if call["ended_by"] is None]
        ladders = [(call, await self._gateway.ladder(call["call_id"])) for call in live[:3]]
        return json.dumps(ladders, indent=1)

    async def unrecorded(self, sip_call_ids: list[str]) -> list[str]:
        """Of these calls, those without exactly one record of a completed call, once what is left
        of the attack is over."""
        wrong = await self._not_completed(sip_call_ids)
        for _ in range(round(SETTLES_S / LOOKS_S)):
            if not wrong:
                break
            await asyncio.sleep(LOOKS_S)
            wrong = await self._not_completed(sip_call_ids)
        return wrong

    async def _not_completed(self, sip_call_ids: list[str]) -> list[str]:
        assert self._gateway is not None
        records = await self._gateway.calls()
        wrong = []
        for sip_call_id in sip_call_ids:
            found = [record for record in records if record["a_sip_call_id"] == sip_call_id]
            if len(found) != 1 or found[0]["duration_s"] is None or found[0]["ended_by"] is None:
                wrong.append(f"the honest call {sip_call_id} has the records {found}")
        return wrong

    async def ready(self) -> bool:
        """What /readyz says."""
        assert self._gateway is not None
        return await self._gateway.is_ready()

    def log(self) -> str:
        assert self._gateway is not None
        return self._gateway.log()

    def problems(self, but: Collection[str] = ()) -> list[str]:
        """Errors in its log, `but` for these events, and its end if it ended too early."""
        assert self._gateway is not None
        return self._gateway.problems(but)

    def turned_away(self) -> dict[str, int]:
        """What the gateway said when it ended: messages and calls that went nowhere."""
        assert self._gateway is not None
        for line in reversed(self._gateway.log().splitlines()):
            if '"requests.turned-away"' in line:
                counts: dict[str, int] = json.loads(line)["by_reason"]
                return counts
        return {}
