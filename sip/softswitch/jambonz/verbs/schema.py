"""How a verb's JSON is checked and made into a typed object.

The property names are those of jambonz 0.9.8 (verb-specifications); a property that jambonz does
not know refuses the whole array, as there. What jambonz knows and this softswitch cannot do yet is
refused with words that say so. A few properties are taken although they are not done, since a call
can do without; the application hears of each.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, TypeVar

from sip.b2bua.call_events import Headers
from sip.core.value import frozen
from sip.core.visible import visible
from sip.errors import Fault, SipError

Json = dict[str, Any]
T = TypeVar("T")

#: Checks the value of a property and says what we make of it; None is the same as no property.
#: Called with the words for the object, the name of the property, its value.
Reader = Callable[[str, str, Any], Any]
#: Hears, in words, what is taken although it is not done.
Tell = Callable[[str], None]
#: The name of our field and how it is read; None for a property that has no effect here.
Property = tuple[str, Reader] | None


#: What is said of an application's wish that jambonz would fulfil.
KNOWN_TO_JAMBONZ: Final = "known to jambonz, not supported here"


class VerbError(SipError):
    """An application sent verbs that cannot be run; the text names the verb and property."""

    fault = Fault.APPLICATION


@frozen
class Undone:
    """What a reader makes of a property that is taken and not done; `text` says so."""

    text: str


@frozen
class Shape(Generic[T]):
    """What an object of jambonz's may hold, and what is made of it.

    `what` it is, in words; for a verb, its name. `required` is the property that must be there.
    """

    what: str
    make: Callable[..., T]
    properties: Mapping[str, Property]
    required: str | None = None

    def read(self, item: Json, tell: Tell) -> T:
        """The object made of `item`. Raises VerbError."""
        fields, what, required = {}, self.what, self.required
        for key, given in item.items():
            if key not in self.properties:
                raise VerbError(f"{what}: unknown property {key}")
            known = self.properties[key]
            if known is None or given is None:
                continue
            name, reader = known
            value = reader(what, key, given)
            if isinstance(value, Undone):
                tell(value.text)
            elif value is not None:
                fields[name] = value
                required = None if key == required else required
        if required is not None:
            raise VerbError(f"{what}: {required} is missing")
        return self.make(**fields)


def text(what: str, key: str, value: object) -> str:
    if isinstance(value, str):
        return visible(value)
    raise VerbError(f"{what}: {key} must be a string")


def flag(what: str, key: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise VerbError(f"{what}: {key} must be true or false")


def seconds(what: str, key: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise VerbError(f"{what}: {key} must be a number of seconds above 0")
    return float(value)


def sound(what: str, key: str, value: object) -> str:
    """The name of a file of the folder `media.sounds`; jambonz takes a URL."""
    if not isinstance(value, str) or not value:
        raise VerbError(f"{what}: {key} must be the name of a file")
    if ":" in value:
        raise VerbError(
            f"{what}: {key} {visible(value)}: a URL is {KNOWN_TO_JAMBONZ};"
            " name a file of the folder media.sounds"
        )
    return value


def json_object(what: str, key: str, value: object) -> Json:
    if isinstance(value, dict):
        return value
    raise VerbError(f"{what}: {key} must be an object")


def hook(what: str, key: str, value: object) -> str | None:
    """A hook's URL or path; jambonz also takes an object that has it as `url`."""
    if isinstance(value, dict):
        value = value.get("url")
    if value is None or isinstance(value, str):
        return value
    raise VerbError(f"{what}: {key} must be a string or an object with a url")


def headers(what: str, key: str, value: object) -> Headers | None:
    """Header lines that an application may set."""
    if not value:
        return None
    if not isinstance(value, dict):
        raise VerbError(f"{what}: {key} must be an object")
    found = []
    for name, given in value.items():
        line = str(given)
        if any(mark in f"{name}{line}" for mark in "\r\n\0") or not name or ":" in name:
            raise VerbError(f"{what}: header {name!r} has a character that no header may have")
        if name.lower() in _OURS:
            raise VerbError(f"{what}: header {name} is the softswitch's own")
        found.append((name, line))
    return tuple(found)


def unsupported(what: str, key: str, value: object) -> None:
    if value:
        raise VerbError(f"{what}: {key} is {KNOWN_TO_JAMBONZ}")


def undone(what: str, key: str, _: object) -> Undone:
    """For a property without which the call goes on, whatever its value."""
    return Undone(f"{what}: {key} is {KNOWN_TO_JAMBONZ}; the call goes on without it")


def undone_if_set(what: str, key: str, value: object) -> Undone | None:
    """For one that false, null and empty leave unset."""
    return undone(what, key, value) if value else None


def undone_false(what: str, key: str, value: object) -> Undone | None:
    """For a property that is always true here."""
    if flag(what, key, value):
        return None
    return Undone(f"{what}: {key} false is {KNOWN_TO_JAMBONZ}; the call goes on with true")


#: A property that is taken because it makes no difference here.
NO_EFFECT: Final[Property] = None
#: A property that jambonz knows and we do not do.
UNSUPPORTED: Final[Property] = ("", unsupported)
#: A property that jambonz knows, and without which the call goes on; the application is told.
UNDONE: Final[Property] = ("", undone_if_set)
#: The properties that every verb may have.
ANY: Final[Mapping[str, Property]] = {"verb": NO_EFFECT, "id": NO_EFFECT}

#: Headers that the SIP stack writes; an application that sets them would break the dialog.
_OURS: Final = frozenset(
    {
        *("via", "from", "to", "call-id", "cseq", "contact", "max-forwards", "route"),
        *("record-route", "content-type", "content-length", "require", "supported", "allow"),
        *("authorization", "proxy-authorization", "session-expires", "min-se", "rack", "rseq"),
    }
)
