"""The verbs of jambonz that we run, one file each.

Every module here but `schema` names its verb's shape `VERB`, and is found by being here.
"""

from importlib import import_module
from pkgutil import iter_modules
from typing import Final

from sip.softswitch.jambonz.session import Verb
from sip.softswitch.jambonz.verbs.schema import Shape, VerbError


def _found() -> dict[str, Shape[Verb]]:
    """The shape of every verb, by the verb's name."""
    names = (module.name for module in iter_modules(__path__) if module.name != "schema")
    shapes = (import_module(f"{__name__}.{name}").VERB for name in names)
    return {shape.what: shape for shape in shapes}


#: What an application may say, by the verb's name.
VERBS: Final = _found()


def parse_verbs(data: object) -> list[Verb]:
    """The verbs of an ack or a command. Raises VerbError for the first that cannot be run."""
    if not isinstance(data, list):
        raise VerbError("malformed jambonz payload: must be array")
    return [_verb(item) for item in data]


def _verb(item: object) -> Verb:
    if not isinstance(item, dict):
        raise VerbError("malformed jambonz payload: a verb must be an object")
    name = item.get("verb")
    shape = VERBS.get(name) if isinstance(name, str) else None
    if shape is None:
        raise VerbError(f"invalid instruction: verb {name!r} is not known here")
    return shape.read(item)
