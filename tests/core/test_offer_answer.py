"""RFC 3264, RFC 6337: one offer at a time."""

import itertools

import pytest

from sip.core.offer_answer import TABLE, Input, OfferAnswer, State


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Input)))
def test_what_is_not_allowed_now_changes_nothing(state: State, event: Input) -> None:
    subject = OfferAnswer(state)
    allowed = (state, event) in TABLE
    assert subject.step(event) is allowed
    assert subject.state is TABLE.get((state, event), state)


def test_an_offer_is_closed_by_its_answer_only() -> None:
    exchange = OfferAnswer()
    assert exchange.step(Input.SEND_OFFER)
    assert not exchange.step(Input.RECEIVE_OFFER)  # glare: 491
    assert exchange.step(Input.RECEIVE_ANSWER)
    assert exchange.step(Input.RECEIVE_OFFER)
    assert not exchange.step(Input.SEND_OFFER)
    assert exchange.step(Input.SEND_ANSWER)
