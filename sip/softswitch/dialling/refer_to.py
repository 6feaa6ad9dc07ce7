"""Whom a trunk's peer is asked to call, as that peer wants it written."""

from sip.core.uri import join_hostport
from sip.softswitch.trunks.trunk import Trunk


def refer_target(trunk: Trunk | None, target: str) -> str:
    """The Refer-To of a REFER to `trunk`: a URI as it is, a number in the trunk's own form.

    A trunk without a gateway, whose peer registers with us, has the number at no host's.
    """
    if target.lower().startswith(("sip:", "sips:", "tel:")) or trunk is None:
        return target
    host = join_hostport(trunk.gateways[0].host, None) if trunk.gateways else "invalid"
    return trunk.transfer.refer_uri(target, host)


def bye_after_s(trunk: Trunk | None) -> float:
    """How long the peer may take to hang up once it has got through, in seconds."""
    return PEERS_BYE_S if trunk is not None and trunk.transfer.bye == "peer" else 0.0


#: For a peer that hangs up by itself: RFC 5589 6.1 leaves it to the transferor, some do not.
PEERS_BYE_S = 32.0
