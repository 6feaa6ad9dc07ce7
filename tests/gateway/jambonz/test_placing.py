"""What jambonz says of a call that it places, before `session:new`."""

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from gateway.jambonz.session import JambonzSession


class Socket:
    def send(self, text: str, lost: Callable[[str], None]) -> None:
        raise AssertionError(f"nothing is to be said: {text}")

    async def close(self, code: int) -> None:
        raise AssertionError(f"nobody closes: {code}")


class Calls:
    """One call that is being placed; what is told of it."""

    def __init__(self) -> None:
        self.call = SimpleNamespace(call_sid="one", call_id="ours", unproved=None, outbox=[])
        self.told: list[tuple[str, Any]] = []

    def find(self, call_sid: str) -> Any:
        return self.call if call_sid == "one" else None

    def heard(self, call: Any, session: Any) -> None:
        self.told.append(("heard", session))

    def status(self, call: Any, status: Any) -> None:
        self.told.append(("status", status.status))

    def disconnected(self, call: Any, session: Any, *, for_good: bool) -> None:
        self.told.append(("disconnected", for_good))


def conversation() -> tuple[JambonzSession[Any], Calls]:
    calls: Any = Calls()
    ignored: Any = lambda _: None  # noqa: E731
    return JambonzSession(Socket(), calls, on_refused=ignored, on_over=ignored), calls


def say(session: JambonzSession[Any], **data: Any) -> None:
    session.take(json.dumps({"type": "call:status", "msgid": "m", "data": data}))


def test_its_statuses_find_the_call_by_the_legs_own_id() -> None:
    session, calls = conversation()
    for word in ("trying", "busy"):
        say(session, call_sid="one", call_status=word)
    session.closed(1000)
    assert calls.told == [
        ("heard", session),
        ("status", "trying"),
        ("status", "busy"),
        ("disconnected", True),
    ]


def test_a_call_that_nobody_waits_for_is_none() -> None:
    session, calls = conversation()
    say(session, call_sid="other", call_status="trying")
    session.closed(1000)
    assert calls.told == []


def test_a_child_that_goes_on_alone_is_not_the_call() -> None:
    """Its envelopes name no call either (session:adulting)."""
    session, calls = conversation()
    say(session, call_sid="child", parent_call_sid="one", call_status="completed")
    session.closed(1000)
    assert calls.told == [("status", "completed")]
