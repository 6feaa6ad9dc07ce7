"""The embedded softswitch: a user agent, its trunks and limits, and a driver for every call."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial

import structlog

from config.settings import LimitSettings, SipSettings
from sip.b2bua.call import Call
from sip.b2bua.leg_report import LegReport
from sip.b2bua.legs.inbound import InboundLeg
from sip.b2bua.legs.inbound import refusal as refusal_of
from sip.b2bua.legs.leg import Direction, MakeLeg
from sip.clock import Clock
from sip.core.message import Request
from sip.core.replaces import Replaces, read_replaces
from sip.core.timers import Timers
from sip.core.uri import join_hostport
from sip.errors import Fault
from sip.ids import Ids
from sip.log_throttle import Throttle
from sip.media.plane import MediaPlane, MediaStats
from sip.softswitch.admission.gatekeeper import Gatekeeper, Judgement, Verdict
from sip.softswitch.admission.intake import FullError, Intake, Place
from sip.softswitch.dialling.called_number import called_number
from sip.softswitch.dialling.dialler import Dialler
from sip.softswitch.dialling.header_policy import told_headers
from sip.softswitch.dialling.identity import inbound_identity
from sip.softswitch.jambonz.driver import Driver
from sip.softswitch.jambonz.link import AppLink
from sip.softswitch.jambonz.session_info import InviteInfo, StreamInfo
from sip.softswitch.jambonz.sounds import NO_SOUNDS, Sounds
from sip.softswitch.listeners import ListenerSpec
from sip.softswitch.placing import Placed, PlaceError, prepared
from sip.softswitch.registration.bindings import Bindings, Location
from sip.softswitch.registration.registrar import Registrar
from sip.softswitch.registration.registrations import Registrations
from sip.softswitch.replacements import ReplacesError, replace
from sip.softswitch.shared import BindingStore
from sip.softswitch.trunks.health import TrunkHealth
from sip.softswitch.trunks.limits import RETRY_AFTER_S
from sip.softswitch.trunks.trunk import Trunk, Trunks
from sip.trace import Trace
from sip.transport.advertise import Public
from sip.transport.endpoint import Endpoint
from sip.transport.tls.contexts import ClientTls
from sip.ua.refusals import CAPABILITIES, SUPPORTED
from sip.ua.server_transaction import ServerTransaction
from sip.ua.user_agent import UserAgent

log = structlog.get_logger(__name__)

_OnStatus = Callable[[LegReport], None]

#: Seconds until the next line about calls of one trunk that were refused for want of room.
REFUSED_AGAIN_S = 60.0
#: When to come back to a gateway that stops, in seconds: it ends its calls and starts anew.
DRAIN_RETRY_AFTER_S = 60
#: How long live calls may take to say goodbye when the switch closes, in seconds.
CLOSE_TIMEOUT_S = 5.0
#: How long their BYEs may take to be answered after that, in seconds.
GOODBYE_TIMEOUT_S = 2.0


class Softswitch:
    """Takes calls from trunks and runs them as its application says."""

    def __init__(
        self,
        *,
        clock: Clock,
        ids: Ids,
        media: MediaPlane,
        trunks: Trunks,
        gatekeeper: Gatekeeper,
        link: AppLink,
        limits: LimitSettings,
        sip: SipSettings,
        public: Public | None = None,
        trace: Trace | None = None,
        timers: Timers | None = None,
        tls: ClientTls | None = None,
        binding_store: BindingStore | None = None,
        sounds: Sounds = NO_SOUNDS,
        rtp_timeout_s: float | None = None,
    ) -> None:
        self._sounds = sounds
        self._rtp_timeout_s = rtp_timeout_s
        self._clock = clock
        self._link = link
        self._media = media
        self._trace = trace
        self._gatekeeper = gatekeeper
        self._realm = sip.realm
        self._calls: dict[asyncio.Task[None], Driver] = {}
        self._draining = False
        self._throttle = Throttle(REFUSED_AGAIN_S)
        self.ua = UserAgent(
            clock=clock,
            ids=ids,
            on_request=self._on_request,
            doorkeeper=gatekeeper,
            timers=timers,
            public=public,
            trace=trace,
            tls=tls,
            keepalive_s=sip.keepalive_s,
            tcp_above_bytes=sip.tcp_above_bytes,
            methods=_further_methods(trunks),
        )
        #: the peers that registered with us, and our registrations with registrars
        self.bindings = Bindings(clock, binding_store)
        self.registrar = Registrar(self.ua, trunks, self.bindings, sip.registrar)
        self.registrations = Registrations(self.ua, trunks, sip.keepalive_s)
        self._nobody_registered = gatekeeper.registered
        self._watch_registrations(trunks)
        self.health = TrunkHealth(self.ua, trunks)
        #: places calls
        self.dialler = Dialler(
            ua=self.ua,
            trunks=trunks,
            health=self.health,
            locations=lambda trunk: self.bindings.of(trunk, clock.now()),
            users=self._users,
            service_route=self.registrations.route,
        )
        self._intake = Intake(limits, self.dialler.limits)

    def _users(self, name: str, realm: str | None) -> dict[str, list[Location]]:
        """Who registered as that user; our own realm stands for any host of ours."""
        host = None if realm == self._realm else realm
        return self.bindings.of_user(name, host, self.ua.clock.now())

    async def listen(self, listeners: Iterable[Endpoint | ListenerSpec]) -> None:
        """Open the listeners. Raises OSError for the first that cannot be."""
        for one in listeners:
            if isinstance(one, Endpoint):
                await self.ua.listen(one)
            else:
                await self.ua.listen(one.endpoint, tls=one.tls, advertise=one.advertise)

    def start(self) -> None:
        """Begin what we do of our own accord; all listeners must be open."""
        self.health.start()
        self.registrar.start()
        self.registrations.start()

    def configure(
        self,
        trunks: Trunks,
        limits: LimitSettings,
        sounds: Sounds = NO_SOUNDS,
        rtp_timeout_s: float | None = None,
    ) -> None:
        """Go on with other trunks and limits; calls that are up keep what they began with."""
        self._sounds = sounds
        self._rtp_timeout_s = rtp_timeout_s
        self._intake.configure(limits)
        self._gatekeeper.configure(trunks)
        self._watch_registrations(trunks)
        self.ua.refusals.serve(_further_methods(trunks))
        self.dialler.trunks = trunks
        self.health.configure(trunks)
        self.registrar.configure(trunks)
        self.registrations.configure(trunks)

    def address_changed(self, own: Iterable[str]) -> None:
        """Peers see us elsewhere from now on, and these addresses are ours: registrars are told at
        once, calls with their next request. What is said of media holds for new calls."""
        self._gatekeeper.peers.own(own)
        self.registrations.renew()

    def _watch_registrations(self, trunks: Trunks) -> None:
        """Where nobody registers, no request is asked whether somebody did."""
        some = any(trunk.registrar or trunk.registers for trunk in trunks)
        self._gatekeeper.registered = self._registered_as if some else self._nobody_registered

    @property
    def gauges(self) -> dict[str, int]:
        """What is open now."""
        return {"calls": len(self._calls), **self.ua.gauges}

    @property
    def spare_sockets(self) -> int:
        """Sockets to the application that wait for a call."""
        return self._link.spare

    async def media_counters(self, call_sid: str) -> MediaStats | None:
        """The media counters so far of a call; None without it. Raises MediaError."""
        for driver in self._calls.values():
            if driver.call.status.call_sid == call_sid:
                return await driver.call.rooms.query()
        return None

    @property
    def refused(self) -> Counter[str]:
        """Calls refused before any application heard of them, by reason."""
        return self._gatekeeper.refused.counts

    @property
    def turned_away(self) -> dict[str, Counter[str]]:
        """What went nowhere since the start, by reason: messages, packets that were not even read,
        and connections."""
        return {
            "dropped_messages": self.ua.dropped,
            "unread_packets": self._gatekeeper.turned_away,
            "refused_connections": self.ua.refused_connections,
        }

    @property
    def turned_away_by_reason(self) -> Counter[str]:
        """The same, and calls, in one."""
        connections = {f"connection: {why}": n for why, n in self.ua.refused_connections.items()}
        calls = {f"call: {why}": n for why, n in self.refused.items()}
        whole = self.ua.dropped + self._gatekeeper.turned_away
        return whole + Counter(connections) + Counter(calls)

    @property
    def open_calls(self) -> int:
        """How many calls are up, or on the way."""
        return len(self._calls)

    def drain(self) -> None:
        """Take and place no new calls, for good. Callers who wait are refused, so that another
        gateway is tried meanwhile; callees ring on, and those that talk go on."""
        self._draining = True
        for driver in tuple(self._calls.values()):
            first = driver.call.first
            if first is not None and not first.up and first.direction is Direction.INBOUND:
                driver.shut_down(DRAIN_RETRY_AFTER_S)

    async def none_left(self) -> None:
        """Returns when no call is up; only a switch that drains stays without."""
        while self._calls:
            await asyncio.wait(self._calls)

    async def close(self) -> None:
        """Refuse new calls, end the live ones, close the sockets."""
        self._draining = True
        await self.health.close()
        for driver in tuple(self._calls.values()):
            driver.shut_down(DRAIN_RETRY_AFTER_S)
        unregistering = asyncio.create_task(self.registrations.close())
        if self._calls:
            _, late = await asyncio.wait(self._calls, timeout=CLOSE_TIMEOUT_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await unregistering
        await self._link.close()
        self.registrar.close()
        await self.ua.drain(GOODBYE_TIMEOUT_S)
        await self.ua.close()
        self._gatekeeper.close()
        if self.turned_away_by_reason:
            log.info("requests.turned-away", by_reason=dict(self.turned_away_by_reason))

    def place(self, body: object, *, call_sid: str | None = None) -> Placed:
        """Place a call and run it as the application says; `body` is jambonz's of its REST API.

        `call_sid` is the call's id if the caller has chosen one. What comes of it the application
        hears. Raises PlaceError: nothing was sent.
        """
        if self._draining:
            raise PlaceError(503, "this gateway stops, and places no more calls", Fault.OPERATOR)
        if any(driver.call.call_sid == call_sid for driver in self._calls.values()):
            raise PlaceError(400, f"call {call_sid} is up already", Fault.APPLICATION)
        driver, place, placed = prepared(
            body,
            call_sid,
            link=self._link,
            dialler=self.dialler,
            intake=self._intake,
            sounds=self._sounds,
            make_call=partial(Call, self.ua, self._media, rtp_timeout_s=self._rtp_timeout_s),
        )
        driver.call.start()
        self._run(driver, place)
        return placed

    def take_stream(self, info: StreamInfo, first: MakeLeg) -> Call:
        """Run a call that `first(on_event)` brings, whatever that leg speaks.

        Its application hears of it as of any other. Raises FullError: then no leg was made.
        """
        if self._draining:
            raise FullError("draining", "this gateway stops, and takes no more calls")
        trunk = self.dialler.trunks.named(info.trunk) or Trunk(name=info.trunk)
        place = self._intake.take(trunk, self._clock.now())

        def make_call(on_status: _OnStatus) -> Call:
            timeout_s = self._rtp_timeout_s
            return Call(
                self.ua, self._media, on_status=on_status, first=first, rtp_timeout_s=timeout_s
            )

        try:
            driver = Driver(self._link, self.dialler, info, make_call, self._sounds)
            driver.call.start()
            self._run(driver, place)
        except Exception:
            place.give_back()
            raise
        return driver.call

    def give_up(self, call_sid: str) -> None:
        """End a call that was placed: its leg is not answered yet, or has just been."""
        for driver in self._calls.values():
            if driver.call.call_sid == call_sid:
                driver.end()

    def _run(self, driver: Driver, place: Place) -> None:
        task = asyncio.get_running_loop().create_task(driver.run())
        self._calls[task] = driver
        task.add_done_callback(partial(self._forget, place))

    # requests outside dialogs

    def _registered_as(self, request: Request | None, source: Endpoint, now: float) -> str | None:
        configured = bool(self.dialler.trunks.from_source(source))
        return self.bindings.trunk_of(source, now) or self.registrations.trunk_of(
            request, source, configured=configured
        )

    def _on_request(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        if request.method == "OPTIONS":
            self._answer(transaction, 503 if self._draining else 200)
            return
        if request.method not in ("INVITE", "REGISTER"):  # BYE without a dialog
            self._answer(transaction, 481)
            return
        judgement = self._gatekeeper.judge(request, transaction.flow)
        match judgement.verdict:
            case Verdict.ADMIT if request.method == "REGISTER":
                assert judgement.trunk is not None, "an admitted request is of a trunk"
                self.registrar.on_register(transaction, judgement.trunk)
            case Verdict.ADMIT:
                self._admit(transaction, judgement)
            case Verdict.CHALLENGE:
                challenge = self._gatekeeper.challenge(request, stale=judgement.stale)
                self.ua.answer_once(transaction, challenge.status, challenge.headers)
            case Verdict.IGNORE:
                self.ua.forget(transaction)

    def _admit(self, transaction: ServerTransaction, judgement: Judgement) -> None:
        request, trunk = transaction.request, judgement.trunk
        assert trunk is not None, "an admitted request is of a trunk"
        replaces = read_replaces(request)
        if replaces is not None:
            self._replace(transaction, trunk, replaces)
            return
        if self._draining:
            self._refuse(transaction, trunk, "draining", "draining", DRAIN_RETRY_AFTER_S)
            return
        try:
            place = self._intake.take(trunk, self._clock.now())
        except FullError as error:
            self._refuse(transaction, trunk, error.limit, str(error))
            return
        if self._cannot_take(transaction, trunk):
            place.give_back()
            return
        self._take(transaction, trunk, judgement.username, place)

    def _cannot_take(self, transaction: ServerTransaction, trunk: Trunk) -> bool:
        """Whether an INVITE asks for what a leg of its trunk does not do: then it is refused."""
        cannot = refusal_of(transaction.request, trunk.leg)
        if cannot is not None:
            self._gatekeeper.refuse(transaction.request, transaction.flow, cannot[0])
            self._answer(transaction, *cannot)
        return cannot is not None

    def _replace(self, transaction: ServerTransaction, trunk: Trunk, replaces: Replaces) -> None:
        """No new call begins, so that there is always room, and a switch that drains takes it."""
        request = transaction.request
        if self._cannot_take(transaction, trunk):
            return
        calls = [driver.call for driver in self._calls.values()]
        try:
            replace(self.ua, calls, transaction, trunk, replaces)
        except ReplacesError as error:
            log.info(
                "call.not-replaced",
                sip_call_id=request.call_id,
                trunk=trunk.name,
                replaces=replaces.sip_call_id,
                reason=str(error),
                fault=error.fault.value,
            )
            self._gatekeeper.refuse(request, transaction.flow, error.status)
            self._answer(transaction, error.status, reason=error.reason)
            return
        if self._trace is not None:
            self._trace.keep(request.call_id)

    def _take(
        self, transaction: ServerTransaction, trunk: Trunk, username: str | None, place: Place
    ) -> None:
        """Run the call. If an error of ours prevents it: 500, and nothing of it stays behind."""
        driver: Driver | None = None
        try:
            driver = self._driver(transaction, trunk, username)
            driver.call.start()
            self._run(driver, place)
        except Exception:
            call_id = transaction.request.call_id
            log.exception("call.not-taken", sip_call_id=call_id, trunk=trunk.name)
            self._note_refused(transaction, trunk, "internal-error", "the log has it", 500)
            place.give_back()
            if driver is None:
                self._answer(transaction, 500)
            else:
                driver.call.reject(500, None)
            return
        if self._trace is not None:
            self._trace.keep(transaction.request.call_id)

    def _driver(self, transaction: ServerTransaction, trunk: Trunk, username: str | None) -> Driver:
        """A call that `trunk` explains and its driver; `username` is what the peer proved.

        The call is made last: a failure before it sends and leaves nothing.
        """
        request, flow = transaction.request, transaction.flow
        identity = inbound_identity(request, trunk)
        told, passed = told_headers(request, trunk, identity)
        info = InviteInfo(
            invite=request,
            source=flow.remote.host,
            local=join_hostport(self.ua.host(flow), flow.local.port),
            trunk=trunk.name,
            caller=identity,
            number=called_number(request, trunk),
            told=told,
            untold=passed.dropped,
            login=None if username is None else f"{username}@{self._realm}",
        )

        def make_call(on_status: _OnStatus) -> Call:
            first = partial(
                InboundLeg, self.ua, transaction, credentials=trunk.credentials, options=trunk.leg
            )
            return Call(
                self.ua,
                self._media,
                on_status=on_status,
                first=first,
                rtp_timeout_s=self._rtp_timeout_s,
            )

        return Driver(self._link, self.dialler, info, make_call, self._sounds)

    def _refuse(
        self,
        transaction: ServerTransaction,
        trunk: Trunk,
        limit: str,
        reason: str,
        retry_after_s: int = RETRY_AFTER_S,
    ) -> None:
        """There is no room for this call: 503. All are counted, one a minute is logged.

        It is sent once, since a flood of such calls is to leave nothing behind.
        """
        self._note_refused(transaction, trunk, limit, reason, 503)
        if self._throttle.is_new(trunk.name, limit, self._clock.now()):
            log.warning("call.refused", reason=reason, trunk=trunk.name)
        self.ua.answer_once(transaction, 503, [("Retry-After", str(retry_after_s))])

    def _note_refused(
        self, transaction: ServerTransaction, trunk: Trunk, reason: str, detail: str, status: int
    ) -> None:
        self._gatekeeper.refused.note(
            transaction.request,
            transaction.flow.remote,
            trunk=trunk.name,
            reason=reason,
            detail=detail,
            fault=Fault.OPERATOR if status == 503 else Fault.GATEWAY,
            status=status,
        )

    def _forget(self, place: Place, task: asyncio.Task[None]) -> None:
        place.give_back()
        driver = self._calls.pop(task)
        if not task.cancelled() and task.exception() is not None:
            sid = driver.call.status.call_sid
            log.error("call.broke", call_sid=sid, exc_info=task.exception())

    def _answer(
        self,
        transaction: ServerTransaction,
        status: int,
        headers: Iterable[tuple[str, str]] = (),
        *,
        reason: str | None = None,
    ) -> None:
        fields = list(headers)
        if transaction.request.method == "OPTIONS":
            allow, supported = self.ua.refusals.allow, SUPPORTED
            fields += [("Allow", allow), ("Supported", supported), *CAPABILITIES]
        tag = self.ua.ids.tag()
        request = transaction.request
        response = self.ua.response(request, status, reason, to_tag=tag, headers=fields)
        transaction.respond(response)


def _further_methods(trunks: Trunks) -> tuple[str, ...]:
    """What is served outside dialogs beside calls."""
    return ("REGISTER",) if any(trunk.registrar for trunk in trunks) else ()
