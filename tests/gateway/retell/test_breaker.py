"""When an API is left alone, and when it is asked again."""

from config.retell_api_settings import BreakerSettings
from gateway.retell.breaker import Breaker, Circuit


def breaker() -> Breaker:
    return Breaker(BreakerSettings(failures=3, pause_s=10))


def test_failures_in_a_row_open_it_and_an_answer_between_them_does_not() -> None:
    one = breaker()
    assert [one.failed(0), one.failed(1)] == [False, False]
    assert one.succeeded() is False
    assert [one.failed(2), one.failed(3), one.failed(4)] == [False, False, True]
    assert (one.state(4), one.wait_s(9)) == (Circuit.OPEN, 5)


def test_one_request_decides_after_the_pause() -> None:
    one = breaker()
    for at in range(3):
        one.failed(at)
    assert one.state(12) is Circuit.HALF_OPEN
    assert one.wait_s(12) == 0
    assert one.wait_s(12) > 0  # one at a time
    assert one.failed(13) is True
    assert one.wait_s(14) == 9
    assert one.wait_s(23) == 0
    assert one.succeeded() is True
    assert (one.state(23), one.wait_s(23)) == (Circuit.CLOSED, 0)


def test_a_request_that_nobody_waits_for_decides_nothing() -> None:
    one = breaker()
    for at in range(3):
        one.failed(at)
    assert one.wait_s(12) == 0
    one.given_up()
    assert one.wait_s(12) == 0


def test_what_was_sent_before_it_opened_prolongs_nothing() -> None:
    one = breaker()
    for at in range(3):
        one.failed(at)
    assert one.failed(8) is False
    assert one.state(12) is Circuit.HALF_OPEN
