"""`config`: settings of the session. Ours is whether it is recorded; jambonz's are about speech.

An application that decides later acknowledges `session:new` with it: the call waits for commands.
"""

from typing import Final

from sip.core.value import frozen
from sip.softswitch.jambonz.recording import Record, record
from sip.softswitch.jambonz.session import Session, Verb
from sip.softswitch.jambonz.verbs.schema import ANY, NO_EFFECT, UNDONE, UNSUPPORTED, Shape


@frozen(kw_only=True)
class Config:
    """`record` is what is wanted of the recording, if anything is."""

    record: Record | None = None

    def run(self, session: Session) -> None:
        if self.record is not None:
            self.record.apply(session.call)


VERB: Final[Shape[Verb]] = Shape(
    "config",
    Config,
    {
        **ANY,
        "reset": NO_EFFECT,  # nothing was set
        "record": ("record", record),
        **dict.fromkeys(("notifyEvents", "referHook"), UNDONE),
        **dict.fromkeys(
            (
                *("synthesizer", "recognizer", "bargeIn", "listen", "stream", "amd"),
                *("transcribe", "fillerNoise", "onHoldMusic", "actionHookDelayAction", "vad"),
                *("sipRequestWithinDialogHook", "boostAudioSignal", "earlyMedia"),
                *("ttsStream", "autoStreamTts", "disableTtsCache", "trackTtsPlayout"),
                *("notifySttLatency", "noiseIsolation", "turnTaking"),
            ),
            UNSUPPORTED,
        ),
    },
)
