"""An exchange that hands callers on: a trunk for each policy, and one to the target.

Carriers and target are SIPp; who plays Retell is the story's own business.
"""

from typing import Literal

from tests.interop.harness.gateway import PLAIN, Json
from tests.interop.harness.network import Network, Party
from tests.interop.harness.siplog import MessageLog
from tests.interop.harness.sipp import Outcome

Policy = Literal["refer", "bridge", "auto", "peer"]
#: The carriers, by what their trunks say; `peer` hangs up by itself after REFER.
TERMS: dict[Policy, Json] = {
    "refer": {"policy": "refer"},
    "bridge": {"policy": "bridge"},
    "auto": {"policy": "auto"},
    "peer": {"policy": "refer", "bye": "peer"},
}
SALES = "+12125550190"
"""Who is in the directory, behind the trunk `out`."""
NOBODY = "+12125550191"
RING_S, REFER_WAIT_S = 1.5, 1.5
QUIET_MS = 3000
"""The caller hangs up when nothing has come for so long."""
MAY_RING_OUT = frozenset({408, 480, 487})


def carrier(network: Network, policy: Policy) -> Party:
    """The caller's carrier, whose trunk has that policy."""
    return network.party(f"carrier-{policy}", 30 + list(TERMS).index(policy))


def way_out(network: Network) -> Party:
    """Where the target is called."""
    return network.party("out", 35)


def configure(network: Network, settings: Json) -> None:
    settings["trunks"] = [
        {
            "name": f"carrier-{policy}",
            "gateways": [f"sip:{carrier(network, policy)}"],
            "identify": [carrier(network, policy).host],
            "credentials": {"username": "gateway", "password": "interop-carrier-password"},
            "transfer": {**terms, "refer_wait_s": REFER_WAIT_S},
        }
        for policy, terms in TERMS.items()
    ]
    settings["trunks"].append({"name": "out", "gateways": [f"sip:{way_out(network)}"]})
    settings["numbers"] = {PLAIN: {}}
    settings["outbound"]["routes"] = [{"prefix": "", "trunks": ["out"]}]
    settings["transfer"] = {"ring_s": RING_S}
    settings["directory"] = {
        "sales": {"aliases": [SALES], "targets": [{"trunk": "out", "to": SALES}]}
    }


def well(outcome: Outcome) -> MessageLog:
    assert (outcome.exit_code, outcome.succeeded) == (0, 1), str(outcome)
    return outcome.log
