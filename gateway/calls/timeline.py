"""What happened in a call, in order: of its record, of SIP messages that are kept, and of Retell's
webhooks. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gateway.storage.call_records import CallRecord
from gateway.storage.retell_events import RetellEvent
from gateway.value import frozen


@frozen(kw_only=True)
class Moment:
    """One of them: `at_ms` is milliseconds since 1970, `what` a slug, `text` a sentence's worth of
    it. `leg` is `a`, the caller's, or the trunk of one that was dialled; "" where it is of none."""

    at_ms: int
    what: str
    text: str
    leg: str = ""
    data: Mapping[str, Any]


def timeline(
    record: CallRecord, messages: Iterable[Mapping[str, Any]], events: Iterable[RetellEvent] = ()
) -> list[Moment]:
    """All of it, the earliest first; of several at once, in the order in which they follow."""
    told = [*_beginning(record), *_sip(record, messages), *_course(record), *_retell(events)]
    found = [*told, *_keys(record), *_end(record)]
    return sorted(found, key=lambda moment: moment.at_ms)


def _beginning(record: CallRecord) -> Iterator[Moment]:
    yield Moment(
        at_ms=record.started_ms,
        what="call.begun",
        text=f"{record.from_number} calls {record.to_number}, by {record.trunk}",
        leg="a",
        data={"direction": record.direction, "headers": record.headers},
    )


def _course(record: CallRecord) -> Iterator[Moment]:
    for attempt in record.attempts:
        kept = ("role", "target", "code", "reason", "detail", "amd", "early_media")
        yield Moment(
            at_ms=attempt["started_ms"],
            what="leg.dialled",
            text=f"{attempt['target']} is dialled over {attempt['trunk']}",
            leg=attempt["trunk"],
            data={name: attempt.get(name) for name in kept},
        )
    if record.answered_ms is not None:
        yield Moment(
            at_ms=record.answered_ms,
            what="call.answered",
            text=f"answered by {record.agent or 'the other side'}",
            data={"agent": record.agent, "retell_call_id": record.retell_call_id},
        )
    for each in record.transfers:
        yield Moment(
            at_ms=each["asked_ms"],
            what="transfer.asked",
            text=f"a transfer to {each['asked_for']} is asked for, by {each['by']}",
            data={"transfer_id": each["transfer_id"], "policy": each["policy"]},
        )
        if each["ended_ms"] is not None:
            names = ("transfer_id", "outcome", "stage", "target", "code", "reason")
            yield Moment(
                at_ms=each["ended_ms"],
                what="transfer.over",
                text=f"the transfer to {each['asked_for']}: {each['outcome']}",
                data={name: each[name] for name in names},
            )


def _retell(events: Iterable[RetellEvent]) -> Iterator[Moment]:
    """What Retell's webhooks told, when they came."""
    for event in events:
        yield Moment(
            at_ms=event.received_ms,
            what=f"retell.{event.event}",
            text=f"Retell tells {event.event}",
            data={"event_id": event.event_id, "state": event.state},
        )


def _keys(record: CallRecord) -> Iterator[Moment]:
    """How many keys each leg pressed and was sent, told at the end: which they were is secret, and
    when is not kept."""
    if record.ended_ms is None:
        return
    for name, leg in (record.media or {}).items():
        if not isinstance(leg, Mapping):
            continue
        received, sent = leg.get("keys_received", 0), leg.get("keys_sent", 0)
        if received or sent:
            yield Moment(
                at_ms=record.ended_ms,
                what="keys.counted",
                text=f"keys: {received} were pressed, {sent} were sent",
                leg=name,
                data={"received": received, "sent": sent},
            )


def _end(record: CallRecord) -> Iterator[Moment]:
    if record.ended_ms is None:
        return
    names = ("ended_by", "cause", "sip_status", "fault", "duration_s", "disconnection_reason")
    yield Moment(
        at_ms=record.ended_ms,
        what="call.ended",
        text=f"{record.cause}, by {record.ended_by}",
        data={name: getattr(record, name) for name in names},
    )


def _sip(record: CallRecord, messages: Iterable[Mapping[str, Any]]) -> Iterator[Moment]:
    legs = {name: each["trunk"] for each in record.attempts for name in each["sip_call_ids"]}
    if record.a_sip_call_id is not None:
        legs[record.a_sip_call_id] = "a"
    for message in messages:
        yield Moment(
            at_ms=round(message["at"] * 1000),
            what=f"message.{message['direction']}",
            text=message["summary"],
            leg=legs.get(message["sip_call_id"], ""),
            data={name: message[name] for name in ("peer", "local", "sip_call_id")},
        )
