"""Closed by default: which requests are explained by a trunk, and which get no answer at all.

A request is a trunk's when it meets everything that this trunk demands: source address, client
certificate, secret headers (`sip.softswitch.admission.evidence`), digest. A live registration
stands for the digest, which it was proven by. Whoever offends is banned (`…admission.bans`).
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto

import structlog

from config.settings import BanSettings, SipAuthSettings
from sip.clock import Clock
from sip.core.auth_header import AuthHeader
from sip.core.digest import DigestServer, Outcome
from sip.core.header_values import unescape
from sip.core.message import Request
from sip.core.value import frozen
from sip.errors import Fault, ParseError
from sip.log_throttle import Throttle
from sip.softswitch.admission.bans import Bans, Offence
from sip.softswitch.admission.evidence import (
    certificate_shows,
    meets,
    missing,
    most_demanding_first,
    needs_password_alone,
)
from sip.softswitch.admission.ignored_log import IgnoredLog
from sip.softswitch.admission.known_peers import Peers
from sip.softswitch.admission.packet_rates import Rates
from sip.softswitch.admission.refused_calls import Refused, RefusedCalls
from sip.softswitch.trunks.trunk import Trunk, Trunks
from sip.transport.endpoint import Endpoint, Flow

log = structlog.get_logger(__name__)

#: The trunk that a live registration, a peer's with us or ours with it, says a request is of:
#: `(request, source, now)`, the request None where only a packet or a connection is there yet.
RegisteredAs = Callable[[Request | None, Endpoint, float], str | None]
#: Credentials looked at in one request: a realm and algorithm each, several proxies on the way.
MAX_CREDENTIALS = 8
#: Requests with a wrong password that are remembered, to know one that is sent again.
MAX_WRONG = 1000
#: Seconds until the next line about strangers that are too many.
FLOOD_AGAIN_S = 60.0
#: The first challenge of a request: the one that is worth no line.
_NO_CREDENTIALS = "no credentials yet"


class Verdict(Enum):
    """What to do with a request."""

    ADMIT = auto()
    CHALLENGE = auto()
    """answer with `Gatekeeper.challenge`"""
    IGNORE = auto()
    """no answer: nothing explains this request"""


@frozen(kw_only=True)
class Judgement:
    """A verdict, for the log with its reason unless it is to admit; `username` only after a proven
    digest."""

    verdict: Verdict
    reason: str = ""
    trunk: Trunk | None = None
    username: str | None = None
    stale: bool = False
    #: credentials of a trunk that wants more than these
    incomplete: bool = False


@dataclass(frozen=True, slots=True)
class Challenge:
    """How to ask for a digest: the response's status, and a header for each algorithm."""

    status: int
    headers: list[tuple[str, str]]


class _Standing:
    """What the address of a source says of it, for as long as the configuration holds."""

    __slots__ = ("among", "candidates", "is_peer", "trunks")

    def __init__(
        self,
        among: Trunks,
        trunks: tuple[Trunk, ...],
        candidates: tuple[Trunk, ...],
        is_peer: bool,
    ) -> None:
        #: the configuration that it was worked out of
        self.among = among
        #: the trunks that send from there
        self.trunks = trunks
        #: the trunks that may be spoken for from there, the most demanding first
        self.candidates = candidates
        #: a configured address, or ours: never banned nor slowed
        self.is_peer = is_peer


