"""Requests of ours in a dialog: their way, their challenges, the ACKs to their 2xx."""

import asyncio
from collections.abc import Callable, Sequence

import structlog

from sip.core.body import SDP, Body
from sip.core.dialog import Dialog
from sip.core.digest_client import Proofs, Tried
from sip.core.message import Request, Response
from sip.core.uri import Uri
from sip.transport.address import is_address, is_private
from sip.transport.endpoint import Flow
from sip.transport.servers.resolver import ResolveError
from sip.ua.refusals import ALLOW
from sip.ua.user_agent import UserAgent

log = structlog.get_logger(__name__)

#: Requests that refresh the target of the dialog (RFC 3261 12.2, RFC 3311 5.1).
REFRESHING = frozenset({"INVITE", "UPDATE"})
#: Further ones that have a Contact (RFC 3515 2.1, RFC 6665 8.2).
_WITH_CONTACT = REFRESHING | {"REFER", "NOTIFY"}


class DialogClient:
    """The UAC half of a dialog (RFC 3261 12.2.1, 13.2.2.4, 22)."""

    def __init__(
        self,
        ua: UserAgent,
        dialog: Dialog,
        flow: Flow,
        proofs: Proofs | None,
        *,
        advertise: str = "auto",
        domain: str | None = None,
        supported: str = "",
        allow: str = ALLOW,
        symmetric: bool = False,
        secure: bool = False,
    ) -> None:
        """`flow` is the way that the dialog came up on; `symmetric` keeps to it. `proofs` is what
        its call has been challenged for.

        `advertise` is the policy for our address, `domain` stands in its place in Via and Contact,
        `supported` and `allow` are our headers of that name. `secure`: our Contact is a sips URI.
        """
        self.dialog = dialog
        self._ua = ua
        self._flow = flow
        self._proofs = proofs
        self._advertise = advertise
        self._domain = domain
        self._supported = supported
        self._allow = allow
        self._symmetric = symmetric
        self._secure = secure
        self._acks: dict[int, tuple[bytes, Flow]] = {}
        self._lookups: set[asyncio.Task[None]] = set()

    def beside(self, dialog: Dialog) -> "DialogClient":
        """The same in another dialog, that another fork of the same INVITE made."""
        return DialogClient(
            self._ua,
            dialog,
            self._flow,
            self._proofs,
            advertise=self._advertise,
            domain=self._domain,
            supported=self._supported,
            allow=self._allow,
            symmetric=self._symmetric,
            secure=self._secure,
        )

    def request(
        self,
        method: str,
        *,
        headers: Sequence[tuple[str, str]] = (),
        sdp: str | None = None,
        body: Body | None = None,
        on_end: Callable[[Response | None], None],
        tried: Tried | None = None,
    ) -> None:
        """Send a request; `on_end` gets its final response, or None if none came.

        A challenge is answered, unless the same was `tried` before. The 2xx to a re-INVITE is
        acknowledged here.
        """
        asked = Tried() if tried is None else tried
        request = self.dialog.request(method, headers=headers)
        if sdp is not None:
            body = Body(SDP, sdp.encode())
        if body is not None:
            request.headers.add("content-type", body.content_type)
            request.body = body.content

        ours = False

        def on_response(response: Response) -> None:
            if response.status < 200:
                return
            if method in REFRESHING and response.status < 300:
                if method == "INVITE" and self.resend_ack(request.cseq.number):
                    return
                self.dialog.refresh_target(response)
                if method == "INVITE":
                    self.ack(request, lambda: on_end(None))
            if ours and self._proofs is not None and self._proofs.learn(response, asked):
                self.request(method, headers=headers, body=body, on_end=on_end, tried=asked)
            else:
                on_end(response)

        def send(flow: Flow) -> None:
            # Where a Contact leads is the peer's word: our digest goes to the peer itself only.
            nonlocal ours
            ours = flow.remote.host == self._flow.remote.host
            if self._proofs is not None and ours:
                proofs = self._proofs.headers(
                    method, request.uri, self._ua.ids.cnonce, request.body
                )
                for name, value in proofs:
                    request.headers.add(name, value)
            host = self._host(flow)
            if method in _WITH_CONTACT:
                request.headers.add("contact", self._ua.contact(flow, host, secure=self._secure))
            if method in REFRESHING:
                request.headers.add("allow", self._allow)
                request.headers.add("supported", self._supported)
            self._ua.send(
                request,
                flow,
                on_response,
                lambda _: on_end(None),
                host=host,
                elsewhere=self._next_hop_now,
            )

        self._find_way(send, lambda: on_end(None))

    def ack(self, invite: Request, on_lost: Callable[[], None]) -> None:
        """Acknowledge the 2xx to `invite` (RFC 3261 13.2.2.4); kept for its retransmissions."""
        cseq = invite.cseq.number
        ack = self.dialog.request("ACK", cseq=cseq)
        for name in ("authorization", "proxy-authorization"):  # RFC 3261 22.1
            for value in invite.headers.get_all(name):
                ack.headers.add(name, value)

        def send(flow: Flow) -> None:
            data = self._ua.send_ack(ack, flow, host=self._host(flow))
            self._acks[cseq] = data, flow
            if len(self._acks) > 2:  # the one before may still be asked for again, older ones not
                del self._acks[next(iter(self._acks))]

        self._find_way(send, on_lost)

    def resend_ack(self, cseq: int) -> bool:
        """The 2xx came again, so our ACK was lost. False if none was sent yet."""
        if cseq not in self._acks:
            return False
        self._ua.resend_ack(*self._acks[cseq])
        return True

    def close(self) -> None:
        """Stop looking up names."""
        for task in self._lookups:
            task.cancel()

    def _host(self, flow: Flow) -> str:
        return self._domain or self._ua.host(flow, self._advertise)

    @property
    def _behind_nat(self) -> bool:
        """Whether the peer's Contact is an address that it has behind a NAT, and we see another."""
        if self.dialog.routes or self._flow.reliable:
            return False
        host = Uri.parse(self.dialog.target).host
        return is_address(host) and is_private(host) and not is_private(self._flow.remote.host)

    def _next_hop_now(self) -> Flow | None:
        """The way by the route or Contact alone, where no name must be looked up.

        None to another host, where our digests may be in the request (see `request`).
        """
        try:
            flow = self._ua.flow_now(self.dialog.next_hop())
        except (ResolveError, OSError):
            return None
        elsewhere = flow is not None and flow.remote.host != self._flow.remote.host
        return None if elsewhere and self._proofs is not None else flow

    def _find_way(self, send: Callable[[Flow], None], lost: Callable[[], None]) -> None:
        """Call `send` with the way to the dialog's next hop, or `lost` where there is none.

        The connection that the dialog came up on is used while it lives: a peer behind NAT or a
        TCP client cannot be reached otherwise. Over UDP the next hop is the route's or Contact's,
        unless that is a NATed peer's own address. Of a name with several servers it is the one
        that has the dialog already. Where it leads nowhere, such as to a name of the peer's own
        network, requests go where those of the peer come from.
        """
        usable = not (self._flow.closed or self._flow.deaf)
        if usable and (self._flow.reliable or self._symmetric or self._behind_nat):
            send(self._flow)
            return
        uri = self.dialog.next_hop()

        def nowhere(error: Exception) -> None:
            way = self._flow if usable else self._ua.flow_anew(self._flow)
            if way is None:
                lost()
                return
            self._symmetric = True  # so that later requests need not wait to hear the same
            peer, sip_call_id = str(way.remote), self.dialog.sip_call_id
            log.warning(
                "contact.unreachable", sip_call_id=sip_call_id, peer=peer, reason=str(error)
            )
            send(way)

        try:
            flow = self._ua.flow_now(uri, self._flow)
        except (ResolveError, OSError) as error:
            nowhere(error)
            return
        if flow is not None:
            send(flow)
            return

        async def look_up() -> None:
            try:
                found = await self._ua.flow_to(uri, self._flow)
            except (ResolveError, OSError) as error:
                nowhere(error)
            else:
                send(found)

        task = asyncio.get_running_loop().create_task(look_up())
        self._lookups.add(task)
        task.add_done_callback(self._lookups.discard)
