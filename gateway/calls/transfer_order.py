"""How a transfer is to go: values. Who makes them of the configuration is `transfer_routing.py`."""

from collections.abc import Mapping
from dataclasses import field
from typing import Final, Literal, TypeAlias, assert_never

from gateway.calls.routing import Attempt
from gateway.jambonz.verbs import PhoneTarget, SipTarget, Target
from gateway.value import frozen

#: How long a carrier that hangs up by itself after a transfer may take to do so.
PEER_BYE_S: Final = 5.0

Policy: TypeAlias = Literal["refer", "bridge", "auto"]
After: TypeAlias = Literal["end", "next", "agent"]


@frozen(kw_only=True)
class Callee:
    """One who is called. `whisper` is a file that it hears before it is joined; where it must
    `confirm`, only if it presses 1."""

    attempt: Attempt
    whisper: str | None = None
    confirm: bool = False

    @property
    def asked(self) -> bool:
        """Whether it is asked before it is joined."""
        return self.confirm or self.whisper is not None


@frozen(kw_only=True)
class ReferTry:
    """Try: ask the caller's own side to call `target`, by REFER (RFC 3515)."""

    target: str
    refer_to: str
    referred_by: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    #: when the caller is hung up once it is done; None: the softswitch does so
    hang_up_after_s: float | None = None


@frozen(kw_only=True)
class RingTry:
    """Try: call all of these at once; the first that takes it has the caller.

    `announcement` is what the caller hears before that, `music` while it rings; `after` is what
    follows when the one who took it hangs up. `failover`: it is
    the try before it by another trunk, for where that one could not carry it.
    """

    callees: tuple[Callee, ...]
    ring_s: float
    announcement: str | None = None
    music: str | None = None
    after: After = "end"
    failover: bool = False

    @property
    def target(self) -> str:
        return ", ".join(shown(callee.attempt.target) for callee in self.callees)


@frozen(kw_only=True)
class SayTry:
    """Try: tell the caller, by a file, why there is nobody; it never succeeds."""

    file: str
    target: str
    code: int
    reason: str


Try: TypeAlias = ReferTry | RingTry | SayTry


@frozen(kw_only=True)
class TransferOrder:
    """Where a caller is to go, and how. `target` is who was asked for, `by` who asked."""

    transfer_id: str
    by: str
    policy: Policy
    target: str
    tries: tuple[Try, ...] = ()


def shown(target: Target | None) -> str:
    """Who is called, for log and record."""
    match target:
        case PhoneTarget(number=number):
            return number
        case SipTarget(uri=uri):
            return uri
        case None:
            return ""
        case _:
            assert_never(target)