class Gatekeeper:
    """The softswitch's doorkeeper (`sip.ua.doorkeeper`), and judge of requests outside dialogs."""

    def __init__(
        self,
        clock: Clock,
        trunks: Trunks,
        realm: str,
        secret: bytes,
        auth: SipAuthSettings,
        bans: BanSettings | None = None,
        *,
        own: Iterable[str] = (),
        registered: RegisteredAs = lambda *_: None,
    ) -> None:
        """`own` are addresses of ours, which are never banned: `sip.advertise`, the listeners'."""
        bans = bans or BanSettings()
        self._clock = clock
        #: set by the softswitch, whose registrations come up after this
        self.registered = registered
        self._scanners = tuple(agent.lower() for agent in bans.scanners)
        self._digest = DigestServer(
            realm, secret, nonce_lifetime_s=auth.nonce_lifetime_s, algorithms=auth.algorithms
        )
        self._rates = Rates(bans.packets_per_second)
        #: all that nothing is known of share one bucket
        self._strangers = Rates(bans.strangers_per_second)
        self._throttle = Throttle(FLOOD_AGAIN_S)
        self._wrong: OrderedDict[tuple[str, ...], None] = OrderedDict()
        self.bans = Bans(bans)
        self.peers = Peers((), own)
        self.configure(trunks)
        #: packets and connections turned away unread, by reason
        self.turned_away: Counter[str] = Counter()
        #: calls refused before any application heard of them
        self.refused = Refused(clock, self._on_silence)
        self._ignored_log = IgnoredLog(clock, self.bans.banned)

    def configure(self, trunks: Trunks) -> None:
        """Judge by these trunks from now on, on connections that are open too."""
        self._trunks = trunks
        self._anywhere = tuple(trunk for trunk in trunks if not trunk.sources)
        self._with_certificates = tuple(trunk for trunk in trunks if trunk.certificates)
        self._secret_headers = {name for trunk in trunks for name in trunk.secret_headers}
        self.peers.configure(s.network for trunk in trunks for s in trunk.sources)

    def close(self) -> None:
        """Log what waits to be logged."""
        self.refused.close()
        self._ignored_log.close()

    # before a message is read

    def packet(self, flow: Flow) -> bool:
        """Whether what came by `flow` is to be read at all: no ban, no flood.

        Decided by the address alone, and in microseconds: a flood brings a new one each time.
        """
        source, standing = flow.remote, flow.standing
        host = source.host
        judged = standing if type(standing) is _Standing else None
        if self.peers.configured(host) if judged is None else judged.is_peer:
            return True
        now = self._clock.now()
        if self.peers.met(host, now):
            return True
        if self.bans.banned(host, now) and self.registered(None, source, now) is None:
            self.turned_away["banned"] += 1
            return False
        if not self._rates.take(host, now):
            self.turned_away["too fast"] += 1
            self.bans.strike(host, now, Offence.FLOOD)
            return False
        if not self._strangers.take("all", now) and self.registered(None, source, now) is None:
            self._too_many(now)
            return False
        return True

    def _too_many(self, now: float) -> None:
        """A packet of a stranger beyond what all of them may send: lost, as on a busy line."""
        self.turned_away["too many strangers"] += 1
        if self._throttle.is_new("strangers", "flood", now):
            log.warning(
                "strangers.flood",
                limit="sip.bans.strangers_per_second",
                unread=self.turned_away["too many strangers"],
            )

    def connection(self, flow: Flow) -> bool:
        """Whether this source may open a connection: it is known, or may prove itself on it."""
        standing, source, now = self._standing(flow), flow.remote, self._clock.now()
        met = self.peers.met(source.host, now)
        if not (standing.is_peer or met) and self.bans.banned(source.host, now):
            self.turned_away["banned"] += 1
            return False
        if standing.trunks or met:
            return True
        return self.registered(None, source, now) is not None or any(
            trunk.login
            or trunk.secret_headers
            or (trunk.certificates and source.transport == "tls")
            for trunk in self._anywhere
        )

    def refuse(self, request: Request, flow: Flow, status: int) -> None:
        """A request that may be answered is refused for what it is, before it is judged."""
        detail = f"the INVITE itself was answered with {status}"
        self._note(request, flow, f"refused-{status}", detail, Fault.PEER, status)

    def answers_at_source(self, flow: Flow) -> bool:
        """As the trunks of that address want it, else those that may call from anywhere."""
        return any(trunk.force_rport for trunk in self._standing(flow).trunks or self._anywhere)

    def met(self, peer: Endpoint) -> None:
        """We send `peer` a request of ours: it is a stranger no more."""
        self.peers.meet(peer.host, self._clock.now())

    # whether there is an answer

    def message(self, request: Request | None, flow: Flow) -> bool:
        """Whether this source may get any answer (`knows`); otherwise it has offended, and a
        request of it is logged."""
        if self.knows(request, flow):
            return True
        self._strike(request, flow)
        if request is not None:
            self._log_ignored(request, flow)
        return False

    def knows(self, request: Request | None, flow: Flow) -> bool:
        """Whether this source may get any answer, even to a message that cannot be read (None).

        A configured address may, and a registered one. Others must show a certificate, a secret
        header or the name of a login; a scanner that names itself never may.
        """
        if self._standing(flow).trunks:
            return True
        if self.registered(request, flow.remote, self._clock.now()) is not None:
            return True
        if any(certificate_shows(trunk, flow) for trunk in self._with_certificates):
            return True
        if request is None or self._is_scanner(request):
            return False
        users = _credentials_of(request)
        return any(
            not needs_password_alone(trunk) or _claims(request, users, trunk)
            for trunk in self._met(request, flow)
        )

    def why_unknown(self, request: Request, flow: Flow) -> str:
        """Why this request gets no answer, and what to do if it should."""
        for trunk in self._standing(flow).trunks:
            lacking = missing(trunk, request, flow)
            if lacking is not None:
                return f"it comes from an address of trunk {trunk.name}, but {lacking}"
        return "no trunk's identify holds its address; add it there if it is one of your peers"

    def _strike(self, request: Request | None, flow: Flow) -> None:
        """Count an offence of an unknown source; `request` is None where it could not be read."""
        scanner = request is not None and self._is_scanner(request)
        self._offended(flow, Offence.SCANNER if scanner else Offence.STRANGER)

    def _offended(self, flow: Flow, offence: Offence) -> None:
        host, now = flow.remote.host, self._clock.now()
        if not (self._standing(flow).is_peer or self.peers.met(host, now)):
            self.bans.strike(host, now, offence)

    def _log_ignored(self, request: Request, flow: Flow) -> None:
        reason = self.why_unknown(request, flow)
        slug = "proof-missing" if self._standing(flow).trunks else "unknown-source"
        fix = self._note(request, flow, slug, reason, Fault.OPERATOR, None)
        self._ignored_log.note("request.ignored", flow.remote, request.method, reason, fix)

    def _note(
        self, request: Request, flow: Flow, why: str, detail: str, fault: Fault, status: int | None
    ) -> str:
        """Keep a call that was refused; the sentence that mends it."""
        trunk = self._likely(flow)
        entry = self.refused.note(request, flow.remote, trunk, why, detail, fault, status)
        return "" if entry is None else entry.fix

    def _on_silence(self, source: Endpoint, entry: RefusedCalls) -> None:
        """A call that was challenged never came back."""
        self._ignored_log.note("request.no-credentials", source, "INVITE", entry.detail, entry.fix)

    def _likely(self, flow: Flow) -> str | None:
        """The trunk that a request is probably of, by its address alone."""
        trunks = self._standing(flow).trunks
        return trunks[0].name if trunks else None

    def _standing(self, flow: Flow) -> _Standing:
        """What is known of the address at the other end: worked out once, kept on the flow."""
        standing = flow.standing
        if type(standing) is not _Standing or standing.among is not self._trunks:
            trunks = self._trunks.from_source(flow.remote)
            candidates = most_demanding_first((*trunks, *self._anywhere))
            is_peer = self.peers.configured(flow.remote.host)
            standing = flow.standing = _Standing(self._trunks, trunks, candidates, is_peer)
        return standing

    # whose it is

    def challenge(self, request: Request, *, stale: bool = False) -> Challenge:
        """401 for a REGISTER, which we answer for ourselves, else 407 (RFC 3261 22.1, 22.3);
        the algorithms in the configured order (RFC 8760 2.3)."""
        registers = request.method == "REGISTER"
        name = "WWW-Authenticate" if registers else "Proxy-Authenticate"
        values = self._digest.challenge(self._clock.now(), stale=stale)
        return Challenge(401 if registers else 407, [(name, value) for value in values])

    def judge(self, request: Request, flow: Flow) -> Judgement:
        """Judge a new request outside a dialog. A REGISTER is for registrar trunks alone, and is
        proven anew each time. Secret headers are taken off an admitted request; one that is
        ignored or challenged again is logged."""
        judgement = self._judge(request, flow)
        match judgement.verdict:
            case Verdict.ADMIT:
                if judgement.username is not None:
                    self.refused.came_back(request, flow.remote)
                for name in self._secret_headers:
                    request.headers.remove(name)
            case Verdict.CHALLENGE if judgement.stale or judgement.reason == _NO_CREDENTIALS:
                if judgement.stale:
                    self.refused.came_back(request, flow.remote)
                self.refused.challenged(request, flow.remote, trunk=self._likely(flow))
            case Verdict.CHALLENGE:
                self.refused.came_back(request, flow.remote)
                why = judgement.reason
                slug, event = "wrong-credentials", "request.challenged-again"
                if judgement.incomplete:
                    slug, event = "proof-missing", "request.proof-missing"
                fix = self._note(request, flow, slug, why, Fault.PEER, 407)
                self._ignored_log.note(event, flow.remote, request.method, why, fix)
            case Verdict.IGNORE:
                self._log_ignored(request, flow)
        return judgement

    def _judge(self, request: Request, flow: Flow) -> Judgement:
        met = self._met(request, flow)
        if request.method == "REGISTER":
            return self._by_demands(request, flow, [trunk for trunk in met if trunk.registrar])
        return self._by_registration(request, flow) or self._by_demands(request, flow, met)

    def _met(self, request: Request, flow: Flow) -> list[Trunk]:
        """The trunks of which every demand but the password is met, the most demanding first."""
        return [trunk for trunk in self._standing(flow).candidates if meets(trunk, request, flow)]

    def _by_registration(self, request: Request, flow: Flow) -> Judgement | None:
        """A live registration stands for address and password, not for what else is demanded."""
        name = self.registered(request, flow.remote, self._clock.now())
        trunk = None if name is None else self._trunks.named(name)
        if trunk is None or missing(trunk, request, flow) is not None:
            return None
        return Judgement(verdict=Verdict.ADMIT, trunk=trunk)

    def _by_demands(self, request: Request, flow: Flow, met: list[Trunk]) -> Judgement:
        """By the trunks that were `met`, those with a password first."""
        if met and met[0].login is None:
            return Judgement(verdict=Verdict.ADMIT, trunk=met[0])
        logins = [trunk for trunk in met if trunk.login is not None]
        users = _credentials_of(request) if logins else set()
        claimed = any(_claims(request, users, trunk) for trunk in logins)
        if len(met) > len(logins) and not claimed:
            return Judgement(verdict=Verdict.ADMIT, trunk=met[len(logins)])
        if claimed or not all(map(needs_password_alone, logins)):
            return self._by_digest(request, flow, logins)
        further = bool(self._standing(flow).trunks)
        reason = "further proof is missing" if further else "unknown source"
        return Judgement(verdict=Verdict.IGNORE, reason=reason)

    def _by_digest(self, request: Request, flow: Flow, logins: list[Trunk]) -> Judgement:
        """`logins` are the trunks that may be spoken for from here: a password for another is as
        good as none."""
        passwords = dict(trunk.login for trunk in logins if trunk.login is not None)
        host, now = flow.remote.host, self._clock.now()
        result = self._digest.verify(
            _authorizations(request), request.method, passwords, now, request_uri=request.uri
        )
        match result.outcome:
            case Outcome.OK:
                trunk = next(t for t in logins if t.login and t.login[0] == result.username)
                self.peers.meet(host, now)
                self.bans.forgive(host)
                return Judgement(verdict=Verdict.ADMIT, trunk=trunk, username=result.username)
            case Outcome.STALE:
                return Judgement(verdict=Verdict.CHALLENGE, reason="stale nonce", stale=True)
            case Outcome.ABSENT:
                return Judgement(verdict=Verdict.CHALLENGE, reason=_NO_CREDENTIALS)
            case Outcome.WRONG:
                if self._is_new(request, host):
                    self._offended(flow, Offence.DIGEST)
                return self._wrong_login(request, flow, result.username, logins)

    def _wrong_login(
        self, request: Request, flow: Flow, username: str, logins: list[Trunk]
    ) -> Judgement:
        """What is wrong with credentials of that user name, as far as it can be told."""
        known = self._trunks.by_login(username)
        incomplete = known is not None and known not in logins
        if known is not None and incomplete and known in self._standing(flow).candidates:
            reason = f"the login of trunk {known.name}, but {missing(known, request, flow)}"
            return Judgement(verdict=Verdict.CHALLENGE, reason=reason, incomplete=True)
        reason = self._why_wrong(username, logins)
        return Judgement(verdict=Verdict.CHALLENGE, reason=reason)

    def _why_wrong(self, username: str, logins: list[Trunk]) -> str:
        shown = "".join(letter for letter in username if letter.isprintable())[:64]
        known = self._trunks.by_login(username)
        if known is None:
            return f"wrong credentials: no login has the user name {shown!r}"
        if known not in logins:
            return "login from a foreign address"
        return f"wrong credentials: {shown!r} has another password here"

    def _is_new(self, request: Request, host: str) -> bool:
        """Whether this request of a wrong password is not one that was judged before: a challenge
        is forgotten once it is sent, and who did not get it asks again."""
        key = (host, request.call_id, str(request.cseq.number), *_authorizations(request))
        if key in self._wrong:
            return False
        self._wrong[key] = None
        if len(self._wrong) > MAX_WRONG:
            self._wrong.popitem(last=False)
        return True

    def _is_scanner(self, request: Request) -> bool:
        agent = (request.headers.get("user-agent") or "").lower()
        return any(scanner in agent for scanner in self._scanners)


def _claims(request: Request, users: set[str], trunk: Trunk) -> bool:
    """Whether the request says that it is this trunk's login: by its credentials (of `users`), or,
    where there is nothing else to know it by, by From or Contact before it was asked for any."""
    if trunk.login is None:
        return False
    if trunk.login[0] in users:
        return True
    return needs_password_alone(trunk) and trunk.login[0] in _names(request)


def _names(request: Request) -> Iterator[str | None]:
    """The users of From and Contact."""
    yield request.from_.uri.user
    with suppress(ParseError):
        target = request.target
        if target is not None:
            yield target[1].user


def _authorizations(request: Request) -> list[str]:
    # Some peers answer a 407 with the header of a 401.
    headers = request.headers
    found = headers.get_all("proxy-authorization") + headers.get_all("authorization")
    return found[:MAX_CREDENTIALS]


def _credentials_of(request: Request) -> set[str]:
    """The user names that the request brings credentials of."""
    users: set[str] = set()
    for value in _authorizations(request):
        with suppress(ParseError):
            found = AuthHeader.parse_all(value)
            users.update(unescape(header.params.get("username", "")) for header in found)
    return users
