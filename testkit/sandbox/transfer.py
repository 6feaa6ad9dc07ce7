"""What a transfer and the call that it is made in know of each other."""

from typing import Protocol

from sip.b2bua.legs.sip_leg import SipLeg
from testkit.sandbox.agent import AgentMedia
from testkit.sandbox.store import Call, ToolUse


class Talk(Protocol):
    """The call in which an agent transfers its caller."""

    call: Call
    leg: SipLeg
    media: AgentMedia

    def transferred(self, use: ToolUse) -> None:
        """The target has the caller: the agent hangs up."""
        ...

    def transfer_failed(self, use: ToolUse) -> None:
        """The agent talks on."""
        ...
