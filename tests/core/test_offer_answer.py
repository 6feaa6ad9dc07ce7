"""RFC 3264, RFC 6337: one offer at a time."""

import itertools

import pytest

from sip.core.offer_answer import TABLE, OfferAnswer, OfferInput, OfferState


@pytest.mark.parametrize(("state", "event"), list(itertools.product(OfferState, OfferInput)))
def test_what_is_not_allowed_now_changes_nothing(state: OfferState, event: OfferInput) -> None:
    subject = OfferAnswer(state)
    allowed = (state, event) in TABLE
    assert subject.step(event) is allowed
    assert subject.state is TABLE.get((state, event), state)


def test_an_offer_is_closed_by_its_answer_only() -> None:
    exchange = OfferAnswer()
    assert exchange.step(OfferInput.SEND_OFFER)
    assert not exchange.step(OfferInput.RECEIVE_OFFER)  # glare: 491
    assert exchange.step(OfferInput.RECEIVE_ANSWER)
    assert exchange.step(OfferInput.RECEIVE_OFFER)
    assert not exchange.step(OfferInput.SEND_OFFER)
    assert exchange.step(OfferInput.SEND_ANSWER)
