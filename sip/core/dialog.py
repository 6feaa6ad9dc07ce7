"""Dialogs: RFC 3261 12. Plain data plus the rules for building and checking in-dialog requests."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto

from sip.core.header_values import NameAddr, first_item, parse_name_addr
from sip.core.message import Headers, Request, Response
from sip.core.uri import Uri
from sip.errors import ParseError


def is_secure(request: Request) -> bool:
    """Whether the Contacts of its dialog must be sips URIs: of an INVITE that we send, RFC 3261
    8.1.1.8, or take, 12.1.1."""
    if request.uri[:5].lower() == "sips:":
        return True
    route = request.headers.get("route") or request.headers.get("record-route")
    try:
        if route:
            return parse_name_addr(first_item(route)).uri.scheme == "sips"
        target = request.target
    except ParseError:  # of a Route that was meant for others
        return False
    return target is not None and target[1].scheme == "sips"


class Order(Enum):
    """What a CSeq says of an in-dialog request (RFC 3261 12.2.2)."""

    NEW = auto()
    OLD = auto()


@dataclass(slots=True)
class Dialog:
    """One dialog, early or confirmed, from our side.

    `local` and `remote` are the From and To values with their tags; `routes` holds the route set
    as raw Route values, first hop first; `target` is the peer's Contact, its remote target.
    """

    sip_call_id: str
    local: NameAddr
    remote: NameAddr
    target: str
    routes: tuple[str, ...] = ()
    local_cseq: int = 0
    remote_cseq: int | None = None
    confirmed: bool = False

    @classmethod
    def as_uas(cls, request: Request, local_tag: str) -> "Dialog":
        """The dialog that our response with `local_tag` to `request` makes (RFC 3261 12.1.1)."""
        target = request.target
        return cls(
            sip_call_id=request.call_id,
            local=request.to.with_param("tag", local_tag),
            remote=request.from_,
            target=request.from_.uri.text if target is None else target[0],
            routes=tuple(request.headers.values("record-route")),
            remote_cseq=request.cseq.number,
        )

    @classmethod
    def as_uac(cls, request: Request, response: Response) -> "Dialog":
        """The dialog that `response` to our `request` makes (RFC 3261 12.1.2)."""
        dialog = cls(
            sip_call_id=request.call_id,
            local=request.from_,
            remote=request.to,
            target=request.uri,
            local_cseq=request.cseq.number,
        )
        dialog.learn(response)
        return dialog

    @property
    def local_tag(self) -> str:
        return self.local.tag or ""

    @property
    def remote_tag(self) -> str:
        return self.remote.tag or ""

    def learn(self, response: Response) -> None:
        """Take route set, tag and target from a response to our INVITE.

        RFC 3261 13.2.2.4: the 2xx recomputes the route set of an early dialog. What cannot be read
        is passed over: the way that the response came by remains, and a 2xx is to be acknowledged.
        """
        self.remote = self._remote(response)
        routes = _route_set(response)
        if routes or response.status >= 200:
            self.routes = routes
        self.refresh_target(response)
        if 200 <= response.status < 300:
            self.confirmed = True

    def _remote(self, response: Response) -> NameAddr:
        try:
            return response.to
        except ParseError:
            tag = response.to_tag
            return self.remote if tag is None else self.remote.with_param("tag", tag)

    def refresh_target(self, message: Request | Response) -> None:
        """RFC 3261 12.2: (re-)INVITE and its 2xx may move the remote target.

        One that cannot be read, or that no request can be sent to, moves nothing.
        """
        with suppress(ParseError):
            target = message.target
            if target is not None and target[1].scheme in ("sip", "sips"):
                self.target = target[0]

    def receive(self, request: Request) -> Order:
        """Check and remember the CSeq of a request in this dialog (ACK and CANCEL excepted)."""
        number = request.cseq.number
        if self.remote_cseq is not None and number < self.remote_cseq:
            return Order.OLD
        self.remote_cseq = number
        return Order.NEW

    def request(
        self, method: str, *, cseq: int | None = None, headers: Sequence[tuple[str, str]] = ()
    ) -> Request:
        """A request in this dialog (RFC 3261 12.2.1.1), complete but for Via and Contact.

        `cseq` repeats a number: an ACK takes that of its INVITE.
        """
        if cseq is None:
            self.local_cseq += 1
            cseq = self.local_cseq
        uri, routes = self._addressing()
        lines = (
            *[("route", route) for route in routes],
            ("max-forwards", "70"),
            ("from", self.local.text),
            ("to", self.remote.text),
            ("call-id", self.sip_call_id),
            ("cseq", f"{cseq} {method}"),
            *headers,
        )
        return Request(method, uri, Headers(lines))

    def next_hop(self) -> Uri:
        """Where a request in this dialog goes: the first route, else the remote target."""
        if self.routes:
            return parse_name_addr(first_item(self.routes[0])).uri
        return Uri.parse(self.target)

    def _addressing(self) -> tuple[str, tuple[str, ...]]:
        if not self.routes or self.next_hop().has_param("lr"):
            return self.target, self.routes
        # RFC 3261 12.2.1.1: a strict router takes the Request-URI, our target goes last
        return str(self.next_hop()), (*self.routes[1:], f"<{self.target}>")


def _route_set(response: Response) -> tuple[str, ...]:
    """RFC 3261 12.1.2: its Record-Route backwards; none where the first hop cannot be read."""
    try:
        routes = tuple(reversed(response.headers.values("record-route")))
        if routes:
            parse_name_addr(routes[0])
    except ParseError:
        return ()
    return routes
