"""One conversation with a jambonz: frames in, acknowledgements out, nothing decided.

Rules of the peer that this module keeps: an ack within a second for every message that wants
one, known or not; a new call's ack never empty; never a close with anything but 1000 while jambonz
is content, because any other code makes it come back. They hold over every kind of socket.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar

import structlog

from gateway.jambonz.messages import (
    BadFrameError,
    Envelope,
    FrameTooLargeError,
    LegStatus,
    NewCall,
    ack,
    parse,
    redirect,
)
from gateway.jambonz.verbs import Decline, Hangup, Verbs
from gateway.value import frozen

log = structlog.get_logger("gateway.jambonz")

#: What must be awaited before the next text is given.
Work: TypeAlias = Coroutine[Any, Any, None] | None
#: Takes a text.
OnText: TypeAlias = Callable[[str], Work]
#: Takes the close code.
OnClosed: TypeAlias = Callable[[int | None], None]

CLOSED_BY_JAMBONZ: Final = (1000, 1001)
NORMAL: Final = 1000
GOING_AWAY: Final = 1001
#: How long after a reconnect jambonz may take to show that it has the verbs it was given.
PROOF_S: Final = 1.0
#: The `msg` of a jambonz:error about what the softswitch goes without.
NOT_SUPPORTED: Final = "NotSupported"


class Socket(Protocol):
    """What carries a conversation: a WebSocket, or the memory of this process."""

    def send(self, text: str, lost: Callable[[str], None]) -> None:
        """Hand over a text; `lost(text)` is called if it cannot be, at once or later."""
        ...

    async def close(self, code: int) -> None:
        """Send what waits, then close."""
        ...


@frozen
class Given:
    """Verbs that were given to jambonz, in the ack of the message `msgid` or by command.

    What is sent on a socket that breaks may be lost. Any later message about the call proves that
    jambonz has it. `first`: the ack of `session:new`.
    """

    msgid: str
    verbs: Verbs
    first: bool = False


class OngoingCall(Protocol):
    """A call as far as its conversation touches it."""

    #: texts that wait for jambonz to come back
    outbox: list[str]
    #: what was given last, as long as nothing shows that jambonz has it
    unproved: "Given | None"

    @property
    def call_id(self) -> str:
        """Ours."""
        ...

    @property
    def call_sid(self) -> str:
        """jambonz's."""
        ...

    def command(self, verbs: Verbs) -> None:
        """Redirect the call to these verbs, now or when jambonz comes back."""
        ...


C = TypeVar("C", bound=OngoingCall)


class Calls(Protocol[C]):
    """Who decides about calls. A conversation tells it everything and asks it for verbs."""

    def begin(self, new: NewCall, session: "JambonzSession[Any]") -> tuple[C, Verbs]:
        """A new call and the verbs that acknowledge it."""
        ...

    def resume(self, new: NewCall, session: "JambonzSession[Any]") -> tuple[C, Work]:
        """The call that jambonz came back with, and what is to be done before its next message."""
        ...

    def find(self, call_sid: str) -> C | None:
        """The call whose caller's leg has that id."""
        ...

    def heard(self, call: C, session: "JambonzSession[Any]") -> None:
        """jambonz speaks of a call that it places before `session:new`, in that conversation."""
        ...

    def status(self, call: C, status: LegStatus) -> None:
        """A leg of the call reported."""
        ...

    def hook(self, call: C, hook: str, data: Mapping[str, Any]) -> Verbs:
        """A verb's hook: the verbs that acknowledge it, none to go on."""
        ...

    def beside(self, hook: str) -> bool:
        """Whether that hook's verbs run beside what the call does: later they would be of no use,
        or harm."""
        ...

    def untold(self, call: C) -> None:
        """The verbs of such a hook could not be sent: whoever asked has been refused meanwhile."""
        ...

    def mistake(self, call: C) -> Verbs:
        """We failed in handling a message of this call: the verbs to end it decently."""
        ...

    def refused(self, call: C) -> Verbs:
        """jambonz could not use what we sent: the verbs to end the call, none to go on."""
        ...

    def disconnected(self, call: C, session: "JambonzSession[Any]", *, for_good: bool) -> None:
        """The conversation is over. `for_good`: by jambonz at the call's end."""
        ...


