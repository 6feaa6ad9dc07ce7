"""Calls that go out, over HTTP: what is asked, what is refused, and what is told of it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.calls.endings import Fault, Refusal
from gateway.calls.no_way import NoWay
from gateway.outbound.ports import Result
from gateway.storage.answers import AnswerStore
from tests.gateway.callbacks.receiver import Receiver, receiving
from tests.gateway.conftest import Gateway, Start
from tests.gateway.http.placing import OURS, PERSON, Placing, ask, until_is

CALLBACKS = {"secret": "whsec_1", "hosts": ["127.0.0.1"]}
WISH = {"to": PERSON, "from": OURS}


def outbound(**more: Any) -> dict[str, Any]:
    return {
        "default_country": "US",
        "routes": [{"prefix": "", "trunks": ["carrier"]}],
        "callbacks": CALLBACKS,
        "queue": {"calls_per_second": 100},
        **more,
    }


@pytest.fixture
def placing() -> Placing:
    return Placing()


@pytest.fixture
async def gateway(start: Start, placing: Placing) -> Gateway:
    tokens = [{"name": "viewer", "token": "token-that-reads", "role": "read"}]
    http = {"admin_token": "admin-token", "tokens": tokens}
    return await start(make={"queue": placing.open}, outbound=outbound(), http=http)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


async def test_a_person_is_called_and_it_is_told(
    gateway: Gateway, placing: Placing, receiver: Receiver
) -> None:
    wish = {
        **WISH,
        "to": "(212) 555-0123",
        "agent": "agent_7",
        "agent_version": 3,
        "variables": {"name": "Ann"},
        "metadata": {"crm": [1]},
        "headers": {"X-Case": "4711"},
        "tag": {"case": 4711},
        "amd": {"on_machine": "hangup"},
        "ring_timeout_s": 30,
        "callback": receiver.url,
    }
    status, queued = await ask(gateway, "POST", "/calls", json=wish)
    assert status == 202
    assert (queued["to"], queued["from"], queued["state"]) == (PERSON, OURS, "waiting")
    wanted = await placing.until_begun(queued["queued_id"])
    assert (wanted.to_number, wanted.agent, wanted.agent_version) == (PERSON, "agent_7", 3)
    assert (wanted.variables, wanted.headers) == ({"name": "Ann"}, {"X-Case": "4711"})
    assert wanted.amd is not None
    assert wanted.ring_timeout_s == 30
    await placing.talks(queued["queued_id"])
    whole = await until_is(gateway, queued["queued_id"], "done")
    assert (whole["result"], whole["tries"]) == ("answered", 1)
    [made] = whole["history"]
    assert (made["call_id"], made["sip_status"]) == (whole["call_id"], 200)
    await receiver.until(lambda: len(receiver.posts) == 5)
    assert receiver.kinds(queued["queued_id"]) == [
        *("call.queued", "call.calling", "call.ringing", "call.answered", "call.done")
    ]
    last = receiver.posts[-1].body
    assert last["data"]["tag"] == {"case": 4711}
    assert last["data"]["try"]["duration_s"] == 12.5
    assert set(receiver.ids().values()) == {1}


@pytest.mark.parametrize(
    ("changes", "status", "code", "words"),
    [
        ({"to": "12"}, 422, "bad-number", "write it in E.164"),
        ({"to": "+1212555"}, 422, "bad-number", "too few digits"),
        ({"from": ""}, 400, "bad-body", "from must be our number"),
        ({"from": None}, 422, "no-from", "missing"),
        ({"trunk": "carier"}, 422, "unknown-trunk", "carier"),
        ({"window": "office"}, 422, "unknown-window", "office"),
        ({"expires": "2020-01-01T00:00:00Z"}, 422, "bad-time", "expire"),
        ({"expires": 12}, 400, "bad-body", "expires must be the time"),
        ({"callback": "http://10.0.0.1/"}, 422, "bad-callback", "outbound.callbacks.hosts"),
        ({"callback": "ftp://127.0.0.1/"}, 422, "bad-callback", "http://"),
        ({"amd": {"on_machine": "message"}}, 422, "no-such-sound", "message is missing"),
        ({"amd": {"on_machine": "sing"}}, 400, "bad-body", "amd must be"),
        ({"amd": {"machine": "hangup"}}, 400, "bad-body", "amd has no member machine"),
        ({"headers": {"Subject": "x"}}, 400, "bad-body", "X- headers"),
        ({"headers": {"X-A": "x\r\nEvil: y"}}, 400, "bad-body", "X- headers"),
        ({"priority": 11}, 400, "bad-body", "-10 to 10"),
        ({"retries": {"rules": {"unknown": {}}, "most": 2}}, 400, "bad-body", "retries must be"),
        ({"number": PERSON}, 400, "bad-body", "unknown member number"),
    ],
)
async def test_what_cannot_be_is_refused_in_words(
    gateway: Gateway, changes: dict[str, Any], status: int, code: str, words: str
) -> None:
    got, body = await ask(gateway, "POST", "/calls", json={**WISH, **changes})
    assert (got, body.get("code", "")) == (status, code)
    assert words in body.get("detail", "")


@pytest.mark.parametrize(
    ("cause", "status", "code"),
    [
        ("guard-country", 403, "forbidden-destination"),
        ("guard-day-full", 429, "cap-reached"),
        ("spend-stop", 409, "spend-stop"),
        ("no-route", 422, "no-route"),
        ("no-agent", 422, "no-agent"),
    ],
)
async def test_guard_caps_and_money_refuse(
    gateway: Gateway, placing: Placing, cause: str, status: int, code: str
) -> None:
    refusal = Refusal(403, "Forbidden", cause, Fault.CALLER)
    placing.no_way = NoWay(refusal, f"outbound.guard says {cause}")
    got, body = await ask(gateway, "POST", "/calls", json=WISH)
    assert (got, body["code"], body["detail"]) == (status, code, f"outbound.guard says {cause}")
    assert (await ask(gateway, "GET", "/queue"))[1]["items"] == []


async def test_only_who_operates_may(gateway: Gateway) -> None:
    for method, path in (("POST", "/calls"), ("POST", "/queue/pause"), ("POST", "/do-not-call")):
        status, body = await ask(gateway, method, path, token="token-that-reads", json=WISH)
        assert (status, body["code"]) == (403, "forbidden")
    assert (await ask(gateway, "GET", "/queue", token="token-that-reads"))[0] == 200


async def test_a_gateway_that_places_no_calls_says_so(start: Start) -> None:
    gateway = await start()
    status, body = await ask(gateway, "POST", "/calls", json=WISH)
    assert (status, body["code"]) == (409, "no-queue")
    assert (await ask(gateway, "GET", "/campaigns"))[1]["code"] == "no-queue"


async def test_sent_again_calls_once(gateway: Gateway, placing: Placing) -> None:
    headers = {"Idempotency-Key": "one"}
    first = await ask(gateway, "POST", "/calls", json=WISH, headers=headers)
    again = await ask(gateway, "POST", "/calls", json=WISH, headers=headers)
    assert first == again
    status, body = await ask(
        gateway, "POST", "/calls", json={**WISH, "priority": 1}, headers=headers
    )
    assert (status, body["code"]) == (422, "idempotency-key-reused")
    assert len((await ask(gateway, "GET", "/queue"))[1]["items"]) == 1


async def test_sent_again_after_a_crash_calls_once(
    start: Start, placing: Placing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer was never stored, the wish was: it is not granted twice."""
    monkeypatch.setattr(AnswerStore, "save", lambda *_: None)
    headers = {"Idempotency-Key": "one"}
    ids = []
    for number in range(2):
        gateway = await start(make={"queue": Placing().open}, outbound=outbound())
        status, body = await ask(gateway, "POST", "/calls", json=WISH, headers=headers)
        assert status == 202
        ids.append(body["queued_id"])
        if number:
            other = {**WISH, "priority": 1}
            status, body = await ask(gateway, "POST", "/calls", json=other, headers=headers)
            assert body["code"] == "idempotency-key-reused"
        await gateway.runner.cleanup()
    assert ids[0] == ids[1]


