"""Who reaches an agent, how often, and for how long."""

from dataclasses import dataclass
from typing import Any

import pytest

from config.settings import Settings
from gateway.calls.incoming import Came, Incoming, Longest
from gateway.storage.call_records import CallRecord
from tests.gateway.conftest import FALLBACK_DID, TRUNK_DID, settings_data

CALLER, OTHER = "+12125550100", "+12125550101"
NOON = 1_796_000_400.0


@dataclass
class Call:
    record: CallRecord
    longest: Longest | None = None
    came: tuple[str, str] | None = None


class Desk:
    """The rules of a configuration, and a clock."""

    def __init__(self, own: Any = None, /, **inbound: Any) -> None:
        numbers = {TRUNK_DID: {"inbound": own} if own else {}, FALLBACK_DID: {}}
        data = settings_data(inbound=inbound, numbers=numbers)
        self.settings = Settings.model_validate(data)
        self.now = NOON
        self.incoming = Incoming(self.settings, lambda: self.now)

    def comes(self, caller: str = CALLER, number: str = TRUNK_DID) -> Came | str:
        """The call, or why it does not reach anybody."""
        rules = self.incoming.rules(self.settings.numbers[number])
        no_way = self.incoming.judge(caller, number, rules)
        if no_way is not None:
            return no_way.refusal.cause
        record = CallRecord(
            call_id="1",
            call_sid="1",
            direction="inbound",
            trunk="carrier",
            from_number=caller,
            to_number=number,
            method=None,
            agent=None,
            started_ms=0,
        )
        call = Call(record)
        self.incoming.begin(call, rules)
        return call

    def goes(self, call: Came | str) -> None:
        assert not isinstance(call, str), call
        self.incoming.end(call)


@pytest.mark.parametrize(
    ("pattern", "caller", "cause"),
    [
        (CALLER, CALLER, "caller-blocked"),
        (CALLER, OTHER, None),
        ("+1212*", OTHER, "caller-blocked"),
        ("+1213*", OTHER, None),
        ("anonymous", "anonymous", "caller-anonymous"),
        ("anonymous", "Restricted", "caller-anonymous"),
        ("anonymous", "", "caller-anonymous"),
        ("anonymous", CALLER, None),
        ("200", "200", "caller-blocked"),
    ],
)
def test_the_block_list(pattern: str, caller: str, cause: str | None) -> None:
    came = Desk(block=[pattern]).comes(caller)
    assert (came if isinstance(came, str) else None) == cause


def test_a_numbers_own_list_takes_the_place_of_that_for_all() -> None:
    desk = Desk({"block": [OTHER]}, block=[CALLER])
    assert not isinstance(desk.comes(CALLER), str)
    assert desk.comes(OTHER) == "caller-blocked"
    assert desk.comes(CALLER, FALLBACK_DID) == "caller-blocked"


def test_calls_of_a_caller_at_the_same_time() -> None:
    desk = Desk(caller={"calls": 1})
    first = desk.comes()
    assert desk.comes(number=FALLBACK_DID) == "caller-too-many"
    second = desk.comes(OTHER)
    desk.goes(first)
    desk.goes(first)  # twice does no harm
    desk.goes(desk.comes())
    desk.goes(second)


def test_all_who_withhold_their_number_are_one_caller() -> None:
    desk = Desk(caller={"calls": 1})
    assert not isinstance(desk.comes("anonymous"), str)
    assert desk.comes("Unavailable") == "caller-too-many"


def test_calls_to_a_number_at_the_same_time() -> None:
    desk = Desk({"number": {"calls": 2}}, number={"calls": 1})
    for caller in (CALLER, OTHER):
        desk.comes(caller)
    assert desk.comes("+12125550102") == "number-too-many"
    desk.comes(CALLER, FALLBACK_DID)
    assert desk.comes(OTHER, FALLBACK_DID) == "number-too-many"


def test_an_hour_goes_by() -> None:
    desk = Desk(caller={"calls_per_hour": 2})
    desk.goes(desk.comes())
    desk.now += 1800
    desk.goes(desk.comes())
    assert desk.comes() == "caller-full"
    desk.now += 1800
    desk.goes(desk.comes())
    assert desk.comes() == "caller-full"
    assert not isinstance(desk.comes(OTHER), str)


def test_a_day_begins_at_midnight() -> None:
    desk = Desk(number={"calls_per_day": 1})
    desk.goes(desk.comes())
    assert desk.comes(OTHER) == "number-full"
    desk.now += 86_400
    desk.goes(desk.comes(OTHER))


def test_how_long_a_call_may_last() -> None:
    desk = Desk({"max_duration_s": 60}, max_duration_s=600, announcement="over.wav")
    own, common = desk.comes(), desk.comes(number=FALLBACK_DID)
    assert not isinstance(own, str)
    assert not isinstance(common, str)
    assert own.longest == Longest(60, "over.wav")
    assert common.longest == Longest(600, "over.wav")


def test_who_is_let_in_is_refused_later_by_new_settings_and_counts_on() -> None:
    desk = Desk()
    call = desk.comes()
    desk.settings = Settings.model_validate(settings_data(inbound={"caller": {"calls": 1}}))
    desk.incoming.configure(desk.settings)
    assert desk.comes() == "caller-too-many"
    desk.goes(call)
    desk.goes(desk.comes())
