"""How long a connection may live, and when it must prove that it does. Pure.

RFC 5626 4.4.1 for connections that we opened; for accepted ones the defence against those who hold
connections open and say nothing, or a byte at a time.
"""

from dataclasses import dataclass

#: RFC 5626 4.4.1: how long a pong may take, in seconds.
PONG_S = 10.0
#: Seconds without a byte after a request that make a connection doubtful.
DEAF_S = 2.0
#: Seconds for which a doubtful one may still be heard on; then it is given up.
VANISHED_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamLimits:
    """What strangers may do with connections to us. Times in seconds.

    A stranger is a peer whose connection is still to carry its first dialog or registration.
    """

    #: the TLS handshake, from the first packet
    handshake_s: float = 10.0
    #: until the first whole message
    first_message_s: float = 30.0
    #: a message, from its first byte to its last; for peers that we know as well
    message_s: float = 20.0
    #: since the last whole message
    idle_s: float = 300.0
    #: the same for connections that we opened: as long as the longest call
    idle_ours_s: float = 4 * 3600.0
    #: strangers' connections at a time, of one address and together; these never more than half of
    #: the files that this process may open
    per_source: int = 256
    together: int = 4096


@dataclass(frozen=True, slots=True)
class Ping:
    """A keepalive is due."""


@dataclass(frozen=True, slots=True)
class Deaf:
    """Nothing came since a request went out: the connection may have vanished without a word."""


@dataclass(frozen=True, slots=True)
class End:
    """The connection must end: `kind` in a word to count by, `text` as the rest of a sentence."""

    kind: str
    text: str


class ConnectionClock:
    """The clock of one connection: told what happens, and asked from time to time what is due."""

    __slots__ = (
        "_answers_pings",
        "_asked_at",
        "_begun_at",
        "_deaf_at",
        "_heard_at",
        "_keepalive_s",
        "_limits",
        "_message_at",
        "_opened_at",
        "_ours",
        "_pinged_at",
        "established",
        "kept",
    )

    def __init__(
        self, now: float, *, ours: bool, limits: StreamLimits, keepalive_s: float | None
    ) -> None:
        """`ours`: we opened it, and ping every `keepalive_s` seconds of silence (None: never)."""
        self._ours = ours
        self._limits = limits
        self._keepalive_s = keepalive_s
        self._opened_at = now
        self._heard_at = now
        self._message_at: float | None = None
        self._begun_at: float | None = None
        self._pinged_at: float | None = None
        self._asked_at: float | None = None
        self._deaf_at: float | None = None
        self._answers_pings = False
        #: messages can pass: after the TLS handshake, at once over TCP
        self.established = False
        #: no stranger any more
        self.kept = ours

    def heard(self, now: float, *, pong: bool, messages: bool, waiting: bool) -> None:
        """Bytes came: a pong perhaps, whole messages, or the beginning of one that is waiting."""
        self._heard_at = now
        self._asked_at = self._deaf_at = None
        self._answers_pings |= pong
        if messages:
            self._message_at = now
        if not waiting:
            self._begun_at = None
        elif messages or self._begun_at is None:
            self._begun_at = now

    @property
    def awaits_pong(self) -> bool:
        """A ping went out, and nothing came since."""
        return self._pinged_at is not None and self._heard_at < self._pinged_at

    def pinged(self, now: float) -> None:
        """A ping went out."""
        self._pinged_at = now

    def asked(self, now: float) -> None:
        """A request went out, which wants a response."""
        if self._asked_at is None:
            self._asked_at = now

    def due(self, now: float) -> Ping | Deaf | End | None:
        """What must be done with the connection now."""
        if self._asked_at is not None and now - self._asked_at >= DEAF_S:
            self._asked_at = None
            if self._deaf_at is None:
                self._deaf_at = now
            return Deaf()
        if self._deaf_at is not None and now - self._deaf_at > VANISHED_S:
            return End("vanished", f"nothing came for {VANISHED_S:g} s after a request")
        limits = self._limits
        if not self.established:
            if now - self._opened_at > limits.handshake_s:
                return End("no handshake", f"no TLS handshake within {limits.handshake_s:g} s")
            return None
        if self._begun_at is not None and now - self._begun_at > limits.message_s:
            return End("slow", f"a message was not complete after {limits.message_s:g} s")
        return self._as_client(now) if self._ours else self._as_server(now)

    def _as_client(self, now: float) -> Ping | End | None:
        used_at = self._opened_at if self._message_at is None else self._message_at
        if now - used_at > self._limits.idle_ours_s:
            return End("idle", f"no message for {self._limits.idle_ours_s:g} s")
        if self._keepalive_s is None:
            return None
        pinged_at = self._pinged_at if self._pinged_at is not None else self._opened_at
        if self.awaits_pong and self._answers_pings and now - pinged_at > PONG_S:
            return End("no keepalive", f"it answered no keepalive within {PONG_S:g} s")
        return Ping() if now - max(self._heard_at, pinged_at) >= self._keepalive_s else None

    def _as_server(self, now: float) -> End | None:
        limits = self._limits
        if self.kept:
            return None
        if self._message_at is None:
            if now - self._opened_at > limits.first_message_s:
                return End("silent", f"no message within {limits.first_message_s:g} s")
        elif now - self._message_at > limits.idle_s:
            return End("idle", f"no message for {limits.idle_s:g} s")
        return None
