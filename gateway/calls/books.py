"""What is kept of calls while they last and when they end: records, ladders, samples, metrics, and
the two lines of the log that each call has; and what is told to whoever looks on."""

import structlog

from gateway.calls.endings import OUR_BUG, Ending
from gateway.calls.ladders import Ladders
from gateway.calls.live_call import LiveCall
from gateway.calls.metrics import Metrics
from gateway.calls.quality import media_of, qualities_of
from gateway.calls.record_of_call import between, close_record, note_progress, seen
from gateway.feed import Feed
from gateway.log import seconds
from gateway.storage.call_records import CallRecord, CallStore
from gateway.storage.samples import SampleStore

log = structlog.get_logger("gateway.call")


class Books:
    """Writes calls down."""

    def __init__(
        self,
        store: CallStore,
        metrics: Metrics,
        ladders: Ladders | None,
        samples: SampleStore | None,
        feed: Feed | None,
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._ladders = ladders
        self._samples = samples
        self._feed = feed

    def counted(self, call: LiveCall) -> None:
        """The call is one from now on."""
        self._metrics.call_started(call.record.direction, call.record.trunk)

    def opened(self, call: LiveCall) -> None:
        """It has a record from now on."""
        call.on_record = True
        record = call.record
        log.info(
            "call.begin",
            call_id=call.call_id,
            call_sid=call.call_sid,
            sip_call_id=record.a_sip_call_id,
            direction=record.direction,
            trunk=record.trunk,
            **{"from": record.from_number, "to": record.to_number},
            method=record.method,
            agent=record.agent,
        )
        self._show("begun", record)

    def answered(self, call: LiveCall, at: float) -> None:
        """It was answered, `at` seconds since 1970."""
        record = call.record
        setup_s = between(record.started_ms, round(at * 1000))
        self._metrics.call_answered(record.direction, record.trunk, setup_s)
        note_progress(record, call.machine)
        self._show("answered", record)

    def save(self, call: LiveCall) -> None:
        """Keep how far it is."""
        note_progress(call.record, call.machine)
        self._store.save(call.record)

    def close(self, call: LiveCall) -> Ending:
        """Keep how it ended, and say so."""
        machine, record = call.machine, call.record
        ending = machine.ending or OUR_BUG.ending()
        media = media_of(machine.media)
        close_record(record, machine, ending, media.figures)
        self._store.save(record)
        if self._samples is not None:
            self._samples.save(record.call_id, media.samples)
        if self._ladders is not None:
            self._ladders.call_over(record)
        self._metrics.call_ended(
            record.direction, record.trunk, ending, machine.legs, record.duration_s
        )
        trunks = {"a": record.trunk, "b": machine.tried[-1].attempt.trunk if machine.tried else ""}
        for leg, quality in qualities_of(media.figures):
            self._metrics.leg_ended(trunks[leg], quality)
        _tell_end(call, ending)
        self._show("ended", record)
        return ending

    def _show(self, what: str, record: CallRecord) -> None:
        if self._feed is not None:
            self._feed.tell(f"live-call.{what}", record.call_id, seen(record))


def _tell_end(call: LiveCall, ending: Ending) -> None:
    record = call.record
    log.info(
        "call.end",
        call_id=call.call_id,
        call_sid=call.call_sid,
        sip_call_id=record.a_sip_call_id,
        b_sip_call_id=record.b_sip_call_id,
        retell_call_id=record.retell_call_id,
        direction=record.direction,
        by=ending.by,
        cause=ending.cause,
        sip_status=ending.sip_status,
        fault=ending.fault.value,
        setup_s=seconds(between(record.started_ms, record.answered_ms)),
        talk_s=seconds(record.duration_s),
        total_s=seconds(between(record.started_ms, record.ended_ms)),
        attempts=[f"{item['trunk']}:{item['code'] or '-'}" for item in record.attempts],
    )
