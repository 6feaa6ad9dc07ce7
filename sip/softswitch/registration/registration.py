"""One registration of ours, with a carrier or PBX that wants REGISTER from us (RFC 3261 10.2).

What happens next is decided by the table in `sip.core.registration`; here it is carried out: the
registrar is asked (`register_client`), the way to it kept open through NAT, every change logged.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from sip.clock import Timer
from sip.core.registration import (
    SLOW_RETRY_S,
    STABLE_S,
    Duty,
    News,
    RegistrationMachine,
    Stage,
    back_off_s,
    refresh_after_s,
)
from sip.softswitch.registration.account import Account
from sip.softswitch.registration.journal import Journal
from sip.softswitch.registration.register_client import RegisterClient
from sip.transport.address import is_address
from sip.transport.endpoint import Endpoint, Flow
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
        self._client = RegisterClient(ua, account, self._journal, self._on_outcome)
        self._failures = 0
        self._expires_at = float("-inf")
        self._last_status: int | None = None
        self._last_error: str | None = None
        self._timer: Timer | None = None
        self._keepalive: Timer | None = None
        self._settled = asyncio.Event()
        self._finished = asyncio.Event()

    # what others see

    @property
    def holds(self) -> bool:
        """Whether a binding of ours stands, by the registrar's word."""
        return self._ua.clock.now() < self._expires_at

    @property
    def service_route(self) -> tuple[str, ...]:
        """The Route that requests through this registration are to take (RFC 3608 6)."""
        return self._client.service_route

    @property
    def state(self) -> RegistrationView:
        now, epoch = self._ua.clock.now(), self._ua.clock.epoch()
        return RegistrationView(
            trunk=self.account.trunk,
            registrar=str(self._client.servers.registrar),
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
        return self.holds and source in self._client.servers.endpoints

    def is_host(self, source: Endpoint) -> bool:
        """Whether one of them has at least that address."""
        return self.holds and any(
            source.host == server.host for server in self._client.servers.endpoints
        )

    # what others do

    def start(self) -> None:
        """Register, and stay registered."""
        self._step(News.GO)

    def use(self, account: Account) -> None:
        """Register the same binding with other credentials, or for another time, now."""
        self.account = account
        self._client.use(account)
        self._refresh()

    def renew(self) -> None:
        """Ask the registrar now, whatever is planned; not while the binding is being taken back."""
        if not self._finished.is_set() and self._machine.state is not Stage.REMOVING:
            self._refresh()

    async def refresh(self) -> RegistrationView:
        """Ask the registrar now, whatever is planned, and tell what came of it."""
        if self._finished.is_set() or self._machine.state is Stage.REMOVING:
            return self.state
        self._settled.clear()
        self.renew()
        try:
            async with asyncio.timeout(REFRESH_TIMEOUT_S):
                await self._settled.wait()
        except TimeoutError:
            pass  # the state says that it is still being asked
        return self.state

    def flow_lost(self, flow: Flow) -> None:
        """A connection ended; if it is the one that we registered over, register again."""
        if flow is not self._client.flow or not flow.reliable:
            return
        stable = self._ua.clock.now() - self._since >= STABLE_S
        if self._machine.state is Stage.REGISTERED:
            self._last_status = None
            self._last_error = flow.error or f"the connection to {flow.remote} ended"
        self._failures = 0 if stable else self._failures + 1
        self._step(News.FLOW_LOST if stable else News.FLOW_UNSTABLE)

    async def close(self, timeout_s: float) -> None:
        """Take the binding back (RFC 3261 10.2.2); not waiting for the response any longer."""
        self._step(News.CLOSE)
        try:
            async with asyncio.timeout(timeout_s):
                await self._finished.wait()
        except TimeoutError:
            pass  # it expires by itself
        self._stop()

    # the machine

    def _step(self, news: News) -> None:
        before = self._machine.state
        duties = self._machine.step(news)
        if self._machine.state is not before and not {before, self._machine.state} <= _HELD:
            self._since, self._since_epoch = self._ua.clock.now(), self._ua.clock.epoch()
        for duty in duties:
            self._do(duty)

    def _do(self, duty: Duty) -> None:
        match duty:
            case Duty.BEGIN:
                self._stop()
                self._client.begin()
            case Duty.SEND:
                self._client.send()
            case Duty.HOLD:
                self._hold()
            case Duty.BACK_OFF:
                self._wait(self._pause_s())
            case Duty.SLOW_RETRY:
                self._wait(self._ua.ids.backoff_s(0.9 * SLOW_RETRY_S, 1.1 * SLOW_RETRY_S))
            case Duty.REMOVE:
                self._stop()
                self._client.begin_removal()
            case Duty.FINISH:
                self._finish()

    def _hold(self) -> None:
        self._at(refresh_after_s(self._client.granted_s), self._refresh)
        flow = self._client.flow
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
        return max(self._ua.ids.backoff_s(shortest, longest), self._client.retry_after_s or 0.0)

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
        self._client.stop()

    def _finish(self) -> None:
        if self._last_status is not None and self._last_status < 300 and self._client.asked_s == 0:
            self._journal.removed()
        self._expires_at = float("-inf")
        self._settled.set()
        self._finished.set()

    # what came of a REGISTER

    def _on_outcome(self, news: News, status: int | None, problem: str | None) -> None:
        self._last_status = status
        if news is News.GRANTED:
            self._last_error = None
            self._granted()
        elif problem is not None:
            self._last_error = problem
        if news is News.EXHAUSTED:
            self._failures += 1
        self._step(news)

    def _granted(self) -> None:
        client = self._client
        if not client.asked_s or client.flow is None or client.contact is None:
            return
        self._expires_at = self._ua.clock.now() + client.granted_s
        self._journal.succeeded(client.flow, client.granted_s)
        ours, seen = client.contact.host, client.seen_as
        if seen and is_address(ours) and seen != ours:
            self._journal.behind_nat(ours, seen)
