"""Closed by default: which requests are explained by a trunk, and which get no answer at all.

A request is a trunk's when it meets everything that this trunk demands: source address, client
certificate, secret headers (`sip.softswitch.admission.evidence`), digest. A live registration
stands for the digest, which it was proven by. Whoever offends is banned (`…admission.bans`).
"""

import functools
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto

from config.settings import BanSettings, SipAuthSettings
from sip.core.digest import AuthHeader, DigestServer, Outcome
from sip.core.header_values import unescape
from sip.core.message import Request
from sip.core.value import frozen
from sip.errors import ParseError
from sip.softswitch.admission.bans import Bans, Offence
from sip.softswitch.admission.evidence import (
    certificate_shows,
    meets,
    missing,
    most_demanding_first,
    needs_password_alone,
)
from sip.softswitch.admission.known_peers import Peers
from sip.softswitch.admission.packet_rates import Rates
from sip.softswitch.trunks.trunk import Trunk, Trunks
from sip.transport.endpoint import Endpoint, Flow

#: The trunk that a live registration, a peer's with us or ours with it, says a request is of:
#: `(request, source, now)`, the request None where only a packet or a connection is there yet.
RegisteredAs = Callable[[Request | None, Endpoint, float], str | None]
#: Credentials looked at in one request: a realm and algorithm each, several proxies on the way.
MAX_CREDENTIALS = 8


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


@dataclass(frozen=True, slots=True)
class Challenge:
    """How to ask for a digest: the response's status, and a header for each algorithm."""

    status: int
    headers: list[tuple[str, str]]