class JambonzSession(Generic[C]):
    """One conversation, usually about one call.

    Its socket gives it every text, in order, and the close code at the end. `on_refused(side)` is
    called for a frame that one side could not use: "jambonz" for theirs, "gateway" for ours;
    `on_over(self)` at the end.
    """

    def __init__(
        self,
        socket: Socket,
        calls: Calls[C],
        *,
        on_refused: Callable[[str], None],
        on_over: Callable[["JambonzSession[C]"], None],
    ) -> None:
        self._socket = socket
        self._calls = calls
        self._on_refused = on_refused
        self._on_over = on_over
        self._leaving = False
        self._own: dict[str, C] = {}

    @property
    def call_ids(self) -> list[str]:
        """The calls that this conversation is about."""
        return [call.call_id for call in self._own.values()]

    def take(self, text: str) -> Work:
        """Handle a frame. What it returns must be awaited before the next frame is given."""
        try:
            envelope = parse(text)
        except BadFrameError as error:
            self._on_refused("jambonz")
            log.warning("jambonz.bad-frame", error=str(error))
            return None
        try:
            match envelope.type:
                case "session:new":
                    self._new(envelope)
                case "session:reconnect":
                    return self._reconnect(envelope)
                case "verb:hook" | "dial:confirm":
                    self._hook(envelope)
                case "call:status":
                    self._status(envelope)
                case "jambonz:error":
                    self._refused(envelope)
                case _:
                    # An adulted child (session:adulting) starts no call logic; whatever else
                    # wants an ack gets one, or jambonz waits 5 s for it.
                    self._ack_if_wanted(envelope)
        except Exception:
            self._failed(envelope)
        return None

    def closed(self, code: int | None) -> None:
        """The socket is closed: tell the calls that were on it."""
        for_good = code in CLOSED_BY_JAMBONZ and not self._leaving
        own, self._own = self._own, {}
        self._on_over(self)
        for call in own.values():
            self._calls.disconnected(call, self, for_good=for_good)

    def give(self, call: C, verbs: Verbs, msgid: str = "") -> None:
        """Give verbs, which may be none, in the ack of the message `msgid`; without it by command.

        Those that cannot be sent follow by command when jambonz is back: it would leave the caller
        waiting without them.
        """
        first = call.unproved if call.unproved is not None and call.unproved.first else None
        given = call.unproved = Given(first.msgid if first else msgid, verbs, first is not None)

        def lost(_: str) -> None:
            if call.unproved is given and not given.first:
                call.unproved = None
                if verbs:
                    call.outbox.append(redirect(verbs))

        self.send(ack(msgid, verbs) if msgid else redirect(verbs), lost)

    def send(self, text: str, lost: Callable[[str], None]) -> None:
        """Hand over a frame; `lost(text)` is called if it cannot be, at once or later."""
        self._socket.send(text, lost)

    async def close(self) -> None:
        """Close with 1000: nothing more is wanted of this conversation."""
        await self._socket.close(NORMAL)

    async def leave(self) -> None:
        """Close with 1001, going away: a jambonz with a call in progress looks for our successor,
        which finds its record open."""
        self._leaving = True
        await self._socket.close(GOING_AWAY)

    # what each message does

    def _new(self, envelope: Envelope) -> None:
        try:
            call, verbs = self._calls.begin(NewCall.of(envelope), self)
        except BadFrameError as error:
            log.warning("jambonz.bad-call", error=str(error))
            self.send(ack(envelope.msgid, _sorry(envelope)), _drop)
            return
        except Exception:
            log.exception("jambonz.call-failed", call_sid=envelope.call_sid)
            self.send(ack(envelope.msgid, _sorry(envelope)), _drop)
            return
        self._own[call.call_sid] = call
        try:
            frame = ack(envelope.msgid, verbs)
        except FrameTooLargeError as error:
            log.error("jambonz.frame-too-large", call_id=call.call_id, error=str(error))
            verbs = self._calls.mistake(call) or _sorry(envelope)
            frame = ack(envelope.msgid, verbs)
        call.unproved = Given(envelope.msgid, verbs, first=True)
        self.send(frame, _drop)

    def _reconnect(self, envelope: Envelope) -> Work:
        """Acked at once, and without verbs, which jambonz would ignore; but if the first ack was
        lost, it takes this one for it. What else may be lost is given again."""
        try:
            call, rest = self._calls.resume(NewCall.of(envelope), self)
        except Exception:
            self._failed(envelope)
            return None
        self._own[call.call_sid] = call
        given = call.unproved
        first = given is not None and given.first
        self.send(ack(envelope.msgid, given.verbs if given and first else ()), _drop)
        if given is not None and not first:
            if given.msgid:
                self.send(ack(given.msgid, given.verbs), _drop)
            asyncio.get_running_loop().call_later(PROOF_S, self._insist, call, given)
        waiting, call.outbox = call.outbox, []
        for frame in waiting:
            self.send(frame, call.outbox.append)
        return rest

    def _insist(self, call: C, given: Given) -> None:
        """jambonz forgets the hooks that wait for an ack when its socket breaks (0.9.8)."""
        if call.unproved is given and given.verbs and call.call_sid in self._own:
            self.give(call, given.verbs)

    def _hook(self, envelope: Envelope) -> None:
        parent = envelope.data.get("parent_call_sid")
        call = self._calls.find(envelope.call_sid) or self._calls.find(str(parent))
        if call is None:
            self.send(ack(envelope.msgid), _drop)
            return
        call.unproved = None
        try:
            verbs = self._calls.hook(call, envelope.hook, envelope.data)
        except Exception:
            log.exception("jambonz.hook-failed", call_id=call.call_id, hook=envelope.hook)
            verbs = self._mistaken(call, envelope.hook)
        if self._calls.beside(envelope.hook):
            self.send(ack(envelope.msgid, verbs), lambda _: self._calls.untold(call))
        else:
            self.give(call, verbs, envelope.msgid)

    def _mistaken(self, call: C, hook: str) -> Verbs:
        """What a hook gets that we failed to handle: what runs beside a call does not end it."""
        if not self._calls.beside(hook):
            return self._calls.mistake(call)
        self._calls.untold(call)
        return ()

    def _status(self, envelope: Envelope) -> None:
        status = LegStatus.of(envelope.data)
        # before `session:new` the envelope names no call
        call_sid = envelope.call_sid or status.call_sid
        call = self._calls.find(call_sid) or self._calls.find(status.parent_call_sid)
        if call is None:
            return
        if call.call_sid not in self._own and not envelope.call_sid:
            self._heard(call, status)
        call.unproved = None
        self._calls.status(call, status)

    def _heard(self, call: C, status: LegStatus) -> None:
        """jambonz begins to tell of a call that it places; a child that goes on alone is none."""
        if call.call_sid == status.call_sid:
            self._own[call.call_sid] = call
            self._calls.heard(call, self)

    def _refused(self, envelope: Envelope) -> None:
        """jambonz could not use what we sent: our fault, and the call would wait for ever.

        What our own softswitch only goes without is told in the same way, and the call goes on.
        """
        self._on_refused("gateway")
        call = self._calls.find(envelope.call_sid)
        msg = str(envelope.data.get("msg", ""))
        log.error(
            "jambonz.refused-our-frame",
            call_id=call.call_id if call else None,
            call_sid=envelope.call_sid,
            error=msg,
            details=str(envelope.data.get("details", ""))[:200],
        )
        if call is not None and msg != NOT_SUPPORTED:
            call.command(self._calls.refused(call))

    def _failed(self, envelope: Envelope) -> None:
        """An error of ours must not keep jambonz waiting."""
        log.exception("jambonz.message-failed", type=envelope.type, call_sid=envelope.call_sid)
        self._ack_if_wanted(envelope)

    def _ack_if_wanted(self, envelope: Envelope) -> None:
        if envelope.wants_ack:
            self.send(ack(envelope.msgid), _drop)


def _sorry(envelope: Envelope) -> Verbs:
    """What a call gets that we could not even begin; one that jambonz placed is answered."""
    if envelope.data.get("direction") == "outbound":
        return (Hangup(),)
    return (Decline(500, "Server Internal Error"),)


def _drop(_: str) -> None:
    """Default for a lost ack without verbs: jambonz asks again, or goes on."""
