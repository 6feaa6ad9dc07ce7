"""A call of Twilio's, while we know of it."""

import asyncio
from dataclasses import dataclass, field

from gateway.calls.incoming import Longest
from gateway.storage.call_records import CallRecord


@dataclass(slots=True, kw_only=True)
class VoiceCall:
    """`record` is there once it is known that the call is ours to carry (`on_record`); `answer` is
    the document that every request for this call gets."""

    call_sid: str
    answer: "asyncio.Task[str] | None" = None
    record: CallRecord = field(init=False)
    on_record: bool = False
    #: as callers are counted (`gateway.calls.incoming`)
    longest: Longest | None = None
    came: tuple[str, str] | None = None
    #: it is told as answered, and as over; a call of a former run was counted by that
    told_answer: bool = False
    told_end: bool = False
    #: whether the call was answered that its stream became; None: it became none
    streamed: bool | None = None
    timer: asyncio.TimerHandle | None = None