class Gatekeeper:
    """Judges requests outside dialogs, and packets before anybody reads them."""

    def __init__(
        self,
        trunks: Trunks,
        realm: str,
        secret: bytes,
        auth: SipAuthSettings,
        bans: BanSettings | None = None,
        *,
        own: Iterable[str] = (),
        registered: RegisteredAs = lambda *_: None,
    ) -> None:
        """`own` are addresses of ours that nobody may make us ban: `sip.advertise`, listeners'."""
        bans = bans or BanSettings()
        self._trunks = trunks
        #: set by who knows the registrations, which come up after this
        self.registered = registered
        self._scanners = tuple(agent.lower() for agent in bans.scanners)
        self._digest = DigestServer(
            realm, secret, nonce_lifetime_s=auth.nonce_lifetime_s, algorithms=auth.algorithms
        )
        self._anywhere = tuple(trunk for trunk in trunks if not trunk.sources)
        # Asked for every request, by the same few peers, and by scanners: cached, bounded.
        self._candidates: Callable[[Endpoint], tuple[Trunk, ...]] = functools.lru_cache(4096)(
            self._find_candidates
        )
        self._secret_headers = {name for trunk in trunks for name in trunk.secret_headers}
        self._rates = Rates(bans.packets_per_second)
        self.bans = Bans(bans)
        self.peers = Peers((s.network for trunk in trunks for s in trunk.sources), own)
        #: packets and connections turned away unread, by reason
        self.turned_away: Counter[str] = Counter()

    # before a message is read

    def admit_packet(self, source: Endpoint, now: float) -> bool:
        """Whether a packet of `source` is to be read at all: no ban, no flood. One look-up for
        peers."""
        host = source.host
        if self.peers.hold(host, now):
            return True
        if self.bans.banned(host, now) and self.registered(None, source, now) is None:
            self.turned_away["banned"] += 1
            return False
        if not self._rates.take(host, now):
            self.turned_away["too fast"] += 1
            self.bans.strike(host, now, Offence.FLOOD)
            return False
        return True

    def may_connect(self, source: Endpoint, now: float) -> bool:
        """Whether this source may open a connection: it is known, or may prove itself on it."""
        if not self.peers.hold(source.host, now) and self.bans.banned(source.host, now):
            self.turned_away["banned"] += 1
            return False
        if self._trunks.from_source(source) or self.peers.met(source.host, now):
            return True
        return self.registered(None, source, now) is not None or any(
            trunk.login
            or trunk.secret_headers
            or (trunk.certificates and source.transport == "tls")
            for trunk in self._anywhere
        )

    # whether there is an answer

    def knows(self, request: Request | None, flow: Flow, now: float) -> bool:
        """Whether this source may get any answer, even to a message that cannot be read (None).

        A configured address may, and a registered one. Others must show a certificate, a secret
        header or the name of a login; a scanner that names itself never may.
        """
        source = flow.remote
        if self._trunks.from_source(source) or self.registered(request, source, now) is not None:
            return True
        if any(trunk.certificates and certificate_shows(trunk, flow) for trunk in self._trunks):
            return True
        if request is None or self._is_scanner(request):
            return False
        users = _credentials_of(request)
        return any(
            not needs_password_alone(trunk) or _claims(request, users, trunk)
            for trunk in self._met(request, flow)
        )

    def strike(self, request: Request | None, source: Endpoint, now: float) -> None:
        """Count a request of a source that is not known, None for one that cannot be read."""
        if not self.peers.hold(source.host, now):
            scanner = request is not None and self._is_scanner(request)
            self.bans.strike(source.host, now, Offence.SCANNER if scanner else Offence.STRANGER)

    def why_unknown(self, request: Request, flow: Flow) -> str:
        """Why this request gets no answer, and what to do if it should."""
        for trunk in self._trunks.from_source(flow.remote):
            lacking = missing(trunk, request, flow)
            if lacking is not None:
                return f"it comes from an address of trunk {trunk.name}, but {lacking}"
        return "no trunk's identify holds its address; add it there if it is one of your peers"

    # whose it is

    def challenge(self, request: Request, now: float, *, stale: bool = False) -> Challenge:
        """401 for a REGISTER, which we answer for ourselves, else 407 (RFC 3261 22.1, 22.3);
        the algorithms in the configured order (RFC 8760 2.3)."""
        registers = request.method == "REGISTER"
        name = "WWW-Authenticate" if registers else "Proxy-Authenticate"
        values = self._digest.challenge(now, stale=stale)
        return Challenge(401 if registers else 407, [(name, value) for value in values])

    def judge(self, request: Request, flow: Flow, now: float) -> Judgement:
        """Judge a new request outside a dialog. A REGISTER is for registrar trunks alone, and is
        proven anew each time. Secret headers are taken off an admitted request."""
        met = self._met(request, flow)
        if request.method == "REGISTER":
            met = [trunk for trunk in met if trunk.registrar]
            judgement = self._judge(request, flow.remote, met, now)
        else:
            judgement = self._by_registration(request, flow, now) or self._judge(
                request, flow.remote, met, now
            )
        if judgement.verdict is Verdict.ADMIT:
            for name in self._secret_headers:
                request.headers.remove(name)
        return judgement

    def _met(self, request: Request, flow: Flow) -> list[Trunk]:
        """The trunks of which every demand but the password is met, the most demanding first."""
        return [trunk for trunk in self._candidates(flow.remote) if meets(trunk, request, flow)]

    def _find_candidates(self, source: Endpoint) -> tuple[Trunk, ...]:
        """The trunks that may be spoken for from `source`."""
        return most_demanding_first((*self._trunks.from_source(source), *self._anywhere))

    def _by_registration(self, request: Request, flow: Flow, now: float) -> Judgement | None:
        """A live registration stands for address and password, not for what else is demanded."""
        name = self.registered(request, flow.remote, now)
        trunk = None if name is None else self._trunks.named(name)
        if trunk is None or missing(trunk, request, flow) is not None:
            return None
        return Judgement(verdict=Verdict.ADMIT, trunk=trunk)

    def _judge(self, request: Request, source: Endpoint, met: list[Trunk], now: float) -> Judgement:
        """By the trunks that were `met`, those with a password first."""
        if met and met[0].login is None:
            return Judgement(verdict=Verdict.ADMIT, trunk=met[0])
        logins = [trunk for trunk in met if trunk.login is not None]
        users = _credentials_of(request) if logins else set()
        claimed = any(_claims(request, users, trunk) for trunk in logins)
        if len(met) > len(logins) and not claimed:
            return Judgement(verdict=Verdict.ADMIT, trunk=met[len(logins)])
        if claimed or not all(map(needs_password_alone, logins)):
            return self._judge_digest(request, source, logins, now)
        reason = (
            "further proof is missing" if self._trunks.from_source(source) else "unknown source"
        )
        return Judgement(verdict=Verdict.IGNORE, reason=reason)

    def _judge_digest(
        self, request: Request, source: Endpoint, logins: list[Trunk], now: float
    ) -> Judgement:
        """`logins` are the trunks that may be spoken for from here: a password for another is as
        good as none."""
        passwords = dict(trunk.login for trunk in logins if trunk.login is not None)
        result = self._digest.verify(
            _authorizations(request), request.method, passwords, now, request_uri=request.uri
        )
        match result.outcome:
            case Outcome.OK:
                trunk = next(t for t in logins if t.login and t.login[0] == result.username)
                self.peers.meet(source.host, now)
                self.bans.forgive(source.host)
                return Judgement(verdict=Verdict.ADMIT, trunk=trunk, username=result.username)
            case Outcome.STALE:
                return Judgement(verdict=Verdict.CHALLENGE, reason="stale nonce", stale=True)
            case Outcome.ABSENT:
                return Judgement(verdict=Verdict.CHALLENGE, reason="no credentials yet")
            case Outcome.WRONG:
                if not self.peers.hold(source.host, now):
                    self.bans.strike(source.host, now, Offence.DIGEST)
                elsewhere = self._trunks.by_login(result.username)
                foreign = elsewhere is not None and elsewhere not in logins
                reason = "login from a foreign address" if foreign else "wrong credentials"
                return Judgement(verdict=Verdict.CHALLENGE, reason=reason)

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
    contact = request.contact
    return needs_password_alone(trunk) and (
        request.from_.uri.user == trunk.login[0]
        or (contact is not None and contact.uri.user == trunk.login[0])
    )


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
            users.add(unescape(AuthHeader.parse(value).params.get("username", "")))
    return users
