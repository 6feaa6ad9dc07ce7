"""What Retell says of a call, whichever event comes first."""

import itertools
import json
from typing import Any

import pytest

from config.webhook_settings import WebhookSettings
from gateway.callbacks.outbox import MAX_BODY
from gateway.storage.retell_events import RetellEvent
from gateway.storage.retell_facts import facts_of, merged
from gateway.webhooks.forwarding import forwarded
from gateway.webhooks.identity import event_id_of

TOLD: dict[str, dict[str, Any]] = {
    "call_started": {"call_status": "ongoing", "start_timestamp": 1},
    "transfer_started": {"call_status": "ongoing"},
    "call_ended": {"call_status": "ended", "end_timestamp": 9, "transcript": "hello"},
    "call_analyzed": {"call_status": "ended", "call_analysis": {"call_successful": True}},
}


def told(event: str, **more: Any) -> dict[str, Any]:
    return facts_of(event, f"id of {event}", {"event": event, "call": {**TOLD[event], **more}})


@pytest.mark.parametrize("order", list(itertools.permutations(TOLD)))
def test_the_order_in_which_events_come_does_not_matter(order: tuple[str, ...]) -> None:
    found: dict[str, Any] = {}
    for event in (*order, *order):
        found = merged(found, told(event))
    assert found == {
        "as_of": "call_analyzed",
        "status": "ended",
        "started_ms": 1,
        "ended_ms": 9,
        "transcript_event": "id of call_ended",
        "analysis": {"call_successful": True},
    }


def test_what_has_another_kind_or_is_too_long_is_left_out() -> None:
    found = told(
        "call_ended",
        recording_url={"a": 1},
        duration_ms="12",
        end_timestamp=True,
        call_cost={"long": "x" * 40_000},
    )
    assert found.keys() == {"as_of", "status", "transcript_event"}


def event_id(event: str, call: dict[str, Any], **more: Any) -> str:
    body = {"event": event, "call": {"call_id": "call_1", **call}, **more}
    return event_id_of(json.dumps(body), body)


def test_the_same_event_is_known_though_its_words_differ() -> None:
    assert event_id("call_ended", {}) == event_id("call_ended", {"duration_ms": 2})
    assert event_id("call_ended", {}) != event_id("call_started", {})
    assert event_id("call_ended", {}) != event_id("call_ended", {"call_id": "call_2"})


def test_a_call_may_have_several_transfers_and_many_transcripts() -> None:
    first, second = {"start_timestamp": 1}, {"start_timestamp": 2}
    to, other = {"number": "+14155550100"}, {"number": "+14155550101"}
    same = event_id("transfer_started", first, transfer_destination=to)
    assert same == event_id("transfer_started", first, transfer_destination=to, x=1)
    assert same != event_id("transfer_started", second, transfer_destination=to)
    assert same != event_id("transfer_started", first, transfer_destination=other)
    assert event_id("transcript_updated", {"n": 1}) == event_id("transcript_updated", {"n": 1})
    assert event_id("transcript_updated", {"n": 1}) != event_id("transcript_updated", {"n": 2})
    assert event_id("of_tomorrow", {"n": 1}) != event_id("of_tomorrow", {"n": 2})


def row(event: str = "call_ended") -> RetellEvent:
    return RetellEvent(
        event_id="rte_1",
        place="1",
        event=event,
        retell_call_id="call_1",
        workspace="retell",
        received_ms=1,
        body="",
    )


def test_of_a_long_event_the_transcript_is_left_out() -> None:
    words = [{"role": "agent", "content": "x" * 100}] * 1000
    call = {"call_id": "call_1", "transcript": "hello", "transcript_object": words}
    settings = WebhookSettings(forward_url="https://hooks.example.com")
    found = forwarded(settings, row(), {"event": "call_ended", "call": call}, "ours")
    assert found is not None
    assert found.data["left_out"] == ["call.transcript_object"]
    assert found.data["retell"]["call"] == {"call_id": "call_1", "transcript": "hello"}
    assert len(json.dumps(dict(found.data))) < MAX_BODY
    assert "transcript_object" in call


@pytest.mark.parametrize(
    ("events", "goes"),
    [(["*"], True), (["call_ended"], True), (["call_analyzed"], False), ([], False)],
)
def test_only_the_events_that_are_wanted_go_on(events: list[str], goes: bool) -> None:
    settings = WebhookSettings(
        forward_url="https://hooks.example.com", forward_events=tuple(events)
    )
    assert (forwarded(settings, row(), {}, None) is not None) is goes
    assert forwarded(WebhookSettings(), row(), {}, None) is None
