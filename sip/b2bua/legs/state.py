"""How far a SIP leg's dialog is."""

from enum import Enum, auto


class LegState(Enum):
    """A SIP leg's life; `ENDED` is entered once and emits nothing after."""

    STARTING = auto()
    """the INVITE is out or in, no final response yet"""
    ANSWERED = auto()
    """inbound only: our 2xx waits for its ACK"""
    UP = auto()
    LEAVING = auto()
    """our BYE or CANCEL is out; the call does not wait for it"""
    ENDED = auto()
