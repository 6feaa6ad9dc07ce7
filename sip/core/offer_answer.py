"""Who may offer now: the offer/answer state of one dialog (RFC 3264 4, RFC 3261 14, RFC 6337)."""

from dataclasses import dataclass
from enum import Enum, auto


class OfferState(Enum):
    __hash__ = object.__hash__  # members are singletons; see Timer

    STABLE = auto()
    """no offer is open; either side may make one"""
    OFFERED = auto()
    """we made an offer and wait for the answer"""
    ANSWERING = auto()
    """the peer made an offer and waits for ours"""


class OfferInput(Enum):
    __hash__ = object.__hash__  # members are singletons; see Timer

    SEND_OFFER = auto()
    RECEIVE_OFFER = auto()
    SEND_ANSWER = auto()
    RECEIVE_ANSWER = auto()
    #: the open offer was refused or withdrawn: the session stays as it was (RFC 3261 14.1)
    CLOSE = auto()


TABLE: dict[tuple[OfferState, OfferInput], OfferState] = {
    (OfferState.STABLE, OfferInput.SEND_OFFER): OfferState.OFFERED,
    (OfferState.STABLE, OfferInput.RECEIVE_OFFER): OfferState.ANSWERING,
    (OfferState.STABLE, OfferInput.CLOSE): OfferState.STABLE,
    (OfferState.OFFERED, OfferInput.RECEIVE_ANSWER): OfferState.STABLE,
    (OfferState.OFFERED, OfferInput.CLOSE): OfferState.STABLE,
    (OfferState.ANSWERING, OfferInput.SEND_ANSWER): OfferState.STABLE,
    (OfferState.ANSWERING, OfferInput.CLOSE): OfferState.STABLE,
}


@dataclass(slots=True)
class OfferAnswer:
    """One dialog's offer/answer exchange; `step` returns whether the input was allowed now.

    A refused RECEIVE_OFFER while OFFERED is glare: answer 491. While ANSWERING it is a second
    offer before the first was answered: answer 500 with Retry-After (RFC 3261 14.2).
    """

    state: OfferState = OfferState.STABLE

    def step(self, event: OfferInput) -> bool:
        """Take `event` if it is allowed in this state; else change nothing and return False."""
        following = TABLE.get((self.state, event))
        if following is None:
            return False
        self.state = following
        return True
