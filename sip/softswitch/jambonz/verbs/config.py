"""`config`: settings of the session. We have none: jambonz's are about speech and media.

An application that decides later acknowledges `session:new` with it: the call waits for commands.
"""

from typing import Final

from sip.core.value import frozen
from sip.softswitch.jambonz.session import Session, Verb
from sip.softswitch.jambonz.verbs.schema import ANY, NO_EFFECT, UNDONE, UNSUPPORTED, Shape


@frozen
class Config:
    def run(self, session: Session) -> None:
        pass


VERB: Final[Shape[Verb]] = Shape(
    "config",
    Config,
    {
        **ANY,
        "reset": NO_EFFECT,  # nothing was set
        **dict.fromkeys(("notifyEvents", "referHook"), UNDONE),
        **dict.fromkeys(
            (
                *("synthesizer", "recognizer", "bargeIn", "listen", "stream", "record", "amd"),
                *("transcribe", "fillerNoise", "onHoldMusic", "actionHookDelayAction", "vad"),
                *("sipRequestWithinDialogHook", "boostAudioSignal", "earlyMedia"),
                *("ttsStream", "autoStreamTts", "disableTtsCache", "trackTtsPlayout"),
                *("notifySttLatency", "noiseIsolation", "turnTaking"),
            ),
            UNSUPPORTED,
        ),
    },
)
