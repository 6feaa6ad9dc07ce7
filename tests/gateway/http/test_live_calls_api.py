"""What may be done to a call that is up, over something that does it as it is told."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.calls.control import (
    ControlError,
    Leg,
    NoSoundError,
    NotLiveError,
    Transfer,
    TransferRefusedError,
    TransferVerdict,
    UnsupportedError,
    WrongStateError,
)
from gateway.http.app_keys import CALLS
from gateway.http.rules.route import PREFIX
from gateway.storage.answers import AnswerStore
from gateway.storage.errors import StorageError
from tests.gateway.conftest import TOKEN, TRUNK_DID, Gateway, Json, Start


class Control:
    """A `LiveCallControl` that remembers, or raises `error`."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.error: ControlError | None = None
        self.verdict = TransferVerdict("transferred", "bridge", "reception", 200, "OK", 1)

    def _note(self, *asked: Any) -> None:
        if self.error is not None:
            raise self.error
        self.asked.append(asked)

    async def transfer(self, call_id: str, to: str, *, by: str) -> Transfer:
        self._note("transfer", call_id, to, by)
        return Transfer("transfer-1", self.outcome)

    async def outcome(self) -> TransferVerdict:
        return self.verdict

    async def hangup(self, call_id: str) -> None:
        self._note("hangup", call_id)

    async def hold(self, call_id: str) -> None:
        self._note("hold", call_id)

    async def resume(self, call_id: str) -> None:
        self._note("resume", call_id)

    async def dtmf(self, call_id: str, digits: str, leg: Leg) -> None:
        self._note("dtmf", call_id, digits, leg)

    async def play(self, call_id: str, sound: str, leg: Leg) -> None:
        self._note("play", call_id, sound, leg)

    async def mute(self, call_id: str, leg: Leg, *, on: bool) -> None:
        self._note("mute", call_id, leg, on)


@pytest.fixture
def control() -> Control:
    return Control()


@pytest.fixture
async def gateway(start: Start, control: Control) -> Gateway:
    return await start(make={"control": control})


@asynccontextmanager
async def talking(gateway: Gateway) -> AsyncIterator[str]:
    """A call that is up, by our id."""
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID)
        await jambonz.answered()
        yield (await gateway.until(lambda call: call["answered_at"] is not None))["call_id"]
        await jambonz.callee_hangs_up()
    await gateway.app[CALLS].none_left()


async def post(
    gateway: Gateway, call_id: str, what: str, body: Any = None, **headers: str
) -> tuple[int, Json, bool]:
    """Status, body, and whether it was given before."""
    headers = {"Authorization": f"Bearer {TOKEN}", **headers}
    url = f"{gateway.url}{PREFIX}/calls/{call_id}/{what}"
    async with gateway.http.post(url, headers=headers, json=body) as response:
        told = await response.json() if await response.read() else {}
        return response.status, told, "Idempotency-Replayed" in response.headers


@pytest.mark.parametrize(
    ("what", "body", "asked"),
    [
        ("hangup", None, ("hangup",)),
        ("hold", {}, ("hold",)),
        ("resume", None, ("resume",)),
        ("dtmf", {"digits": "12#a"}, ("dtmf", "12#A", "a")),
        ("dtmf", {"digits": "1", "leg": "b"}, ("dtmf", "1", "b")),
        ("play", {"sound": "wait.wav", "leg": "b"}, ("play", "wait.wav", "b")),
        ("mute", None, ("mute", "a", True)),
        ("mute", {"leg": "b", "on": False}, ("mute", "b", False)),
    ],
)
async def test_a_wish_reaches_the_call(
    gateway: Gateway, control: Control, what: str, body: Any, asked: tuple[Any, ...]
) -> None:
    async with talking(gateway) as call_id:
        assert await post(gateway, call_id, what, body) == (202, {}, False)
    name, *more = asked
    assert control.asked == [(name, call_id, *more)]


async def test_a_transfer_begins_and_says_by_what_name_it_is_known(
    gateway: Gateway, control: Control
) -> None:
    async with talking(gateway) as call_id:
        status, body, _ = await post(gateway, call_id, "transfer", {"to": "reception"})
        assert (status, body) == (202, {"transfer_id": "transfer-1"})
    assert control.asked == [("transfer", call_id, "reception", "api admin")]


@pytest.mark.parametrize(
    ("what", "body", "told"),
    [
        ("transfer", None, "to is missing: it is a name of the directory"),
        ("transfer", {"to": ""}, "to must be a name of the directory"),
        ("transfer", {"to": "x", "too": 1}, "unknown member too; did you mean to?"),
        ("transfer", {"to": 200}, "to must be a name of the directory"),
        ("dtmf", {"digits": "12x"}, "digits must be 1 to 32 of 0-9"),
        ("dtmf", {"digits": "1" * 33}, "digits must be 1 to 32 of 0-9"),
        ("dtmf", {"digits": "1", "leg": "c"}, "leg must be who hears them: a"),
        ("mute", {"on": "yes"}, "on must be true, or false"),
        ("mute", [1], "the body must be a JSON object"),
    ],
)
async def test_a_wish_that_makes_no_sense(
    gateway: Gateway, control: Control, what: str, body: Any, told: str
) -> None:
    async with talking(gateway) as call_id:
        status, problem, _ = await post(gateway, call_id, what, body)
    assert (status, problem["code"]) == (400, "bad-body")
    assert problem["detail"].startswith(told)
    assert control.asked == []


