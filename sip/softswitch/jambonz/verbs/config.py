"""`config`: settings of the session. Ours is whether it is recorded; jambonz's are about speech.

An application that decides later acknowledges `session:new` with it: the call waits for commands.
`record` has the shape of jambonz's `recordOptions` (verb-specifications 0.1.13), whose recordings
go to a SIPREC server; ours go to our own recorder, so that the address of a server is refused.
The command `record` brings the same.
"""

import re
from typing import Any, Final

from sip.b2bua.call import Call
from sip.core.value import frozen
from sip.softswitch.jambonz.amd import Amd
from sip.softswitch.jambonz.session import Session, Verb
from sip.softswitch.jambonz.verbs.amd import amd
from sip.softswitch.jambonz.verbs.schema import (
    ANY,
    NO_EFFECT,
    UNDONE,
    UNSUPPORTED,
    Shape,
    VerbError,
    hook,
    text,
)

#: A recording's name is that of its file.
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")

_START, _RESUME = "startCallRecording", "resumeCallRecording"
_PAUSE, _STOP = "pauseCallRecording", "stopCallRecording"


@frozen(kw_only=True)
class Record:
    """`action` is jambonz's word; `name` the recording's, by default the call's id."""

    action: str
    name: str = ""

    def apply(self, call: Call) -> None:
        """Have the call do it, now or when two talk."""
        match self.action:
            case "startCallRecording" | "resumeCallRecording":
                call.recording.begin(self.name)
            case "pauseCallRecording":
                call.recording.pause()
            case _:
                call.recording.end()


def _action(what: str, key: str, value: object) -> str:
    if value in (_START, _RESUME, _PAUSE, _STOP):
        return str(value)
    raise VerbError(f"{what}: {key} must be {_START}, {_PAUSE}, {_RESUME} or {_STOP}")


def _name(what: str, key: str, value: object) -> str:
    name = text(what, key, value)
    if not _NAME.fullmatch(name):
        raise VerbError(f"{what}: {key} must be 1 to 64 letters, digits, '_', '.', '-'")
    return name


_SHAPE: Final[Shape[Record]] = Shape(
    "record",
    Record,
    {
        "action": ("action", _action),
        "recordingID": ("name", _name),
        **dict.fromkeys(("siprecServerURL", "headers"), UNSUPPORTED),
    },
    required="action",
)


def record(what: str, key: str, value: Any) -> Record:
    """Reads the object. Raises VerbError."""
    if not isinstance(value, dict):
        raise VerbError(f"{what}: {key} must be an object")
    return _SHAPE.read(value, lambda _: None)


@frozen(kw_only=True)
class Config:
    """`record` is what is wanted of the recording, if anything is; `amd` who is told who the first
    leg's peer is, or that a caller is a fax machine.

    `refer_hook` hears of each REFER for which the dial names no hook of its own.
    """

    record: Record | None = None
    amd: Amd | None = None
    refer_hook: str | None = None

    def run(self, session: Session) -> None:
        if self.record is not None:
            self.record.apply(session.call)
        if self.amd is not None:
            session.detect(self.amd, None)
        if self.refer_hook is not None:
            session.hear_of_refers(self.refer_hook)


VERB: Final[Shape[Verb]] = Shape(
    "config",
    Config,
    {
        **ANY,
        "reset": NO_EFFECT,  # nothing was set
        "record": ("record", record),
        "amd": ("amd", amd),
        "referHook": ("refer_hook", hook),
        "notifyEvents": UNDONE,
        **dict.fromkeys(
            (
                *("synthesizer", "recognizer", "bargeIn", "listen", "stream"),
                *("transcribe", "fillerNoise", "onHoldMusic", "actionHookDelayAction", "vad"),
                *("sipRequestWithinDialogHook", "boostAudioSignal", "earlyMedia"),
                *("ttsStream", "autoStreamTts", "disableTtsCache", "trackTtsPlayout"),
                *("notifySttLatency", "noiseIsolation", "turnTaking"),
            ),
            UNSUPPORTED,
        ),
    },
)
