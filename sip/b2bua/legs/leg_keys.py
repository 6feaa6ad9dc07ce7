"""A SIP leg's keys: in which form its peer has them, and those that cross by INFO."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

import structlog

from sip.core import info_keys
from sip.core.body import Body
from sip.core.info_keys import ALONE, RELAY, InfoKey
from sip.core.message import Request, Response
from sip.core.sdp_keys import has_keys
from sip.media.terms import KeyForm

log = structlog.get_logger(__name__)

#: Keys that wait for those before them; more are refused.
MAX_WAITING: Final = 64


class KeyDialog(Protocol):
    """The leg whose peer is sent keys."""

    @property
    def sip_call_id(self) -> str: ...

    @property
    def confirmed(self) -> bool: ...

    @property
    def remote_sdp(self) -> str | None: ...

    def allows(self, method: str) -> bool:
        """Whether its peer takes requests of this method."""
        ...

    def request(
        self, method: str, *, body: Body | None = None, on_end: Callable[[Response | None], None]
    ) -> None: ...


class LegKeys:
    """Each INFO waits for the answer to the one before: a peer may serve them in any order.

    A peer that refuses one gets the next all the same, and the log a line.
    """

    __slots__ = ("_asked", "_leg", "_waiting", "_wish")

    def __init__(self, leg: KeyDialog, wish: KeyForm) -> None:
        """`wish` is what the leg's trunk says of the form."""
        self._leg: KeyDialog = leg
        self._wish = wish
        self._waiting: deque[InfoKey] = deque()
        #: whether an INFO is out
        self._asked = False

    @property
    def wish(self) -> KeyForm:
        """The form that its trunk wants."""
        return self._wish

    @property
    def form(self) -> KeyForm:
        """In which form the peer has keys; its newest description counts."""
        sdp = self._leg.remote_sdp
        events = sdp is not None and has_keys(sdp)
        return self._wish.settled(events=events, info=self._leg.allows("INFO"))

    def end(self) -> None:
        """The leg is over."""
        self._leg = _NO_LEG
        self._waiting.clear()

    def press(self, key: str, duration_ms: int) -> bool:
        """Send a key by INFO, after those before it.

        False where the leg is not up, or too many wait.
        """
        if not self._leg.confirmed or len(self._waiting) >= MAX_WAITING:
            return False
        self._waiting.append(InfoKey(key, duration_ms))
        if not self._asked:
            self._next()
        return True

    @staticmethod
    def read(info: Request) -> InfoKey | None:
        """The key that an INFO brings; None where it brings none."""
        return info_keys.read(info.content_type, info.body) if info.body else None

    def _next(self) -> None:
        self._asked = bool(self._waiting) and self._leg.confirmed
        if self._asked:
            kind = ALONE if self._wish is KeyForm.INFO_ALONE else RELAY
            body = Body(kind, info_keys.write(kind, self._waiting.popleft()))
            self._leg.request("INFO", body=body, on_end=self._answered)

    def _answered(self, response: Response | None) -> None:
        if self._leg is not _NO_LEG and (response is None or response.status >= 300):
            status = None if response is None else response.status
            log.warning("keys.refused", sip_call_id=self._leg.sip_call_id, status=status)
        self._next()


class _NoLeg:
    """A leg that is over: nothing can be said any more."""

    sip_call_id = ""
    confirmed = False
    remote_sdp = None

    def allows(self, method: str) -> bool:
        return False

    def request(
        self, method: str, *, body: Body | None = None, on_end: Callable[[Response | None], None]
    ) -> None:
        return None


_NO_LEG: Final = _NoLeg()