async def test_a_body_that_is_no_json(gateway: Gateway) -> None:
    async with talking(gateway) as call_id:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        url = f"{gateway.url}{PREFIX}/calls/{call_id}/transfer"
        async with gateway.http.post(url, headers=headers, data=b"{") as response:
            assert response.status == 400
            assert (await response.json())["code"] == "bad-body"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (WrongStateError("nobody has answered yet"), 409, "wrong-state"),
        (NotLiveError("it ended at this moment"), 409, "not-live"),
        (UnsupportedError("this jambonz cannot do it"), 501, "unsupported"),
        (NoSoundError("there is no file wait.wav"), 404, "no-such-sound"),
        (TransferRefusedError(403, "not allowed"), 409, "target-forbidden"),
        (TransferRefusedError(404, "not in the directory", ("desk",)), 409, "no-such-target"),
        (TransferRefusedError(480, "closed until tomorrow"), 409, "target-closed"),
        (TransferRefusedError(482, "our own number"), 409, "transfer-loop"),
        (TransferRefusedError(491, "another one runs"), 409, "transfer-runs"),
        (TransferRefusedError(500, "something else"), 409, "transfer-refused"),
    ],
)
async def test_what_is_refused_is_told_in_words(
    gateway: Gateway, control: Control, error: ControlError, status: int, code: str
) -> None:
    control.error = error
    what, body = ("transfer", {"to": "x"})
    if isinstance(error, NoSoundError):
        what, body = ("play", {"sound": "wait.wav"})
    async with talking(gateway) as call_id:
        answered, problem, _ = await post(gateway, call_id, what, body)
    assert (answered, problem["code"], problem["detail"]) == (status, code, str(error))
    if isinstance(error, TransferRefusedError):
        assert problem["sip_status"] == error.code
        assert problem.get("may", []) == list(error.may)


async def test_a_call_that_never_was_and_one_that_is_over(
    gateway: Gateway, control: Control
) -> None:
    assert (await post(gateway, "unknown", "hangup"))[1]["code"] == "no-such-call"
    async with talking(gateway) as call_id:
        pass
    status, problem, _ = await post(gateway, call_id, "hangup")
    assert (status, problem["code"]) == (409, "not-live")
    assert control.asked == []


async def test_keys_are_in_no_audit(gateway: Gateway) -> None:
    async with talking(gateway) as call_id:
        await post(gateway, call_id, "dtmf", {"digits": "4711"})
        await post(gateway, call_id, "transfer", {"to": "reception"})
        await post(gateway, call_id, "mute", {"leg": "b"})
    _, audit = await gateway.get(f"{PREFIX}/audit")
    assert [entry["what"] for entry in audit["items"]] == [
        "mute leg b",
        "transfer to reception",
        "press 4 keys for leg a",
    ]


# sent again


async def test_a_wish_that_is_sent_again_is_not_done_again(
    gateway: Gateway, control: Control
) -> None:
    again = {"Idempotency-Key": "key-1"}
    async with talking(gateway) as call_id:
        first = await post(gateway, call_id, "transfer", {"to": "reception"}, **again)
        second = await post(gateway, call_id, "transfer", {"to": "reception"}, **again)
        third = await post(gateway, call_id, "transfer", {"to": "reception"})
    _, audit = await gateway.get(f"{PREFIX}/audit?limit=2")
    assert [entry["what"] for entry in audit["items"]] == [
        "transfer to reception",
        "transfer_call, sent again",
    ]
    assert first == (202, {"transfer_id": "transfer-1"}, False)
    assert second == (202, {"transfer_id": "transfer-1"}, True)
    assert third[2] is False
    assert len(control.asked) == 2


async def test_a_key_outlasts_the_gateway_and_needs_no_storage(
    start: Start, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = {"Idempotency-Key": "key-1"}
    gateway = await start(make={"control": control})
    async with talking(gateway) as call_id:
        assert (await post(gateway, call_id, "hold", **again))[2] is False
    await gateway.stop()
    gateway = await start(make={"control": control})
    assert await post(gateway, call_id, "hold", **again) == (202, {}, True)

    async def away(*_: Any) -> None:
        raise StorageError("away")

    monkeypatch.setattr(AnswerStore, "get", away)
    async with talking(gateway) as call_id:
        for replayed in (False, True):
            told = await post(gateway, call_id, "resume", **{"Idempotency-Key": "key-2"})
            assert told == (202, {}, replayed)
    assert [asked[0] for asked in control.asked] == ["hold", "resume"]


async def test_a_key_is_of_one_request(gateway: Gateway, control: Control) -> None:
    again = {"Idempotency-Key": "key-1"}
    async with talking(gateway) as call_id:
        await post(gateway, call_id, "transfer", {"to": "reception"}, **again)
        for what, body in (("transfer", {"to": "billing"}), ("play", {"sound": "a.wav"})):
            status, problem, _ = await post(gateway, call_id, what, body, **again)
            assert (status, problem["code"]) == (422, "idempotency-key-reused")
    assert len(control.asked) == 1


async def test_what_was_refused_may_be_tried_again(gateway: Gateway, control: Control) -> None:
    again = {"Idempotency-Key": "key-1"}
    async with talking(gateway) as call_id:
        control.error = WrongStateError("not now")
        assert (await post(gateway, call_id, "hold", **again))[0] == 409
        control.error = None
        assert (await post(gateway, call_id, "hold", **again))[0] == 202
        assert (await post(gateway, call_id, "hold", **again)) == (202, {}, True)
    assert control.asked == [("hold", call_id)]


@pytest.mark.parametrize("key", ["", "x" * 256])
async def test_a_key_that_is_none(gateway: Gateway, key: str) -> None:
    async with talking(gateway) as call_id:
        status, problem, _ = await post(gateway, call_id, "hold", **{"Idempotency-Key": key})
    assert (status, problem["code"]) == (400, "bad-idempotency-key")
