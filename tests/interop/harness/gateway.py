"""A real gateway process, configured for one block of loopback addresses."""

import asyncio
import json
import sys
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.interop.harness.network import Network, Party
from tests.interop.harness.programs import Program, descendants, open_sockets
from tests.interop.harness.sipp import Transport

Json = dict[str, Any]

ADMIN_TOKEN = "interop-admin-token"
LOGIN = ("retell", "interop-retell-password")
CARRIER_LOGIN = ("gateway", "interop-carrier-password")

# What the numbers of the generated configuration do.
PLAIN = "+14155550100"
WITH_FALLBACK = "+14155550101"
BY_SIP_URI = "+14155550102"
NOT_OURS = "+14155550199"
CALLER = "+12125550100"
# What Retell dials, by the carriers that serve the prefix.
TO_A_THEN_B = "+12125550110"
TO_B_ONLY = "+13125550110"

READY_S = 60.0
RING_TIMEOUT_S = 3.0
NO_RESPONSE_S = 2.0
#: 64 x T1: for so long a server transaction stays to absorb retransmissions (RFC 3261 17, timer J).
TRANSACTION_S = 32.0


def settings(network: Network, transport: Transport, storage: Path) -> Json:
    """The configuration that the stories share."""
    first, last = network.media_ports

    def uri(party: Party) -> str:
        return f"sip:{party};transport={transport}"

    return {
        "http": {"listen": network.http, "admin_token": ADMIN_TOKEN},
        "sip": {
            "listen": [f"udp:{network.gateway}", f"tcp:{network.gateway}"],
            "advertise": network.gateway.host,
            "realm": "gateway.example.com",
        },
        "media": {"ports": f"{first}-{last}"},
        "storage": {"url": f"sqlite:///{storage}"},
        "retell": {
            "api_key": "key_interop",
            "base_url": f"http://{network.rest}",
            "sip_uri": uri(network.retell),
            "login": {"username": LOGIN[0], "password": LOGIN[1]},
            "identify": [network.retell.host, network.impostor.host],
            "ring_timeout_s": RING_TIMEOUT_S,
        },
        "trunks": [
            {
                "name": "carrier-a",
                "gateways": [uri(network.carrier_a)],
                "identify": [network.carrier_a.host],
                "no_response_s": NO_RESPONSE_S,
            },
            {
                "name": "carrier-b",
                "gateways": [uri(network.carrier_b)],
                "identify": [network.carrier_b.host],
                "credentials": {"username": CARRIER_LOGIN[0], "password": CARRIER_LOGIN[1]},
                "no_response_s": NO_RESPONSE_S,
            },
            {"name": "pbx", "kind": "pbx", "gateways": [uri(network.pbx)]},
        ],
        "numbers": {
            PLAIN: {},
            WITH_FALLBACK: {"fallback": {"trunk": "pbx", "to": "200"}},
            BY_SIP_URI: {"method": "dial", "agent": "agent_interop", "variables": {"plan": "gold"}},
        },
        "outbound": {
            "default_country": "US",
            "routes": [
                {"prefix": "+1212", "trunks": ["carrier-a", "carrier-b"]},
                {"prefix": "+1312", "trunks": ["carrier-b"]},
            ],
        },
        "limits": {"calls": 500, "calls_per_second": 200},
        "log": {"format": "json"},
    }


@dataclass(frozen=True, slots=True)
class Holdings:
    """What the gateway and its children hold; compared before and after."""

    live_calls: int
    legs: int
    transactions: int
    tasks: int
    sockets: tuple[int, ...]
    """Process by process. Not all descriptors: the store keeps up to five files open."""


