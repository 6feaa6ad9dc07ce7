"""Closed by default: which requests are explained by a trunk, and which get no answer at all.

A request is explained by its source address (`identify`) or by digest (`login`). A source that
keeps failing its digest is met with silence for a while.
"""

from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum, auto

from config.settings import SipAuthSettings
from sip.core.auth import DigestServer, Outcome
from sip.core.message import Request
from sip.softswitch.trunks import Trunk, Trunks
from sip.transport.endpoint import Endpoint

#: Offenders remembered; the oldest are forgotten first.
MAX_OFFENDERS = 10_000


class Verdict(Enum):
    """What to do with a request."""

    ADMIT = auto()
    CHALLENGE = auto()
    """answer 407 with a challenge"""
    IGNORE = auto()
    """no answer: nothing explains this source, or it has offended too often"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A verdict with its reason for the log; `username` only after a proven digest."""

    verdict: Verdict
    reason: str
    trunk: Trunk | None = None
    username: str | None = None
    stale: bool = False


@dataclass(slots=True)
class _Offences:
    count: int
    silent_until: float


class Gatekeeper:
    """Judges requests outside dialogs. Pure but for its memory of offenders."""

    def __init__(self, trunks: Trunks, realm: str, secret: bytes, auth: SipAuthSettings) -> None:
        self._trunks = trunks
        self._settings = auth
        self._digest = DigestServer(
            realm, secret, nonce_lifetime_s=auth.nonce_lifetime_s, algorithms=auth.algorithms
        )
        self._passwords = {
            trunk.login[0]: trunk.login[1] for trunk in trunks if trunk.login is not None
        }
        self._offenders: OrderedDict[str, _Offences] = OrderedDict()

    def knows(self, request: Request | None, source: Endpoint, now: float) -> bool:
        """Whether this source may get any answer, even to a message that cannot be read."""
        if self._silenced(source, now):
            return False
        if self._trunks.from_source(source):
            return True
        return request is not None and self._claimed(request) is not None

    def why_unknown(self, source: Endpoint, now: float) -> str:
        """Why this source gets no answer, and what to do if it should."""
        if self._silenced(source, now):
            return "it failed its digest too often and is met with silence for sip.auth.silence_s"
        return "no trunk's identify holds its address; add it there if it is one of your peers"

    def may_connect(self, source: Endpoint, now: float) -> bool:
        """Whether this source may open a connection: it is known, or may prove itself on it."""
        if self._silenced(source, now):
            return False
        return bool(self._by_login or self._trunks.from_source(source))

    def challenge(self, now: float, *, stale: bool) -> list[tuple[str, str]]:
        """Proxy-Authenticate headers, one for each algorithm in the configured order."""
        values = self._digest.challenge(now, stale=stale)
        return [("Proxy-Authenticate", value) for value in values]

    def judge(self, request: Request, source: Endpoint, now: float) -> Judgement:
        """Judge a new request outside a dialog."""
        if self._silenced(source, now):
            return Judgement(verdict=Verdict.IGNORE, reason="silenced after failed digests")
        candidates = self._trunks.from_source(source)
        open_trunk = next((trunk for trunk in candidates if trunk.login is None), None)
        proven = next((trunk for trunk in candidates if trunk.login is not None), None)
        claimed = self._claimed(request)
        if open_trunk is not None and claimed is None:
            return Judgement(verdict=Verdict.ADMIT, reason="source address", trunk=open_trunk)
        if proven is None and claimed is None:
            return Judgement(verdict=Verdict.IGNORE, reason="unknown source")
        return self._judge_digest(request, source, now)

    def _claimed(self, request: Request) -> Trunk | None:
        """The trunk without an address of its own whose login the request claims to be."""
        values = request.headers.get_all("proxy-authorization")
        values += request.headers.get_all("authorization")
        for username, trunk in self._by_login.items():
            if request.from_.uri.user == username or any(f'"{username}"' in v for v in values):
                return trunk
        return None

    @property
    def _by_login(self) -> dict[str, Trunk]:
        return {
            trunk.login[0]: trunk
            for trunk in self._trunks
            if trunk.login is not None and not trunk.sources
        }

    def _judge_digest(self, request: Request, source: Endpoint, now: float) -> Judgement:
        values = request.headers.get_all("proxy-authorization")
        values += request.headers.get_all("authorization")
        result = self._digest.verify(
            values, request.method, self._passwords, now, request_uri=request.uri
        )
        match result.outcome:
            case Outcome.OK:
                return self._admit_login(result.username or "", source, now)
            case Outcome.STALE:
                return Judgement(verdict=Verdict.CHALLENGE, reason="stale nonce", stale=True)
            case Outcome.ABSENT:
                return Judgement(verdict=Verdict.CHALLENGE, reason="no credentials yet")
            case Outcome.WRONG:
                self._offend(source, now)
                return Judgement(verdict=Verdict.CHALLENGE, reason="wrong credentials")

    def _admit_login(self, username: str, source: Endpoint, now: float) -> Judgement:
        trunk = self._trunks.by_login(username)
        if trunk is None or (trunk.sources and not trunk.matches(source)):
            self._offend(source, now)
            return Judgement(verdict=Verdict.CHALLENGE, reason="login from a foreign address")
        self._offenders.pop(source.host, None)
        return Judgement(verdict=Verdict.ADMIT, reason="digest", trunk=trunk, username=username)

    def _offend(self, source: Endpoint, now: float) -> None:
        offences = self._offenders.setdefault(source.host, _Offences(0, 0.0))
        self._offenders.move_to_end(source.host)
        offences.count += 1
        if offences.count >= self._settings.failures_before_silence:
            offences.silent_until = now + self._settings.silence_s
        while len(self._offenders) > MAX_OFFENDERS:
            self._offenders.popitem(last=False)

    def _silenced(self, source: Endpoint, now: float) -> bool:
        offences = self._offenders.get(source.host)
        if offences is None or not offences.silent_until:
            return False
        if now >= offences.silent_until:
            del self._offenders[source.host]
            return False
        return True
