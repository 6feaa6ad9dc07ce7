"""Attempts to place a leg, and which follows a failed one: RFC 3263 4.3, RFC 3261 8.1.3.4."""

from collections.abc import Callable, Iterable
from dataclasses import field, replace
from typing import Protocol

from sip.b2bua.call_events import Cause, Fail, Headers
from sip.b2bua.legs.options import LegOptions
from sip.b2bua.legs.outbound import POST_DIAL_S
from sip.core.digest_client import Credentials
from sip.core.header_values import NameAddr
from sip.core.sdp_crypto import Encryption
from sip.core.uri import Uri
from sip.core.value import frozen
from sip.errors import ParseError
from sip.media.terms import MediaSide, Signalling
from sip.transport.endpoint import Flow, Target
from sip.transport.servers.resolver import ResolveError
from sip.ua.user_agent import UserAgent

#: Seconds for which a server that gave no answer is asked last.
DEAD_S = 60.0
#: The same after a 503 that does not say how long (RFC 3261 21.5.4), and at most.
BUSY_S = 30.0
MAX_BUSY_S = 3600.0
_DEAD = frozenset({Cause.SILENT, Cause.UNREACHABLE})
#: A server that could not get anywhere with this call: it lives, but the next one may do better.
_PASSED = frozenset({Cause.NO_PROGRESS})
#: How a server says that it has no encryption (RFC 3261 21.4.26): the offer was not acceptable.
_UNENCRYPTED = frozenset({415, 488, 606})


def _unnoted(_: int | None, __: str | None) -> None:
    """Default for `on_outcome`."""


@frozen(kw_only=True)
class Attempt:
    """One way to place a leg: where its INVITE goes and what it says.

    `media_address` is ours in the SDP that the leg gets; `no_response_s` the seconds that its peer
    may say nothing at all, `post_dial_s` those that it may say 100 and no more; `routes` are Route
    values; a 3xx is followed to `redirect_hosts` alone.
    `on_outcome` gets the final status, None without any, and then why if it is known. `detail` is
    a sentence for the record where the attempt is not the plain one; `sip_call_id` the Call-ID of
    its INVITE, where somebody has been told it already.
    """

    uri: str
    flow: Flow
    caller: NameAddr
    callee: NameAddr
    headers: Headers = ()
    routes: tuple[str, ...] = ()
    credentials: Credentials | None = None
    no_response_s: float
    post_dial_s: float = POST_DIAL_S
    media_address: str
    options: LegOptions = field(default_factory=LegOptions)
    target: Target | None = None
    redirect_hosts: frozenset[str] = frozenset()
    on_outcome: Callable[[int | None, str | None], None] = _unnoted
    detail: str | None = None
    sip_call_id: str | None = None

    @property
    def media_side(self) -> MediaSide:
        """What the media of the call must know of the leg to come."""
        return MediaSide(self.media_address, Signalling(self.flow.remote.host), self.options.media)


class Attempts(Protocol):
    """The attempts of one dial; each is looked up when its turn comes."""

    async def next(self) -> Attempt | None:
        """The attempt to make now; None where all were made."""
        ...


class Hunt:
    """The attempts of one dial, in their order. A dead server's place is taken by the next."""

    def __init__(self, ua: UserAgent, attempts: Attempts) -> None:
        self._ua = ua
        self._attempts: Attempts | None = attempts
        #: what follows another attempt rather than its server: a redirection, or the same again
        self._following: Attempt | None = None

    async def next(self) -> Attempt | None:
        """The attempt to make now; None where none may follow."""
        if self._following is not None:
            following, self._following = self._following, None
            return following
        return None if self._attempts is None else await self._attempts.next()

    def answered(self, attempt: Attempt) -> None:
        """A server answered, and the hunt is over."""
        self._attempts = None
        attempt.on_outcome(200, None)
        if attempt.target is not None:
            self._ua.resolver.forgive(attempt.target.endpoint)

    async def failed(self, attempt: Attempt, fail: Fail, *, early_media: bool) -> None:
        """Note why, and leave only attempts that may still follow.

        Another server is tried where this one is dead, overloaded or stuck, and has not been heard
        yet; a redirection is followed once. Any other response is the trunk's, whichever server
        gives it.
        """
        dead = fail.cause in _DEAD
        attempt.on_outcome(None if dead else fail.status, fail.detail)
        if fail.cause in _PASSED:
            return
        if dead or fail.status == 503:
            if attempt.target is not None:
                self._ua.resolver.penalize(attempt.target.endpoint, _penalty_s(fail, dead=dead))
            if early_media:
                self._attempts = None
            return
        if fail.status in _UNENCRYPTED and not early_media:
            self._following = _in_the_clear(attempt, fail.status)
            if self._following is not None:
                return
        self._attempts = None
        if fail.contacts and attempt.redirect_hosts:
            self._following = await self._redirected(attempt, fail.contacts)

    async def _redirected(self, attempt: Attempt, contacts: Iterable[str]) -> Attempt | None:
        """The first contact that may be called and can be reached."""
        for contact in contacts:
            try:
                uri = Uri.parse(contact)
                if uri.scheme in ("sip", "sips") and uri.host.lower() in attempt.redirect_hosts:
                    flow = await self._ua.flow_to(uri)
                    return replace(
                        attempt,
                        uri=str(uri.replace(headers="")),
                        flow=flow,
                        media_address=self._ua.media_host(flow, attempt.options.advertise),
                        routes=(),
                        target=None,
                        redirect_hosts=frozenset(),
                        sip_call_id=None,
                    )
            except (ParseError, ResolveError, OSError):
                continue  # the next contact may be better
        return None


def _in_the_clear(attempt: Attempt, status: int) -> Attempt | None:
    """The same without encryption, where that is optional."""
    options = attempt.options
    if options.media.encryption is not Encryption.OPTIONAL:
        return None
    return replace(
        attempt,
        options=replace(options, media=options.media.encrypted(Encryption.OFF)),
        sip_call_id=None,
        detail=f"encrypted media was refused ({status}): asked again in the clear",
    )


def _penalty_s(fail: Fail, *, dead: bool) -> float:
    if dead:
        return DEAD_S
    asked = next((value for name, value in fail.headers if name.lower() == "retry-after"), "")
    seconds = asked.partition(";")[0].partition("(")[0].strip()
    return min(float(seconds), MAX_BUSY_S) if seconds.isdecimal() else BUSY_S
