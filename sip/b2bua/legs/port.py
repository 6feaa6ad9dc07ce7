"""What a negotiation, and a REFER, ask of the dialog that they are held in."""

from collections.abc import Callable, Sequence
from typing import Protocol

from sip.b2bua.call_events import Cause, Event, Headers, Side
from sip.b2bua.legs.options import LegOptions
from sip.core.body import Body
from sip.core.message import Request, Response
from sip.transport.endpoint import Flow
from sip.ua.server_transaction import ServerTransaction
from sip.ua.user_agent import UserAgent


class Port(Protocol):
    """A dialog, as far as offers and answers are concerned."""

    @property
    def up(self) -> bool:
        """Answered, by either side."""
        ...

    @property
    def confirmed(self) -> bool:
        """Answered and acknowledged: both sides may send requests."""
        ...

    @property
    def unconfirmed(self) -> bool:
        """A 2xx of ours waits for its ACK: RFC 3261 14.1 allows no INVITE of ours before that."""
        ...

    def emit(self, event: Event) -> None:
        """Tell the call."""
        ...

    def request(
        self,
        method: str,
        *,
        sdp: str | None = None,
        headers: Headers = (),
        on_end: Callable[[Response | None], None],
    ) -> None:
        """Send a request in the dialog; `on_end` gets its final response, None without one."""
        ...

    def answer_2xx(
        self, transaction: ServerTransaction, sdp: str | None, *, headers: Headers = ()
    ) -> None:
        """Send 200 to an INVITE and repeat it until the ACK comes."""
        ...

    def response_headers(self, flow: Flow) -> Headers:
        """Contact, Allow and Supported of a response."""
        ...

    def explained(
        self, request: Request, status: int, headers: Sequence[tuple[str, str]]
    ) -> Sequence[tuple[str, str]]:
        """`headers` of a refusal, with a Warning where the offer is to blame."""
        ...

    def refresh_target(self, request: Request) -> None:
        """The peer's Contact may have moved (RFC 3261 12.2.2)."""
        ...

    def give_up(self, by: Side, cause: Cause, headers: Headers = ()) -> None:
        """The dialog cannot go on: hang up with `headers`, tell the call."""
        ...


class ReferPort(Protocol):
    """A dialog, as far as REFERs in it are concerned."""

    @property
    def ua(self) -> UserAgent: ...

    @property
    def sip_call_id(self) -> str: ...

    @property
    def options(self) -> LegOptions: ...

    @property
    def up(self) -> bool:
        """Answered, by either side."""
        ...

    @property
    def confirmed(self) -> bool:
        """Answered and acknowledged: both sides may send requests."""
        ...

    @property
    def gone(self) -> bool:
        """Whether it is over, or about to be."""
        ...

    @property
    def next_cseq(self) -> int:
        """The CSeq of the next request of ours in it."""
        ...

    def emit(self, event: Event) -> None:
        """Tell the call."""
        ...

    def request(
        self,
        method: str,
        *,
        body: Body | None = None,
        headers: Headers = (),
        on_end: Callable[[Response | None], None],
    ) -> None:
        """Send a request in the dialog; `on_end` gets its final response, None without one."""
        ...

    def response_headers(self, flow: Flow) -> Headers:
        """Contact, Allow and Supported of a response."""
        ...

    def start_timer(self, name: str, delay_s: float, callback: Callable[[], None]) -> None:
        """Call `callback` after `delay_s`, unless the dialog ends before."""
        ...

    def stop_timer(self, name: str) -> None:
        """Forget that timer, if it runs."""
        ...


class _NoDialog:
    """The port of a negotiation whose dialog is over: nothing can be said any more."""

    up = confirmed = unconfirmed = False

    def emit(self, event: Event) -> None:
        return None

    def request(
        self,
        method: str,
        *,
        sdp: str | None = None,
        headers: Headers = (),
        on_end: Callable[[Response | None], None],
    ) -> None:
        return None

    def answer_2xx(
        self, transaction: ServerTransaction, sdp: str | None, *, headers: Headers = ()
    ) -> None:
        return None

    def response_headers(self, flow: Flow) -> Headers:
        return ()

    def explained(
        self, request: Request, status: int, headers: Sequence[tuple[str, str]]
    ) -> Sequence[tuple[str, str]]:
        return headers

    def refresh_target(self, request: Request) -> None:
        return None

    def give_up(self, by: Side, cause: Cause, headers: Headers = ()) -> None:
        return None


NO_DIALOG = _NoDialog()
