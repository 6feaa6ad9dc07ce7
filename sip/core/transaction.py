"""The four transaction machines of RFC 3261 17, with RFC 6026's Accepted state, as tables.

All transitions live in `TABLES`; an unlisted pair is ignored.
The machine knows no message, socket or clock: `step` says what to do, the owner does it.
"""

from dataclasses import dataclass, field
from enum import Enum, auto

from sip.core.timers import RETRANSMISSION, Timer, Timers


class Kind(Enum):
    """Which of the four machines."""

    __hash__ = object.__hash__  # members are singletons; see Timer

    INVITE_CLIENT = auto()
    CLIENT = auto()
    INVITE_SERVER = auto()
    SERVER = auto()


class State(Enum):
    """RFC 3261 figures 5 to 8, and Accepted of RFC 6026."""

    __hash__ = object.__hash__  # members are singletons; see Timer

    CALLING = auto()
    TRYING = auto()
    PROCEEDING = auto()
    COMPLETED = auto()
    CONFIRMED = auto()
    ACCEPTED = auto()
    TERMINATED = auto()


class Input(Enum):
    """What can happen to a transaction besides a timer."""

    __hash__ = object.__hash__  # members are singletons; see Timer

    START = auto()
    #: client: a response came in; server: the user of the transaction sends one
    PROVISIONAL = auto()
    SUCCESS = auto()
    FAILURE = auto()
    #: server: the request came again
    REQUEST = auto()
    ACK = auto()
    TRANSPORT_ERROR = auto()


class Action(Enum):
    """What the owner has to do, in this order."""

    SEND = auto()
    """client: (re)send the request; server: (re)send the newest response, if there is one"""
    ACK = auto()
    """client: acknowledge the failure response (RFC 3261 17.1.1.3)"""
    PASS = auto()
    """hand the message to the user of the transaction"""
    TIMEOUT = auto()
    """client: tell the user that no response came"""
    UNREACHABLE = auto()
    """client: tell the user that the transport failed"""


Step = tuple[State, tuple[Action | Timer, ...]]
Table = dict[tuple[State, Input | Timer], Step]

_SEND, _ACK, _PASS = Action.SEND, Action.ACK, Action.PASS
_TIMEOUT, _UNREACHABLE = Action.TIMEOUT, Action.UNREACHABLE

INVITE_CLIENT: Table = {
    (State.CALLING, Input.START): (State.CALLING, (_SEND, Timer.A, Timer.B)),
    (State.CALLING, Timer.A): (State.CALLING, (_SEND, Timer.A)),
    (State.CALLING, Timer.B): (State.TERMINATED, (_TIMEOUT,)),
    (State.CALLING, Input.TRANSPORT_ERROR): (State.TERMINATED, (_UNREACHABLE,)),
    (State.CALLING, Input.PROVISIONAL): (State.PROCEEDING, (_PASS,)),
    (State.CALLING, Input.SUCCESS): (State.ACCEPTED, (Timer.M, _PASS)),
    (State.CALLING, Input.FAILURE): (State.COMPLETED, (_ACK, Timer.D, _PASS)),
    (State.PROCEEDING, Input.PROVISIONAL): (State.PROCEEDING, (_PASS,)),
    (State.PROCEEDING, Input.SUCCESS): (State.ACCEPTED, (Timer.M, _PASS)),
    (State.PROCEEDING, Input.FAILURE): (State.COMPLETED, (_ACK, Timer.D, _PASS)),
    (State.PROCEEDING, Input.TRANSPORT_ERROR): (State.TERMINATED, (_UNREACHABLE,)),
    (State.COMPLETED, Input.FAILURE): (State.COMPLETED, (_ACK,)),
    (State.COMPLETED, Timer.D): (State.TERMINATED, ()),
    # RFC 6026 7.2: every 2xx, a retransmission or a fork's, is the user's to acknowledge
    (State.ACCEPTED, Input.SUCCESS): (State.ACCEPTED, (_PASS,)),
    (State.ACCEPTED, Timer.M): (State.TERMINATED, ()),
}

CLIENT: Table = {
    (State.TRYING, Input.START): (State.TRYING, (_SEND, Timer.E, Timer.F)),
    (State.TRYING, Timer.E): (State.TRYING, (_SEND, Timer.E)),
    (State.TRYING, Timer.F): (State.TERMINATED, (_TIMEOUT,)),
    (State.TRYING, Input.TRANSPORT_ERROR): (State.TERMINATED, (_UNREACHABLE,)),
    (State.TRYING, Input.PROVISIONAL): (State.PROCEEDING, (_PASS,)),
    (State.TRYING, Input.SUCCESS): (State.COMPLETED, (Timer.K, _PASS)),
    (State.TRYING, Input.FAILURE): (State.COMPLETED, (Timer.K, _PASS)),
    (State.PROCEEDING, Timer.E): (State.PROCEEDING, (_SEND, Timer.E)),
    (State.PROCEEDING, Timer.F): (State.TERMINATED, (_TIMEOUT,)),
    (State.PROCEEDING, Input.TRANSPORT_ERROR): (State.TERMINATED, (_UNREACHABLE,)),
    (State.PROCEEDING, Input.PROVISIONAL): (State.PROCEEDING, (_PASS,)),
    (State.PROCEEDING, Input.SUCCESS): (State.COMPLETED, (Timer.K, _PASS)),
    (State.PROCEEDING, Input.FAILURE): (State.COMPLETED, (Timer.K, _PASS)),
    (State.COMPLETED, Timer.K): (State.TERMINATED, ()),
}

