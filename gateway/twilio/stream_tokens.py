"""The calls whose media stream is awaited: each has a token that opens one stream, once."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Final

from gateway.value import frozen

#: How long a token is good for, in seconds: Twilio connects when it has read the TwiML.
GOOD_FOR_S: Final = 60.0
#: Calls that may be awaited at a time; the oldest are forgotten.
MOST: Final = 10_000


def _untold(_: bool) -> None:
    """Default for `on_over`."""


@frozen(kw_only=True)
class StreamCall:
    """A call at Twilio that is told to connect a stream to us.

    `call_id` is Twilio's CallSid. `headers` are those that the application sees of it, as if an
    INVITE had brought them. `on_over` hears whether the call was answered here, before the stream
    is closed: Twilio asks at once what to do next.
    """

    call_id: str
    from_number: str
    to_number: str
    trunk: str = "twilio"
    headers: Mapping[str, str] = field(default_factory=dict)
    on_over: Callable[[bool], None] = _untold


class StreamTokens:
    """Gives out tokens and takes them back; `now` is monotonic seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._awaited: dict[str, tuple[float, StreamCall]] = {}

    def __len__(self) -> int:
        self._forget()
        return len(self._awaited)

    def issue(self, call: StreamCall) -> str:
        """The last part of the stream's URL: 192 random bits, good for one stream, soon."""
        self._forget()
        if len(self._awaited) >= MOST:
            del self._awaited[next(iter(self._awaited))]
        token = secrets.token_urlsafe(24)
        self._awaited[token] = self._now() + GOOD_FOR_S, call
        return token

    def take(self, token: str) -> StreamCall | None:
        """Whose stream it opens; None where it is unknown, used or too old. It is used up."""
        self._forget()
        found = self._awaited.pop(token, None)
        return None if found is None else found[1]

    def _forget(self) -> None:
        """They grow old in the order in which they were given out."""
        now = self._now()
        while self._awaited:
            oldest = next(iter(self._awaited))
            if self._awaited[oldest][0] > now:
                return
            del self._awaited[oldest]
