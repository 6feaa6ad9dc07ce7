"""Who may speak to us: asked for every packet, connection and message before it is taken."""

from typing import Protocol

from sip.core.message import Request
from sip.transport.endpoint import Endpoint, Flow


class Doorkeeper(Protocol):
    """Decides what is heard. What it works out of a source it keeps in `Flow.standing`."""

    def packet(self, flow: Flow) -> bool:
        """Whether what came by `flow` is to be read; no packet is parsed before."""
        ...

    def connection(self, flow: Flow) -> bool:
        """Whether a peer may open the connection `flow`, of which nothing is read yet."""
        ...

    def message(self, request: Request | None, flow: Flow) -> bool:
        """Whether the sender may get any answer, even a refusal.

        `request` is outside our dialogs; None for a message that could not be read, and for a
        response that asks for our password.
        """
        ...

    def refuse(self, request: Request, flow: Flow, status: int) -> None:
        """A request outside our dialogs is refused for what it is: nobody above sees it."""
        ...

    def answers_at_source(self, flow: Flow) -> bool:
        """Whether responses go to the port that a request came from, though its Via does not ask
        for that by rport (RFC 3581)."""
        ...

    def met(self, peer: Endpoint) -> None:
        """We send `peer` a request of ours."""
        ...


class OpenDoor:
    """Lets everything in: for a user agent among friends."""

    def packet(self, flow: Flow) -> bool:
        return True

    def connection(self, flow: Flow) -> bool:
        return True

    def message(self, request: Request | None, flow: Flow) -> bool:
        return True

    def refuse(self, request: Request, flow: Flow, status: int) -> None:
        """Nobody asks who was refused."""

    def answers_at_source(self, flow: Flow) -> bool:
        return False

    def met(self, peer: Endpoint) -> None:
        """Friends need no introduction."""
