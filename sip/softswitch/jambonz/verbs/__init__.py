"""The verbs of jambonz that we run, one file each.

Every module here but `amd`, `schema` and `targets` names its verb's shape `VERB`, and is found by
being here.
"""

from importlib import import_module
from pkgutil import iter_modules
from typing import Final

from sip.softswitch.jambonz.session import Verb
from sip.softswitch.jambonz.verbs.schema import KNOWN_TO_JAMBONZ, Shape, Tell, VerbError

#: What verbs have in common, and parts of one.
_PARTS: Final = frozenset({"amd", "schema", "targets"})


def _found() -> dict[str, Shape[Verb]]:
    """The shape of every verb, by the verb's name."""
    names = (module.name for module in iter_modules(__path__) if module.name not in _PARTS)
    shapes = (import_module(f"{__name__}.{name}").VERB for name in names)
    return {shape.what: shape for shape in shapes}


#: What an application may say, by the verb's name.
VERBS: Final = _found()


#: jambonz 0.9.8's other verbs (@jambonz/verb-specifications 0.1.13, specs.json), and the names
#: that it takes for some of them.
JAMBONZ_VERBS: Final = frozenset(
    {
        *("alert", "conference", "dequeue", "dialogflow", "dub", "enqueue"),
        *("leave", "lex", "listen", "llm", "message", "pipeline", "rasa", "record"),
        *("rest:dial", "say", "stream", "transcribe"),
    }
)

#: jambonz 0.9.8's commands.
JAMBONZ_COMMANDS: Final = frozenset(
    {
        *("redirect", "call:status", "config", "dial", "dub", "mute:status"),
        *("conf:mute-status", "conf:hold-status", "conf:participant-action", "listen:status"),
        *("stream:status", "transcribe:status", "whisper", "sip:request", "dtmf"),
        *("boostAudioSignal", "media:path", "llm:tool-output", "llm:update", "tts:tokens"),
        *("tts:flush", "tts:clear"),
    }
)


def parse_verbs(data: object, tell: Tell) -> list[Verb]:
    """The verbs of an ack or a command. Raises VerbError for the first that cannot be run.

    `tell(text)` is called for what is taken although it is not done.
    """
    if not isinstance(data, list):
        raise VerbError("malformed jambonz payload: must be array")
    return [_verb(item, tell) for item in data]


def _verb(item: object, tell: Tell) -> Verb:
    if not isinstance(item, dict):
        raise VerbError("malformed jambonz payload: a verb must be an object")
    name = item.get("verb")
    shape = VERBS.get(name) if isinstance(name, str) else None
    if shape is not None:
        return shape.read(item, tell)
    if name in JAMBONZ_VERBS:
        raise VerbError(f"verb {name!r} is {KNOWN_TO_JAMBONZ}")
    raise VerbError(f"invalid instruction: verb {name!r} is not known")
