"""One registration of ours, with a carrier or PBX that wants REGISTER from us (RFC 3261 10.2).

What happens next is decided by the table in `sip.core.registration`; here it is carried out:
the registrar is looked up, asked, kept awake through NAT, and the operator is told of changes.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from sip.clock import Timer
from sip.core.digest_client import Proofs
from sip.core.header_values import NameAddr, parse_name_addrs
from sip.core.message import Headers, Request, Response
from sip.core.registration import (
    SLOW_RETRY_S,
    STABLE_S,
    Duty,
    News,
    RegisterReply,
    RegistrationMachine,
    Stage,
    back_off_s,
    granted_s,
    judge,
    longer_expiry_s,
    refresh_after_s,
    retry_after_s,
)
from sip.core.uri import Uri
from sip.errors import ParseError
from sip.softswitch.registration.account import Account
from sip.softswitch.registration.journal import Journal
from sip.softswitch.registration.refusal import shown, why_refused
from sip.softswitch.registration.registrar_servers import Way
from sip.transport.address import is_address
from sip.transport.endpoint import Endpoint, Flow
from sip.transport.servers.resolver import ResolveError
from sip.ua.refusals import ALLOW
from sip.ua.transactions import Failure
from sip.ua.user_agent import UserAgent

#: RFC 5626 4.4.1 keeps connections alive with it; over UDP it holds a NAT's mapping open.
KEEPALIVE = b"\r\n\r\n"
#: A refresh in between does not make a registration younger.
_HELD = frozenset({Stage.REGISTERED, Stage.REFRESHING})
#: How long the operator's `refresh now` waits for its outcome, in seconds.
REFRESH_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationView:
    """What the operator sees of one registration. Times are seconds since 1970.

    `state` is a `Stage`'s value, `since` when it came about (refreshes aside), `expires_at` until
    when the registrar's word holds (None without one), `last_error` a sentence on the last failure
    that still matters.
    """

    trunk: str
    registrar: str
    aor: str
    state: str
    since: float
    expires_at: float | None
    last_status: int | None
    last_error: str | None


class Registration:
    """Keeps one account registered from `start` to `close`."""

    def __init__(self, ua: UserAgent, account: Account, keepalive_s: float | None) -> None:
        self.account = account
        self._ua = ua
        self._keepalive_s = keepalive_s
        self._journal = Journal(account)
        self._machine = RegistrationMachine()
        self._since, self._since_epoch = ua.clock.now(), ua.clock.epoch()
        self._sip_call_id = ua.ids.sip_call_id()
        self._tag = ua.ids.tag()
        self._cseq = ua.ids.cseq()
        ours = account.credentials
        self._proofs = Proofs(ours.username, ours.password, ours.realm) if ours else None
        self._way = Way(ua.resolver, account.registrar, account.proxy)
        self._expires_s = account.expires_s
        self._asked_s = account.expires_s
        self._flow: Flow | None = None
        self._contact: Uri | None = None
        self._failures = 0
        self._retry_after_s: float | None = None
        self._granted_s = 0
        self._expires_at = float("-inf")
        self._last_status: int | None = None
        self._last_error: str | None = None
        self._timer: Timer | None = None
        self._keepalive: Timer | None = None
        self._sending: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()
        self._finished = asyncio.Event()
        #: RFC 3608: the Route that requests through this registration are to take
        self.service_route: tuple[str, ...] = ()

    # what others see

    @property
    def holds(self) -> bool:
        """Whether a binding of ours stands, by the registrar's word."""
        return self._ua.clock.now() < self._expires_at

    @property
    def state(self) -> RegistrationView:
        now, epoch = self._ua.clock.now(), self._ua.clock.epoch()
        return RegistrationView(
            trunk=self.account.trunk,
            registrar=str(self._way.registrar),
            aor=str(self.account.aor),
            state=self._machine.state.value,
            since=self._since_epoch,
            expires_at=epoch + self._expires_at - now if self.holds else None,
            last_status=self._last_status,
            last_error=self._last_error,
        )

    def is_server(self, source: Endpoint) -> bool:
        """Whether this is the very address, port and transport of one of the registrar's servers,
        which holds a binding of ours."""
        return self.holds and source in self._way.servers

    def is_host(self, source: Endpoint) -> bool:
        """Whether one of them has at least that address."""
        return self.holds and any(source.host == server.host for server in self._way.servers)

    # what others do

    def start(self) -> None:
        """Register, and stay registered."""
        self._step(News.GO)

    async def refresh(self) -> RegistrationView:
        """Ask the registrar now, whatever is planned, and tell what came of it."""
        if self._finished.is_set() or self._machine.state is Stage.REMOVING:
            return self.state
        self._settled.clear()
        self._refresh()
        try:
            async with asyncio.timeout(REFRESH_TIMEOUT_S):
                await self._settled.wait()
        except TimeoutError:
            pass  # the state says that it is still being asked
        return self.state

    def flow_lost(self, flow: Flow) -> None:
        """A connection ended; if it is the one that we registered over, register again."""
        if flow is not self._flow or not flow.reliable:
            return
        stable = self._ua.clock.now() - self._since >= STABLE_S
        if self._machine.state is Stage.REGISTERED:
            self._fail(None, flow.error or f"the connection to {flow.remote} ended")
        self._failures = 0 if stable else self._failures + 1
        self._step(News.FLOW_LOST if stable else News.FLOW_UNSTABLE)

    async def close(self, timeout_s: float) -> None:
        """Take the binding back (RFC 3261 10.2.2); not waiting for the answer any longer."""
        self._step(News.CLOSE)
        try:
            async with asyncio.timeout(timeout_s):
                await self._finished.wait()
        except TimeoutError:
            pass  # it expires by itself
        self._stop()

    # the machine

    def _step(self, event: News) -> None:
        before = self._machine.state
        actions = self._machine.step(event)
        if self._machine.state is not before and not {before, self._machine.state} <= _HELD:
            self._since, self._since_epoch = self._ua.clock.now(), self._ua.clock.epoch()
        for action in actions:
            self._do(action)

    def _do(self, action: Duty) -> None:
        match action:
            case Duty.BEGIN:
                self._begin()
            case Duty.SEND:
                self._send()
            case Duty.HOLD:
                self._hold()
            case Duty.BACK_OFF:
                self._wait(self._pause_s())
            case Duty.SLOW_RETRY:
                self._wait(self._ua.ids.backoff_s(0.9 * SLOW_RETRY_S, 1.1 * SLOW_RETRY_S))
            case Duty.REMOVE:
                self._stop()
                self._forget_challenges()
                self._asked_s = 0
            case Duty.FINISH:
                self._finish()

    def _begin(self) -> None:
        self._stop()
        self._forget_challenges()
        self._way.begin()
        self._asked_s = self._expires_s
        self._retry_after_s = None

    def _forget_challenges(self) -> None:
        if self._proofs is not None:
            self._proofs.forget()

    def _hold(self) -> None:
        self._at(refresh_after_s(self._granted_s), self._refresh)
        flow = self._flow
        if flow is not None and not flow.reliable and self._keepalive_s is not None:
            self._keep_awake(flow, self._keepalive_s)
        self._settled.set()

    def _refresh(self) -> None:
        self._failures = 0
        self._step(News.GO)

    def _keep_awake(self, flow: Flow, interval_s: float) -> None:
        def ping() -> None:
            flow.send(KEEPALIVE)
            self._keep_awake(flow, interval_s)

        self._keepalive = self._ua.clock.call_later(interval_s, ping)

    def _pause_s(self) -> float:
        shortest, longest = back_off_s(max(self._failures, 1))
        return max(self._ua.ids.backoff_s(shortest, longest), self._retry_after_s or 0.0)

    def _wait(self, seconds: float) -> None:
        self._stop()
        self._at(seconds, self._step, News.GO)
        self._journal.failed(self._last_status, self._last_error, seconds)
        self._settled.set()

    def _at(self, seconds: float, callback: Callable[..., None], *args: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._ua.clock.call_later(seconds, callback, *args)

    def _stop(self) -> None:
        for timer in (self._timer, self._keepalive):
            if timer is not None:
                timer.cancel()
        self._timer = self._keepalive = None
        if self._sending is not None and self._sending is not asyncio.current_task():
            self._sending.cancel()

    def _finish(self) -> None:
        if self._last_status is not None and self._last_status < 300 and self._asked_s == 0:
            self._journal.removed()
        self._expires_at = float("-inf")
        self._settled.set()
        self._finished.set()

    # asking

    def _send(self) -> None:
        self._sending = asyncio.get_running_loop().create_task(self._ask())
        self._sending.add_done_callback(self._asked)

    def _asked(self, task: asyncio.Task[None]) -> None:
        """An error of our own must not leave the trunk unregistered in silence."""
        if not task.cancelled() and task.exception() is not None:
            self._journal.broke(task.exception())
            self._failed(None, "an error in the gateway itself; its log has the details")

    async def _ask(self) -> None:
        """Send REGISTER to the first target that is left."""
        try:
            self._flow = flow = self._ua.flow_at(await self._way.next())
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
        account = self.account
        self._cseq += 1
        self._contact = account.contact(flow, self._ua.advertiser)
        contact = NameAddr(None, self._contact)
        uri = str(self._way.registrar)
        fields = Headers()
        if self._way.proxy is not None:
            fields.add("route", f"<{self._way.proxy.with_param('lr')}>")
        fields.add("max-forwards", "70")
        fields.add("from", f"<{account.aor}>;tag={self._tag}")
        fields.add("to", f"<{account.aor}>")
        fields.add("call-id", self._sip_call_id)
        fields.add("cseq", f"{self._cseq} REGISTER")
        fields.add("contact", str(contact.with_param("expires", str(self._asked_s))))
        fields.add("expires", str(self._asked_s))
        fields.add("supported", "path")
        fields.add("allow", ALLOW)
        if self._proofs is not None:
            for name, value in self._proofs.headers("REGISTER", uri, self._ua.ids.cnonce):
                fields.add(name, value)
        return Request("REGISTER", uri, fields)

    # answers

    def _on_response(self, cseq: int, response: Response) -> None:
        if cseq != self._cseq or response.status < 200:
            return
        self._last_status = response.status
        match judge(response.status):
            case RegisterReply.GRANTED:
                self._on_granted(response)
            case RegisterReply.CHALLENGED:
                if self._proofs is not None and self._proofs.learn(response):
                    self._step(News.ADJUSTED)
                else:
                    self._refused(response)
            case RegisterReply.TOO_BRIEF:
                longer = longer_expiry_s(response, self._asked_s)
                if longer is None or not self._asked_s:
                    self._refused(response)
                else:
                    self._expires_s = self._asked_s = longer
                    self._step(News.ADJUSTED)
            case RegisterReply.REDIRECTED:
                self._on_redirect(response)
            case RegisterReply.UNAVAILABLE:
                self._retry_after_s = retry_after_s(response)
                self._failed(response.status, f"{self._where} says {shown(response)}")
            case RegisterReply.REFUSED:
                self._refused(response)

    def _on_granted(self, response: Response) -> None:
        if self._contact is None or self._flow is None:
            return
        if self._asked_s:
            granted = granted_s(response, self._contact, self._asked_s)
            if not granted:
                self._failed(response.status, f"{self._where} said yes and granted no time at all")
                return
            self._granted_s = granted
            self._expires_at = self._ua.clock.now() + granted
            self._way.succeeded(self._flow.remote)
            self.service_route = tuple(_routes(response))
            self._journal.succeeded(self._flow, self._granted_s)
            seen = response.via.received
            if seen and is_address(self._contact.host) and seen != self._contact.host:
                self._journal.behind_nat(self._contact.host, seen)
        self._last_error = None
        self._step(News.GRANTED)

    def _on_redirect(self, response: Response) -> None:
        if self._way.redirect(response):
            self._forget_challenges()
            self._step(News.ADJUSTED)
        else:
            self._refused(response)

    def _on_failure(self, cseq: int, failure: Failure) -> None:
        if cseq != self._cseq:
            return
        if failure is Failure.TIMEOUT:
            why = f"{self._where} does not answer: it is down, or a firewall is in between"
        else:
            lost = self._flow.error if self._flow is not None else None
            why = lost or f"{self._where} cannot be reached"
        self._failed(None, why)

    def _failed(self, status: int | None, why: str) -> None:
        """This server could not do it: the next one, or a pause."""
        self._fail(status, why)
        if self._way.failed(self._retry_after_s):
            self._forget_challenges()
            self._step(News.NEXT_TARGET)
        else:
            self._failures += 1
            self._step(News.EXHAUSTED)

    def _refused(self, response: Response) -> None:
        self._fail(response.status, why_refused(response, self.account, self._where, self._proofs))
        self._step(News.REFUSED)

    def _fail(self, status: int | None, why: str) -> None:
        self._last_status, self._last_error = status, why

    # telling

    @property
    def _where(self) -> str:
        flow = self._flow
        at = f" ({flow.remote})" if flow is not None else ""
        return f"{(self._way.proxy or self._way.registrar).hostport}{at}"


def _routes(response: Response) -> list[str]:
    """RFC 3608 6: the Service-Route, in order; none of it if it cannot be read."""
    try:
        routes = response.headers.values("service-route")
        parse_name_addrs(routes)
    except ParseError:
        return []
    return routes
