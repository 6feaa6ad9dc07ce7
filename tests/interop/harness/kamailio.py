"""Kamailio as a carrier's edge: a proxy that stays in the dialog, wants a digest, and has two
gateways behind it, the second for when the first fails."""

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.interop.harness.certificates import Authority
from tests.interop.harness.network import Network, Party
from tests.interop.harness.pbx import TRANSPORTS, Transport
from tests.interop.harness.peers import Tree
from tests.interop.harness.programs import Program
from tests.interop.harness.sockets import bound

Json = dict[str, Any]

REALM = "carrier.example.com"
LOGIN = ("customer", "interop-customer-password")
READY_S = 15.0


@dataclass(frozen=True, slots=True)
class CarrierTrunk:
    """The carrier over one transport."""

    transport: Transport
    edge: Party
    customer: Party
    """our gateway"""
    did: str
    """the number whose calls the carrier sends us over this transport"""
    number: str
    """what Retell dials to get out here"""
    another: Party | None = None
    """an edge of the carrier that is asked first"""

    @property
    def name(self) -> str:
        return f"carrier-{self.transport}" + ("-twice" if self.another else "")

    @property
    def socket(self) -> str:
        return f"{self.transport}:{self.edge}"

    def settings(self) -> Json:
        """The trunk's entry in the gateway's configuration."""
        return {
            "name": self.name,
            "gateways": [
                f"sip:{edge};transport={self.transport}"
                for edge in (self.another, self.edge)
                if edge is not None
            ],
            # an address can tell one trunk alone
            "identify": [(self.another or self.edge).host],
            "credentials": {"username": LOGIN[0], "password": LOGIN[1]},
        }


def carrier_trunks(network: Network) -> list[CarrierTrunk]:
    """One a transport."""
    return [
        CarrierTrunk(
            kind,
            network.party(f"edge-{kind}", 40 + index),
            network.secure_gateway if kind == "tls" else network.gateway,
            f"+1415555013{index}",
            f"+1212555{150 + index:04}",
        )
        for index, kind in enumerate(TRANSPORTS)
    ]


def with_an_edge_down(network: Network, trunk: CarrierTrunk, number: str) -> CarrierTrunk:
    """The same, with another edge before it where nobody is."""
    down = network.party("edge-down", 46)
    return replace(trunk, number=number, another=down)


class Kamailio:
    """Async context manager: the edge of a carrier whose own gateways are `first` and `second`.

    They reach it, and it reaches them, at `inside`, over UDP.
    """

    def __init__(
        self,
        trunks: list[CarrierTrunk],
        inside: Party,
        first: Party,
        second: Party,
        directory: Path,
        authority: Authority,
    ) -> None:
        self.inside = inside
        self.first = first
        self.second = second
        self._trunks = trunks
        self._directory = directory
        self._authority = authority
        self._program: Program | None = None

    async def __aenter__(self) -> Self:
        tree = Tree()
        self._write(tree)
        modules = str(tree.libraries / "kamailio/modules")
        files = ["-f", str(self._directory / "kamailio.cfg"), "-L", modules]
        files += ["-Y", str(self._directory), "-w", str(self._directory)]
        # in the foreground, with its log on standard error and one worker a socket
        self._program = await Program.start(
            tree.argv("kamailio", "-DD", "-E", "-n", "1", "-m", "32", *files),
            log=self._directory / "kamailio.log",
            cwd=self._directory,
            env={"OPENSSL_CONF": "/dev/null"},
        )
        try:
            async with asyncio.timeout(READY_S):
                await self._ready()
        except BaseException:
            await self._program.kill()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._program is not None
        await self._program.stop()

    def log(self) -> str:
        assert self._program is not None
        return self._program.tail(80)

    async def _ready(self) -> None:
        assert self._program is not None
        while not self._listens():
            assert self._program.running, f"Kamailio did not start:\n{self.log()}"
            await asyncio.sleep(0.02)

    def _listens(self) -> bool:
        return bound("udp", self.inside.host, self.inside.port) and all(
            bound("udp" if trunk.transport == "udp" else "tcp", trunk.edge.host, trunk.edge.port)
            for trunk in self._trunks
        )

    def _write(self, tree: Tree) -> None:
        self._directory.mkdir(parents=True)
        certificate = self._authority.certificate(
            "kamailio", *(trunk.edge.host for trunk in self._trunks)
        )
        (self._directory / "tls.cfg").write_text(f"""
[server:default]
method = TLSv1.2+
private_key = {certificate.key}
certificate = {certificate.certificate}
[client:default]
method = TLSv1.2+
verify_certificate = yes
require_certificate = yes
ca_list = {self._authority.ca}
private_key = {certificate.key}
certificate = {certificate.certificate}
""")
        (self._directory / "dispatcher.list").write_text(
            f"1 sip:{self.first} 0 10\n1 sip:{self.second} 0 5\n"
        )
        to_customers = "".join(
            f"""
    if ($rU == "{trunk.did}") {{
        $ru = "sip:{trunk.did}@{trunk.customer};transport={trunk.transport}";
        $fs = "{trunk.socket}";
    }}"""
            for trunk in self._trunks
        )
        listen = "".join(f"listen={trunk.socket}\n" for trunk in self._trunks)
        text = _CONFIGURATION
        for key, value in {
            "LISTEN": listen,
            "DIRECTORY": str(self._directory),
            "TO_CUSTOMERS": to_customers,
            "INSIDE_HOST": self.inside.host,
            "INSIDE": str(self.inside),
            "REALM": REALM,
            "USER": LOGIN[0],
            "PASSWORD": LOGIN[1],
        }.items():
            text = text.replace(f"@{key}@", value)
        (self._directory / "kamailio.cfg").write_text(text)


