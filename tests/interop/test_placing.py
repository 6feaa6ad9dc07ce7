"""How Retell proves that a call is its: by digest, by the ranges that it publishes, by evidence;
and what is said of each that does not. Retell is the sandbox, the carriers are SIPp."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from tests.interop.harness.gateway import LOGIN, TO_A_THEN_B, TO_B_ONLY, Gateway, Json
from tests.interop.harness.network import Network
from tests.interop.harness.sandbox import Sandbox
from tests.interop.harness.scene import Scene, good, tried
from tests.softswitch.invites import invite

OURS, SALES, NAKED, WRONG, BARE = (f"+1415555012{last}" for last in range(5))
SALES_LOGIN = ("retell-sales", "interop-sales-password")
EVIDENCE = "interop-evidence"
#: Retell has this long to come back with credentials.
CREDENTIALS_S = 32.0


def workspaces(settings: Json) -> None:
    """`sales` must show evidence too, and its numbers are carrier B's."""
    settings["retell"]["identify"] = settings["retell"]["identify"][:1]
    settings["retell"]["workspaces"] = [
        {
            "name": "sales",
            "login": {"username": SALES_LOGIN[0], "password": SALES_LOGIN[1]},
            "evidence": {"header": "X-Trunk-Token", "value": EVIDENCE},
            "numbers": [SALES, BARE],
        }
    ]
    settings["numbers"][OURS] = {}
    settings["outbound"]["routes"].append(
        {"prefix": "+1212", "from": [SALES], "trunks": ["carrier-b"]}
    )


def by_ranges(settings: Json) -> None:
    """Whoever calls from there is Retell."""
    del settings["retell"]["login"]


@asynccontextmanager
async def retell(
    directory: Path, change: Callable[[Json], None]
) -> AsyncIterator[tuple[Gateway, Scene, Sandbox]]:
    with Network() as network:
        async with Gateway(network, "udp", directory, change) as gateway:
            scene = Scene(gateway, directory / "scene")
            await scene.open()
            try:
                async with Sandbox(gateway) as sandbox:
                    yield gateway, scene, sandbox
            finally:
                await scene.close()


async def test_the_calls_of_two_workspaces_and_those_of_nobody(tmp_path: Path) -> None:
    async with retell(tmp_path, workspaces) as (gateway, scene, sandbox):
        network = gateway.network
        logins = {  # that of OURS is preset
            SALES: SALES_LOGIN,
            BARE: SALES_LOGIN,
            NAKED: (None, None),
            WRONG: (LOGIN[0], "not-the-password"),
        }
        for number, login in logins.items():
            await sandbox.import_number(number, login)
        naked = await sandbox.create_phone_call(NAKED, TO_A_THEN_B)
        begun = asyncio.get_running_loop().time()

        a = await scene.callee("callee-hangs-up", network.carrier_a, d_ms=300)
        ours = await sandbox.create_phone_call(OURS, TO_A_THEN_B, X_Campaign="7")
        [sent] = good(await a.finish()).received("INVITE")
        assert (sent.header("x-campaign"), OURS in sent.header("from")) == ("7", True)
        assert (await sandbox.ended(ours))["disconnection_reason"] == "user_hangup"

        b = await scene.callee(
            "callee-challenges-and-hangs-up",
            network.carrier_b,
            keys={"realm": "carrier.example.com"},
            d_ms=300,
        )
        sales = await sandbox.create_phone_call(SALES, TO_A_THEN_B, X_Trunk_Token=EVIDENCE)
        log = good(await b.finish())
        assert not any(one.header("x-trunk-token") for one in log.received("INVITE"))
        assert (await sandbox.ended(sales))["disconnection_reason"] == "user_hangup"
        records = {record["trunk"]: record for record in await scene.records()}
        assert set(records) == {"retell", "sales"}
        assert tried(records["retell"]) == [("carrier-a", 200)]
        assert tried(records["sales"]) == [("carrier-b", 200)]
        assert records["retell"]["headers"]["x-campaign"] == "7"
        assert "x-trunk-token" not in records["sales"]["headers"]
        ladder = await gateway.ladder(records["sales"]["call_id"])
        assert any("X-Trunk-Token: ****" in message["message"] for message in ladder)
        assert EVIDENCE not in str(ladder) + gateway.log()

        for number in (WRONG, BARE):
            call_id = await sandbox.create_phone_call(number, TO_B_ONLY)
            call = await sandbox.ended(call_id)
            assert call["disconnection_reason"] == "telephony_provider_permission_denied"
        assert (await sandbox.ended(naked))["call_status"] == "not_connected"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.bind((network.impostor.host, 0))
            unknown = invite(
                uri=f"sip:{TO_B_ONLY}@192.0.2.2", sender=f"<sip:{OURS}@x.invalid>;tag=1"
            )
            stranger.sendto(unknown.to_bytes(), (network.gateway.host, network.gateway.port))
            waited = asyncio.get_running_loop().time() - begun
            await asyncio.sleep(max(0.0, CREDENTIALS_S - waited) + 7.0)

        refused = {one["reason"]: one for one in await gateway.refused()}
        found = {reason: (one["from"], one["sip_status"]) for reason, one in refused.items()}
        assert found == {
            "no-credentials": (NAKED, 407),
            "wrong-credentials": (WRONG, 407),
            "proof-missing": (BARE, 407),
            "unknown-source": (OURS, None),
        }
        for reason, said in (
            ("no-credentials", f"user name {LOGIN[0]}, password that of retell.login"),
            ("wrong-credentials", f"termination URI {network.gateway}, transport TCP"),
            ("proof-missing", "put X-Trunk-Token with the value of retell.workspaces (sales)"),
            ("unknown-source", "retell.identify"),
        ):
            assert said in refused[reason]["fix"], refused[reason]
            assert refused[reason]["fix"] in gateway.log()
        assert (await gateway.metrics())["gateway_refused_calls_total"] == 4


async def test_a_call_from_the_published_ranges_needs_no_digest(tmp_path: Path) -> None:
    async with retell(tmp_path, by_ranges) as (gateway, scene, sandbox):
        await sandbox.import_number(OURS, (None, None))
        a = await scene.callee("callee-hangs-up", gateway.network.carrier_a, d_ms=300)
        call_id = await sandbox.create_phone_call(OURS, TO_A_THEN_B)
        good(await a.finish())
        assert (await sandbox.ended(call_id))["disconnection_reason"] == "user_hangup"
        record = await scene.record()
        assert (record["trunk"], record["direction"]) == ("retell", "retell")
        assert await gateway.refused() == []