class Gateway:
    """Async context manager: `python -m gateway run` from ready until it is ended."""

    def __init__(
        self,
        network: Network,
        transport: Transport,
        directory: Path,
        change: Callable[[Json], None] = lambda _: None,
        *,
        output: int | None = None,
    ) -> None:
        """`change` may alter the shared configuration before it is written. What it says goes to a
        file, or to the descriptor `output`, whose reader has to write that file then."""
        self._output = output
        self.network = network
        self.transport: Transport = transport
        self.directory = directory
        self.config = directory / "gateway.yaml"
        self.settings = settings(network, transport, directory / "gateway.db")
        change(self.settings)
        self._program: Program | None = None
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self.config.write_text(yaml.safe_dump(self.settings, sort_keys=False))
        self._program = await Program.start(
            [sys.executable, "-m", "gateway", "run", "--config", str(self.config)],
            log=self.directory / "gateway.log",
            cwd=self.directory,
            output=self._output,
        )
        self._http = aiohttp.ClientSession(
            base_url=f"http://{self.network.http}",
            headers={"Authorization": f"Bearer {ADMIN_TOKEN}"},
        )
        try:
            async with asyncio.timeout(READY_S):
                await self._ready()
        except BaseException:
            await self._http.close()
            await self._program.kill()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._http is not None
        await self._http.close()
        if error is not None:
            # What the test found is what is told: peers that left in mid-call would hold up a stop.
            await self.program.kill()
            return
        exit_code = await self.program.stop()
        assert exit_code == 0, f"the gateway ended with {exit_code}:\n{self.program.tail()}"

    async def restart(self) -> None:
        """As an operator upgrades it: SIGTERM, wait for its calls, start it anew."""
        await self.__aexit__(None, None, None)
        await self.__aenter__()

    async def killed(self) -> None:
        """SIGKILL in the middle of whatever it does, and a new start."""
        assert self._http is not None
        await self._http.close()
        await self.program.kill()
        await self.__aenter__()

    async def reload(self) -> Json:
        """Give it the configuration of `settings` as it is now; what it says of that."""
        assert self._http is not None
        self.config.write_text(yaml.safe_dump(self.settings, sort_keys=False))
        async with self._http.post("/api/v1/reload") as response:
            body: Json = await response.json()
            assert response.status == 200, body
            return body

    @property
    def program(self) -> Program:
        assert self._program is not None, "not started"
        return self._program

    async def calls(self) -> list[Json]:
        """All call records, the newest first."""
        records: list[Json] = []
        cursor = ""
        while True:
            page = await self._get(f"/api/v1/calls?limit=500{cursor}")
            records += page["items"]
            if page["next"] is None:
                return records
            cursor = f"&cursor={page['next']}"

    async def registered(self, name: str, timeout: float = 15.0) -> None:
        """Returns once the gateway is registered with that trunk's registrar."""
        async with asyncio.timeout(timeout):
            while True:
                if (await self.trunk(name))["registration"]["state"] == "registered":
                    return
                await asyncio.sleep(0.05)

    async def bindings(self, name: str, count: int, timeout: float = 15.0) -> list[Json]:
        """The contacts that this trunk's peer has registered, once there are `count`."""
        async with asyncio.timeout(timeout):
            while True:
                found: list[Json] = (await self.trunk(name))["bindings"]
                if len(found) == count:
                    return found
                await asyncio.sleep(0.05)

    async def ladder(self, call_id: str) -> list[Json]:
        """The SIP messages of a call, as the gateway remembers them."""
        messages = (await self._get(f"/api/v1/calls/{call_id}/ladder"))["messages"]
        assert isinstance(messages, list)
        return messages

    async def trunk(self, name: str) -> Json:
        """One trunk as the API shows it."""
        return await self._get(f"/api/v1/trunks/{name}")

    async def refused(self) -> list[Json]:
        """The calls that it refused at the door, the latest first."""
        items = (await self._get("/api/v1/refused?limit=500"))["items"]
        assert isinstance(items, list)
        return items

    async def holdings(self) -> Holdings:
        """What it holds now; asked for when all is quiet."""
        metrics = await self.metrics()
        # the socket for the next call: both ends of it are here, and the two tasks that serve it
        spare = int(metrics["gateway_spare_application_sockets"])
        sockets = [open_sockets(pid) for pid in descendants(self.program.pid)]
        sockets[0] -= 2 * spare
        return Holdings(
            live_calls=int(metrics["gateway_calls_live"]),
            legs=int(metrics["gateway_open_legs"]),
            transactions=int(metrics["gateway_open_transactions"]),
            tasks=int(metrics["gateway_asyncio_tasks"]) - 2 * spare,
            sockets=tuple(sockets),
        )

    async def metrics(self) -> dict[str, float]:
        """Every metric by name, summed over its labels."""
        assert self._http is not None
        async with self._http.get("/metrics") as response:
            assert response.status == 200, response.status
            page = await response.text()
        totals: dict[str, float] = {}
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                totals[sample.name] = totals.get(sample.name, 0.0) + sample.value
        return totals

    def log(self) -> str:
        return self.program.log.read_text(errors="replace")

    def problems(self, but: Collection[str] = ()) -> list[str]:
        """Its log lines that say error, critical, or show a traceback, `but` for these events."""
        return [line for line in self.log().splitlines() if _is_problem(line, but)]

    async def is_ready(self) -> bool:
        """What /readyz says; False where nobody answers."""
        assert self._http is not None
        with suppress(aiohttp.ClientConnectionError):
            async with self._http.get("/readyz") as response:
                return response.status == 200
        return False

    async def _get(self, path: str) -> Json:
        assert self._http is not None
        async with self._http.get(path) as response:
            assert response.status == 200, f"{path}: {response.status} {await response.text()}"
            body = await response.json()
        assert isinstance(body, dict)
        return body

    async def _ready(self) -> None:
        while self.program.running:
            if await self.is_ready():
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"the gateway did not start:\n{self.program.tail()}")


def _is_problem(line: str, but: Collection[str]) -> bool:
    try:
        event = json.loads(line)
    except ValueError:  # not through the log: an interpreter's last words
        return "Traceback" in line or "Error" in line
    return event["level"] in ("error", "critical") and event["event"] not in but
