"""What the records of calls that belong together say of each other.

The caller's call has every transfer of Retell's in `related`, with its leg; a transfer that is
certain is `part_of` it, and stays out of lists of calls.
"""

from collections.abc import Coroutine, Mapping
from typing import Any, Final

import structlog

from config.settings import Settings
from gateway.calls.call_machine import CallMachine, Phase
from gateway.calls.endings import Role
from gateway.calls.live_call import LiveCall
from gateway.calls.routing import Direction, from_retell
from gateway.calls.warm_transfer import Certainty, Held, Relation, relation
from gateway.jambonz.messages import NewCall
from gateway.storage.call_records import CallRecord, CallStore, sip_call_ids
from gateway.storage.errors import StorageError

log = structlog.get_logger("gateway.call")

#: What an entry of `related` is to the call that has it: handed on by it, or its transfer.
ORIGIN: Final = "origin"
TRANSFER: Final = "transfer"


def held(call: LiveCall) -> Held | None:
    """The call as one that Retell may hand on; None: nobody talks to Retell in it."""
    machine, record = call.machine, call.record
    if machine.phase is not Phase.TALKING or record.part_of is not None:
        return None
    placed = record.direction != Direction.INBOUND.value
    if record.direction != Direction.RETELL.value and not _talks_to_retell(machine):
        return None
    person, number = record.from_number, record.to_number
    if placed:
        person, number = number, person
    return Held(call_id=call.call_id, person=person, number=number)


def _talks_to_retell(machine: CallMachine) -> bool:
    connected = machine.connected
    return connected is not None and connected.attempt.role is Role.RETELL and not connected.ended


class RelatedCalls:
    """Keeps the records of such calls in step while they are up."""

    def __init__(self, calls: Mapping[str, LiveCall], store: CallStore) -> None:
        """`calls` are those in progress."""
        self._calls = calls
        self._store = store
        #: the callers' records of each transfer: they may end before it
        self._origins: dict[str, list[CallRecord]] = {}

    def of(self, settings: Settings, new: NewCall) -> Relation | None:
        """The calls in progress that Retell hands on by this one, or may."""
        if not from_retell(settings, new):
            return None
        talking = filter(None, map(held, self._calls.values()))
        country = settings.outbound.default_country
        return relation(new, talking, country, settings.is_own_number)

    def begin(self, record: CallRecord, found: Relation) -> None:
        """A new call is, or may be, a transfer of these."""
        certainty, of = found.certainty.value, list(found.call_ids)
        record.related = [
            {"call_id": call_id, "role": ORIGIN, "certainty": certainty} for call_id in of
        ]
        if found.certainty is Certainty.CERTAIN:
            [record.part_of] = of
        log.info("call.handed-on", call_id=record.call_id, certainty=certainty, of=of)

    def note(self, record: CallRecord) -> None:
        """Tell the callers' records how far this call is, if it is a transfer."""
        for origin in self._of(record):
            note_transfer(origin, record)
            self._store.save(origin)

    def over(self, record: CallRecord) -> Coroutine[Any, Any, None] | None:
        """The call has ended. What is left to do for callers' calls that ended in a former run of
        this program: their records are in the store alone."""
        self.note(record)
        known = {origin.call_id for origin in self._origins.pop(record.call_id, ())}
        rest = [call_id for call_id in origins(record) if call_id not in known]
        return self._tell_stored(record, rest) if rest else None

    def _of(self, record: CallRecord) -> list[CallRecord]:
        wanted = origins(record)
        if not wanted:
            return []
        kept = self._origins.setdefault(record.call_id, [])
        known = {origin.call_id for origin in kept}
        live = (call.record for call in self._calls.values() if call.call_id in wanted)
        kept += (origin for origin in live if origin.call_id not in known)
        return kept

    async def _tell_stored(self, record: CallRecord, call_ids: list[str]) -> None:
        for call_id in call_ids:
            try:
                origin = await self._store.get(call_id)
            except StorageError as error:
                log.error("call.record-unread", call_id=call_id, error=str(error))
                continue
            if origin is not None:
                note_transfer(origin, record)
                self._store.save(origin)


def origins(record: CallRecord) -> list[str]:
    """The calls that this one is, or may be, a transfer of."""
    return [entry["call_id"] for entry in record.related if entry["role"] == ORIGIN]


def note_transfer(origin: CallRecord, record: CallRecord) -> None:
    """Write what is known of a transfer into its caller's record."""
    entry = {
        "call_id": record.call_id,
        "role": TRANSFER,
        "certainty": _certainty(record, origin.call_id),
        "to": record.to_number,
        "trunk": record.attempts[-1]["trunk"] if record.attempts else None,
        "sip_call_ids": list(sip_call_ids(record)),
        "started_ms": record.started_ms,
        "answered_ms": record.answered_ms,
        "ended_ms": record.ended_ms,
        "ended_by": record.ended_by,
        "cause": record.cause,
        "sip_status": record.sip_status,
    }
    others: list[dict[str, Any]] = [
        one for one in origin.related if one["call_id"] != record.call_id
    ]
    origin.related = [*others, entry]


def _certainty(record: CallRecord, call_id: str) -> str:
    found = (one["certainty"] for one in record.related if one["call_id"] == call_id)
    return str(next(found))
