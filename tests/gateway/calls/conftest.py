"""What every test of calls in progress checks beside its own."""

from collections.abc import Iterator

import pytest

from gateway.calls.call_machine import CallMachine
from gateway.calls.live_call import LiveCall
from gateway.jambonz.session import JambonzSession
from tests.garbage import freed


@pytest.fixture(autouse=True)
def _calls_free_themselves() -> Iterator[None]:
    """No call waits for the garbage collector, which a gateway keeps out of them."""
    with freed(LiveCall, CallMachine, JambonzSession):
        yield