_CONFIGURATION = """
debug=2
log_stderror=yes
enable_tls=yes
auto_aliases=no
@LISTEN@
listen=udp:@INSIDE@

loadmodule "tls.so"
loadmodule "tm.so"
loadmodule "tmx.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "auth.so"
loadmodule "dispatcher.so"
loadmodule "xlog.so"

modparam("tls", "config", "@DIRECTORY@/tls.cfg")
modparam("dispatcher", "list_file", "@DIRECTORY@/dispatcher.list")
# 2: keep the list of gateways for failover
modparam("dispatcher", "flags", 2)
# a gateway that says nothing for so long, in ms, is passed over
modparam("tm", "fr_timer", 1500)
modparam("auth", "nonce_expire", 30)

request_route {
    if (!mf_process_maxfwd_header("10")) { sl_send_reply("483", "Too Many Hops"); exit; }
    if (is_method("CANCEL")) { if (t_check_trans()) t_relay(); exit; }
    if (has_totag()) {
        if (loose_route()) { t_relay(); exit; }
        if (is_method("ACK")) { if (t_check_trans()) t_relay(); exit; }
        # somebody left the route set out
        sl_send_reply("404", "Not Here");
        exit;
    }
    if (is_method("OPTIONS")) { sl_send_reply("200", "OK"); exit; }
    if (!is_method("INVITE")) { sl_send_reply("405", "Method Not Allowed"); exit; }
    if (t_precheck_trans()) { t_check_trans(); exit; }
    t_check_trans();
    record_route();
    if ($Ri == "@INSIDE_HOST@") route(TO_CUSTOMER);
    else route(FROM_CUSTOMER);
}

route[TO_CUSTOMER] {@TO_CUSTOMERS@
    t_relay();
    exit;
}

route[FROM_CUSTOMER] {
    if ($au != "@USER@" || !pv_proxy_authenticate("@REALM@", "@PASSWORD@", "0")) {
        auth_challenge("@REALM@", "16");
        exit;
    }
    consume_credentials();
    if (!ds_select_domain("1", "8")) { sl_send_reply("503", "No Gateway"); exit; }
    $fs = "udp:@INSIDE@";
    t_on_failure("NEXT_GATEWAY");
    t_relay();
    exit;
}

failure_route[NEXT_GATEWAY] {
    if (t_is_canceled()) exit;
    if (t_check_status("5[0-9][0-9]") || (t_branch_timeout() && !t_branch_replied())) {
        if (ds_next_domain()) {
            $fs = "udp:@INSIDE@";
            t_on_failure("NEXT_GATEWAY");
            t_relay();
        }
    }
}
"""