INVITE_SERVER: Table = {
    (State.PROCEEDING, Input.REQUEST): (State.PROCEEDING, (_SEND,)),
    (State.PROCEEDING, Input.PROVISIONAL): (State.PROCEEDING, (_SEND,)),
    (State.PROCEEDING, Input.SUCCESS): (State.ACCEPTED, (_SEND, Timer.L)),
    (State.PROCEEDING, Input.FAILURE): (State.COMPLETED, (_SEND, Timer.G, Timer.H)),
    (State.COMPLETED, Input.REQUEST): (State.COMPLETED, (_SEND,)),
    (State.COMPLETED, Timer.G): (State.COMPLETED, (_SEND, Timer.G)),
    (State.COMPLETED, Timer.H): (State.TERMINATED, ()),
    (State.COMPLETED, Input.ACK): (State.CONFIRMED, (Timer.I,)),
    (State.CONFIRMED, Timer.I): (State.TERMINATED, ()),
    # RFC 6026 7.1: the user resends its 2xx itself; a repeated INVITE is absorbed
    (State.ACCEPTED, Input.SUCCESS): (State.ACCEPTED, (_SEND,)),
    (State.ACCEPTED, Input.ACK): (State.ACCEPTED, (_PASS,)),
    (State.ACCEPTED, Timer.L): (State.TERMINATED, ()),
}

SERVER: Table = {
    (State.TRYING, Input.PROVISIONAL): (State.PROCEEDING, (_SEND,)),
    (State.TRYING, Input.SUCCESS): (State.COMPLETED, (_SEND, Timer.J)),
    (State.TRYING, Input.FAILURE): (State.COMPLETED, (_SEND, Timer.J)),
    (State.PROCEEDING, Input.REQUEST): (State.PROCEEDING, (_SEND,)),
    (State.PROCEEDING, Input.PROVISIONAL): (State.PROCEEDING, (_SEND,)),
    (State.PROCEEDING, Input.SUCCESS): (State.COMPLETED, (_SEND, Timer.J)),
    (State.PROCEEDING, Input.FAILURE): (State.COMPLETED, (_SEND, Timer.J)),
    (State.COMPLETED, Input.REQUEST): (State.COMPLETED, (_SEND,)),
    (State.COMPLETED, Timer.J): (State.TERMINATED, ()),
}

TABLES: dict[Kind, Table] = {
    Kind.INVITE_CLIENT: INVITE_CLIENT,
    Kind.CLIENT: CLIENT,
    Kind.INVITE_SERVER: INVITE_SERVER,
    Kind.SERVER: SERVER,
}

FIRST_STATE: dict[Kind, State] = {
    Kind.INVITE_CLIENT: State.CALLING,
    Kind.CLIENT: State.TRYING,
    Kind.INVITE_SERVER: State.PROCEEDING,
    Kind.SERVER: State.TRYING,
}

#: Timers at whose end a transaction is forgotten. Nothing happens in between that stops them.
LINGERING: frozenset[Timer] = frozenset({Timer.D, Timer.I, Timer.J, Timer.K, Timer.L, Timer.M})
#: Timers that run on when the state changes. All others belong to the state they started in.
SURVIVORS: frozenset[Timer] = frozenset({Timer.E, Timer.F})
_SURVIVES_INTO: frozenset[State] = frozenset({State.PROCEEDING})

_NOTHING: tuple[Action | Timer, ...] = ()


@dataclass(slots=True)
class Machine:
    """One transaction's state: plain data, to be written down and read back.

    `reliable` says that the transport resends by itself (TCP, TLS), so we do not.
    """

    kind: Kind
    reliable: bool
    timers: Timers
    state: State = field(init=False)
    interval_s: float | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.state = FIRST_STATE[self.kind]

    def step(self, event: Input | Timer) -> tuple[Action | Timer, ...]:
        """Feed one input; returns what to do and which timers to start, in order."""
        found = TABLES[self.kind].get((self.state, event))
        if found is None:
            return _NOTHING
        self.state, actions = found
        return actions

    def start_s(self, timer: Timer) -> float | None:
        """Seconds to run `timer`, which `step` asked for; None where it must not run at all."""
        if timer not in RETRANSMISSION:
            return self.timers.delay_s(timer, reliable=self.reliable)
        if self.reliable:
            return None
        if timer is Timer.E and self.state is State.PROCEEDING:
            self.interval_s = self.timers.t2_s  # RFC 3261 17.1.2.2
        else:
            self.interval_s = self.timers.delay_s(timer, reliable=False, interval_s=self.interval_s)
        return self.interval_s

    def outlives(self, timer: Timer) -> bool:
        """Whether `timer`, started before, still runs in the present state."""
        return timer in SURVIVORS and self.state in _SURVIVES_INTO
