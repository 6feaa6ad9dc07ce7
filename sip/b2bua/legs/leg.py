"""The face of a leg: what a call asks of each of its parties, whatever the party speaks.

A SIP dialog is a leg (`inbound`, `outbound`); so is anything else that has a session description
and can be up or gone, such as a media stream. Events go the other way, to the `OnEvent` that the
leg was made with.
"""

from collections.abc import Callable
from enum import Enum
from typing import Protocol

from sip.b2bua.call_events import Event, Headers
from sip.core.body import Body
from sip.media.terms import KeyForm, MediaSide


class Direction(Enum):
    """Who began a leg; the value is the word in a stored state."""

    INBOUND = "inbound"
    """the peer did: it is a caller"""
    OUTBOUND = "outbound"
    """we did: it is a callee"""


class Leg(Protocol):
    """One party of a call.

    Emits its events from the event loop or as the last thing that a method does, never in between.
    After `Disconnect` or `Fail` it emits nothing and takes no notice of what it is asked.
    """

    @property
    def direction(self) -> Direction: ...

    @property
    def sip_call_id(self) -> str:
        """Its Call-ID; a leg without SIP has the id of its stream."""
        ...

    @property
    def media_side(self) -> MediaSide:
        """What the media of the call must know of it."""
        ...

    @property
    def hops_left(self) -> int:
        """Max-Forwards of an INVITE that follows from it (RFC 7332)."""
        ...

    @property
    def local_sdp(self) -> str | None:
        """Our newest session description."""
        ...

    @property
    def remote_sdp(self) -> str | None:
        """The peer's newest session description; None while it waits for our offer."""
        ...

    @property
    def settled(self) -> bool:
        """Whether the peer has SDP from us that stands: another needs an offer of its own."""
        ...

    @property
    def takes_reinvites(self) -> bool:
        """Whether its peer may be offered another session in the call."""
        ...

    @property
    def up(self) -> bool:
        """Whether it was answered and not hung up."""
        ...

    @property
    def gone(self) -> bool:
        """Whether it is over, or about to be."""
        ...

    def start(self) -> None:
        """Begin: send the first message, take events."""
        ...

    def ring(self, status: int = 180, reason: str | None = None, *, sdp: str | None = None) -> None:
        """Tell a peer that waits for our answer how far we are; with SDP, early media."""
        ...

    def answer(self, sdp: str) -> bool:
        """Answer a peer that waits for it. False where it is too late, or where none does."""
        ...

    def reject(self, status: int, reason: str | None = None, headers: Headers = ()) -> str:
        """Refuse a peer that waits for our answer, with a final status of 300 or above.

        A leg that we placed is given up. Returns the reason phrase.
        """
        ...

    def hangup(self, headers: Headers = ()) -> None:
        """End the leg, whatever its state."""
        ...

    def reoffer(self, sdp: str) -> bool:
        """Offer a new session; its outcome comes as `OfferEnded`. False if an offer is open."""
        ...

    def accept(self, sdp: str) -> bool:
        """Answer the peer's open `Offer`; False where it was refused or withdrawn meanwhile."""
        ...

    def refer(
        self, refer_to: str, *, referred_by: str | None, headers: Headers, wait_s: float
    ) -> bool:
        """Ask the peer to call somebody else, by REFER; what becomes of it comes as `ReferNews`.

        `refer_to` and `referred_by` are URIs, or addresses as a header has them; `headers` go into
        the REFER; `wait_s` seconds after it has accepted, the outcome is unknown. False where the
        peer cannot be asked: it is not up, speaks no SIP, or was asked before and is not done.
        Raises ValueError for a value that no header can hold.
        """
        ...

    def send(
        self,
        method: str,
        *,
        body: Body | None,
        headers: Headers,
        told: Callable[[int | None], None],
    ) -> bool:
        """Send the peer a request that leaves the session as it is, such as INFO or MESSAGE.

        `told` gets its final status, None if none came. False where the peer cannot be sent any: it
        is not up, or speaks no SIP.
        """
        ...

    @property
    def keys(self) -> "KeyLine":
        """Its peer's keys, as far as they cross by signalling."""
        ...

    def refuse(self, status: int) -> None:
        """Refuse the peer's open `Offer`; the session stays as it was (RFC 3261 14.2)."""
        ...


class KeyLine(Protocol):
    """In which form a leg's peer has keys (DTMF), and the way there by signalling."""

    @property
    def wish(self) -> KeyForm:
        """The form that its trunk wants."""
        ...

    @property
    def form(self) -> KeyForm:
        """The form itself, as far as the peer has described itself."""
        ...

    def press(self, key: str, duration_ms: int) -> bool:
        """Send the peer a key by signalling, after those before it; false where that cannot be."""
        ...


OnEvent = Callable[[Leg, Event], None]
MakeLeg = Callable[[OnEvent], Leg]


def unheard(_: Leg, __: Event) -> None:
    """Default for `on_event` of a leg that has ended."""