async def test_what_was_withdrawn_may_be_asked_for_anew(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sender was told 503, since the database had lost the answer to a commit."""
    monkeypatch.setattr(AnswerStore, "save", lambda *_: None)
    headers = {"Idempotency-Key": "one"}
    ids = []
    for _ in range(2):
        gateway = await start(make={"queue": Placing().open}, outbound=outbound())
        await ask(gateway, "POST", "/queue/pause")
        status, body = await ask(gateway, "POST", "/calls", json=WISH, headers=headers)
        assert (status, body["state"]) == (202, "waiting")
        ids.append(body["queued_id"])
        await ask(gateway, "POST", f"/queue/{ids[-1]}/cancel")
        await gateway.runner.cleanup()
    assert ids[0] != ids[1]


async def test_the_queue_is_listed_paused_and_cancelled(gateway: Gateway, placing: Placing) -> None:
    assert (await ask(gateway, "POST", "/queue/pause"))[0] == 202
    ids = []
    for priority in range(3):
        _, body = await ask(gateway, "POST", "/calls", json={**WISH, "priority": priority})
        ids.append(body["queued_id"])
    _, page = await ask(gateway, "GET", "/queue?state=waiting&limit=2")
    assert [one["queued_id"] for one in page["items"]] == ids[:0:-1]
    _, page = await ask(gateway, "GET", f"/queue?limit=2&cursor={page['next']}")
    assert [one["queued_id"] for one in page["items"]] == ids[:1]
    summary = (await ask(gateway, "GET", "/queue/summary"))[1]
    assert summary == {"paused": True, "counts": {"waiting": 3}}
    status, gone = await ask(gateway, "POST", f"/queue/{ids[0]}/cancel")
    assert (status, gone["state"]) == (202, "cancelled")
    status, body = await ask(gateway, "POST", f"/queue/{ids[0]}/cancel")
    assert (status, body["code"]) == (409, "already-over")
    assert (await ask(gateway, "POST", "/queue/nothing/cancel"))[1]["code"] == "no-such-call"
    assert placing.begun == {}
    await ask(gateway, "POST", "/queue/resume")
    await placing.talks(ids[2], Result.BUSY)
    assert (await until_is(gateway, ids[2], "done"))["result"] == "busy"


async def test_who_shall_not_be_called_is_not(gateway: Gateway) -> None:
    wish = {"numbers": ["212-555-0123", "+12125550124"], "reason": "asked us"}
    assert await ask(gateway, "POST", "/do-not-call", json=wish) == (200, {"numbers": 2})
    _, page = await ask(gateway, "GET", "/do-not-call?limit=1")
    [entry] = page["items"]
    assert (entry["number"], entry["reason"], entry["by"]) == (PERSON, "asked us", "admin")
    assert page["next"] == PERSON
    status, body = await ask(gateway, "POST", "/calls", json=WISH)
    assert (status, body["code"]) == (403, "do-not-call")
    assert (await ask(gateway, "DELETE", f"/do-not-call/{PERSON}"))[0] == 204
    status, body = await ask(gateway, "DELETE", f"/do-not-call/{PERSON}")
    assert (status, body["code"]) == (404, "no-such-number")
    assert (await ask(gateway, "POST", "/calls", json=WISH))[0] == 202
    wrong = {"numbers": ["12"]}
    assert (await ask(gateway, "POST", "/do-not-call", json=wrong))[1]["code"] == "bad-number"


async def test_events_that_nobody_heard_are_listed_and_told_again(
    gateway: Gateway, placing: Placing, receiver: Receiver
) -> None:
    receiver.answer = lambda _: 410
    await ask(gateway, "POST", "/queue/pause")
    _, queued = await ask(gateway, "POST", "/calls", json={**WISH, "callback": receiver.url})
    await receiver.until(lambda: len(receiver.posts) == 1)
    for _ in range(1000):
        _, page = await ask(gateway, "GET", f"/callbacks?state=dead&subject={queued['queued_id']}")
        if page["items"]:
            break
    [dead] = page["items"]
    assert (dead["kind"], dead["status"], dead["due_at"]) == ("call.queued", 410, None)
    receiver.answer = lambda _: 200
    status, _ = await ask(gateway, "POST", f"/callbacks/{dead['event_id']}/resend")
    assert status == 202
    await receiver.until(lambda: len(receiver.posts) == 2)
    assert receiver.posts[0].body == receiver.posts[1].body
    status, body = await ask(gateway, "POST", "/callbacks/nothing/resend")
    assert (status, body["code"]) == (404, "no-such-event")
    assert "gateway_callbacks_given_up_total 1.0" in await gateway.page()


# --- in jambonz's shape -------------------------------------------------------------------------

REST: dict[str, Any] = {"from": OURS, "to": {"type": "phone", "number": PERSON}}


async def test_a_call_in_the_shape_of_jambonz(gateway: Gateway, placing: Placing) -> None:
    wish = {**REST, "tag": {"a": 1}, "timeout": 20, "timeLimit": 600, "amd": {}}
    wish |= {"application_sid": "builtin", "to": {**REST["to"], "trunk": "carrier"}}
    status, made = await ask(gateway, "POST", "/Accounts/ours/Calls", json=wish)
    assert status == 201
    assert made["callId"] == made["sid"]
    wanted = await placing.until_begun(made["sid"])
    assert (wanted.ring_timeout_s, wanted.time_limit_s, wanted.trunk) == (20, 600, "carrier")
    assert (wanted.tag, wanted.amd is not None) == ({"a": 1}, True)
    path = f"/Accounts/ours/Calls/{made['sid']}"
    _, call = await ask(gateway, "GET", path)
    assert (call["call_status"], call["from"], call["to"]) == ("trying", OURS, PERSON)
    status, body = await ask(gateway, "PUT", path, json={"call_status": "completed"})
    assert (status, body["code"]) == (422, "wrong-state")
    assert (await ask(gateway, "POST", path, json={"call_status": "no-answer"}))[0] == 202
    await placing.talks(made["sid"], Result.CANCELLED)
    await until_is(gateway, made["sid"], "cancelled")
    assert (await ask(gateway, "GET", path))[1]["call_status"] == "no-answer"


async def test_a_call_in_that_shape_is_checked_as_others_are(gateway: Gateway) -> None:
    wrong = {**REST, "to": {"type": "phone", "number": PERSON, "trunk": ""}}
    status, body = await ask(gateway, "POST", "/Accounts/ours/Calls", json=wrong)
    assert (status, body["code"]) == (400, "bad-body")
    assert "trunk must be" in body["detail"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"to": {"type": "sip", "sipUri": "sip:a@example.com"}}, "telephone numbers only"),
        ({"to": {"type": "phone", "number": PERSON, "proxy": "x"}}, "to.proxy"),
        ({"call_hook": "wss://elsewhere.example.com/"}, "call_hook is not taken here"),
        ({"call_hook": {"url": "/app"}}, "call_hook is not taken here"),
        ({"application_sid": "2d1f"}, "application_sid is not taken here"),
        ({"headers": {"X-A": "b"}}, "the trunk's headers"),
        ({"callerName": "Ann"}, "caller_id"),
        ({"referHook": "/refer"}, "nothing like it"),
        ({"speech_synthesis_vendor": "x"}, "nothing like it"),
        ({"amd": {"actionHook": "/amd"}}, "amd has actionHook"),
    ],
)
async def test_what_the_queue_has_not_is_refused_in_words(
    gateway: Gateway, changes: dict[str, Any], words: str
) -> None:
    status, body = await ask(gateway, "POST", "/Accounts/ours/Calls", json={**REST, **changes})
    assert (status, body["code"]) == (422, "unsupported")
    assert words in body["detail"]
