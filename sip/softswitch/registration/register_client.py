"""REGISTER of ours on the wire: to which server, with which digest, and what its response means."""

import asyncio
from collections.abc import Callable

from sip.core.digest_client import Tried
from sip.core.header_values import NameAddr, parse_name_addrs
from sip.core.message import Headers, Request, Response
from sip.core.registration import (
    News,
    RegisterReply,
    granted_s,
    judge,
    longer_expiry_s,
    retry_after_s,
)
from sip.core.uri import Uri
from sip.errors import ParseError
from sip.softswitch.registration.account import Account
from sip.softswitch.registration.journal import Journal
from sip.softswitch.registration.refusal import shown, why_refused
from sip.softswitch.registration.registrar_servers import RegistrarServers
from sip.transport.endpoint import Flow
from sip.transport.servers.resolver import ResolveError
from sip.ua.refusals import ALLOW
from sip.ua.transaction import Failure
from sip.ua.user_agent import UserAgent

#: What came of a REGISTER: for the machine, the status (None for no response), and what is wrong in
#: a sentence (None where nothing is, or where the request is only to be sent again).
OnOutcome = Callable[[News, int | None, str | None], None]


class RegisterClient:
    """Asks the registrar of one account, one request at a time."""

    def __init__(
        self, ua: UserAgent, account: Account, journal: Journal, on_outcome: OnOutcome
    ) -> None:
        self.servers = RegistrarServers(ua.resolver, account.registrar, account.proxy)
        #: the way of the last request, None before the first
        self.flow: Flow | None = None
        #: our Contact in the last request, and the address that the registrar saw (RFC 3581)
        self.contact: Uri | None = None
        self.seen_as: str | None = None
        #: seconds that the last request asked for (0: the binding's end), and that were granted
        self.asked_s = account.expires_s
        self.granted_s = 0
        #: what the registrar's last 503 asked for, until the request is begun afresh
        self.retry_after_s: float | None = None
        #: RFC 3608: the Route that requests through this registration are to take
        self.service_route: tuple[str, ...] = ()
        #: the Contact that the registrar has
        self._bound: Uri | None = None
        self._ua = ua
        self._account = account
        self._journal = journal
        self._on_outcome = on_outcome
        self._expires_s = account.expires_s
        self._sip_call_id = ua.ids.sip_call_id()
        self._tag = ua.ids.tag()
        self._cseq = ua.ids.cseq()
        self._proofs = account.credentials.proofs() if account.credentials else None
        self._tried = Tried()
        self._sending: asyncio.Task[None] | None = None

    def use(self, account: Account) -> None:
        """Ask with other credentials, or for another time, for the same binding."""
        self._account = account
        self._expires_s = account.expires_s
        self._proofs = account.credentials.proofs() if account.credentials else None

    def begin(self) -> None:
        """Start afresh: look the registrar up again, forget challenges and redirections."""
        self._forget_challenges()
        self.servers.begin()
        self.asked_s = self._expires_s
        self.retry_after_s = None

    def begin_removal(self) -> None:
        """From now on ask for the binding's end (RFC 3261 10.2.2)."""
        self._forget_challenges()
        self.asked_s = 0

    def send(self) -> None:
        """Send REGISTER as things stand."""
        self._sending = asyncio.get_running_loop().create_task(self._ask())
        self._sending.add_done_callback(self._asked)

    def stop(self) -> None:
        """Give up what is being looked up; a late response is ignored once the next is sent."""
        if self._sending is not None and self._sending is not asyncio.current_task():
            self._sending.cancel()

    def _forget_challenges(self) -> None:
        self._tried.clear()
        if self._proofs is not None:
            self._proofs.forget()

    def _asked(self, task: asyncio.Task[None]) -> None:
        """An error of our own: say so, and try again."""
        if not task.cancelled() and task.exception() is not None:
            self._journal.broke(task.exception())
            self._failed(None, "an error in the gateway itself; its log has the details")

    async def _ask(self) -> None:
        """Send REGISTER to the first target that is left."""
        try:
            self.flow = flow = self._ua.flow_at(await self.servers.next())
            request = self._request(flow)
        except (ResolveError, OSError) as error:
            self._failed(None, str(error))
            return
        cseq = self._cseq
        self._ua.send(
            request,
            flow,
            lambda response: self._on_response(cseq, response),
            lambda failure: self._on_failure(cseq, failure),
        )

    def _request(self, flow: Flow) -> Request:
        account = self._account
        self._cseq += 1
        self.contact = account.contact(flow, self._ua.advertiser)
        contact = NameAddr(None, self.contact)
        uri = str(self.servers.registrar)
        fields = Headers()
        if self.servers.proxy is not None:
            fields.add("route", f"<{self.servers.proxy.with_param('lr')}>")
        fields.add("max-forwards", "70")
        fields.add("from", f"<{account.aor}>;tag={self._tag}")
        fields.add("to", f"<{account.aor}>")
        fields.add("call-id", self._sip_call_id)
        fields.add("cseq", f"{self._cseq} REGISTER")
        fields.add("contact", str(contact.with_param("expires", str(self.asked_s))))
        before = self._bound
        if before is not None and before.host != self.contact.host:
            # where we were: calls would go there until it expires (RFC 3261 10.2.2)
            fields.add("contact", str(NameAddr(None, before).with_param("expires", "0")))
        fields.add("expires", str(self.asked_s))
        fields.add("supported", "path")
        fields.add("allow", ALLOW)
        if self._proofs is not None:
            for name, value in self._proofs.headers("REGISTER", uri, self._ua.ids.cnonce):
                fields.add(name, value)
        return Request("REGISTER", uri, fields)

    # responses

    def _on_response(self, cseq: int, response: Response) -> None:
        if cseq != self._cseq or response.status < 200:
            return
        match judge(response.status):
            case RegisterReply.GRANTED:
                self._on_granted(response)
            case RegisterReply.CHALLENGED:
                if self._proofs is not None and self._proofs.learn(response, self._tried):
                    self._on_outcome(News.ADJUSTED, response.status, None)
                else:
                    self._refused(response)
            case RegisterReply.TOO_BRIEF:
                longer = longer_expiry_s(response, self.asked_s)
                if longer is None or not self.asked_s:
                    self._refused(response)
                else:
                    self._expires_s = self.asked_s = longer
                    self._tried.clear()
                    self._on_outcome(News.ADJUSTED, response.status, None)
            case RegisterReply.REDIRECTED:
                if self.servers.redirect(response):
                    self._forget_challenges()
                    self._on_outcome(News.ADJUSTED, response.status, None)
                else:
                    self._refused(response)
            case RegisterReply.UNAVAILABLE:
                self.retry_after_s = retry_after_s(response)
                self._failed(response.status, f"{self._where} says {shown(response)}")
            case RegisterReply.REFUSED:
                self._refused(response)

    def _on_granted(self, response: Response) -> None:
        if self.contact is None or self.flow is None:
            return
        if self.asked_s:
            granted = granted_s(response, self.contact, self.asked_s)
            if not granted:
                self._failed(response.status, f"{self._where} said yes and granted no time at all")
                return
            self.granted_s = granted
            self.seen_as = response.via.received
            self.service_route = tuple(_routes(response))
            self.servers.succeeded(self.flow.remote)
        self._bound = self.contact if self.asked_s else None
        self._on_outcome(News.GRANTED, response.status, None)

    def _on_failure(self, cseq: int, failure: Failure) -> None:
        if cseq != self._cseq:
            return
        if failure is Failure.TIMEOUT:
            why = f"{self._where} does not answer: it is down, or a firewall is in between"
        else:
            lost = self.flow.error if self.flow is not None else None
            why = lost or f"{self._where} cannot be reached"
        self._failed(None, why)

    def _failed(self, status: int | None, why: str) -> None:
        """This server could not do it: the next one, if there is one."""
        if self.servers.failed(self.retry_after_s):
            self._forget_challenges()
            self._on_outcome(News.NEXT_TARGET, status, why)
        else:
            self._on_outcome(News.EXHAUSTED, status, why)

    def _refused(self, response: Response) -> None:
        why = why_refused(response, self._account, self._where, self._proofs)
        self._on_outcome(News.REFUSED, response.status, why)

    @property
    def _where(self) -> str:
        """The registrar as it was reached, for a sentence."""
        at = f" ({self.flow.remote})" if self.flow is not None else ""
        return f"{(self.servers.proxy or self.servers.registrar).hostport}{at}"


def _routes(response: Response) -> list[str]:
    """RFC 3608 6: the Service-Route, in order; none of it if it cannot be read."""
    try:
        routes = response.headers.values("service-route")
        parse_name_addrs(routes)
    except ParseError:
        return []
    return routes
