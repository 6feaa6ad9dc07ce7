"""Which calls of Retell's belong to one caller: pure.

Retell hands a caller on by an INVITE of its own, and joins the two inside (`sip_invite`, warm and
agentic transfers: docs.retellai.com/build/single-multi-prompt-agent/transfer-call). Nothing in it
names the first call; where the transfer shows the caller, From and P-Asserted-Identity have that
number. What is recognised by it stands in the records, and changes no way that a call takes.
"""

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Final

from gateway.calls.numbers import e164
from gateway.calls.targets import asked_for
from gateway.jambonz.messages import NewCall
from gateway.value import frozen

#: Headers that may tell who calls, in lower case.
_TELLING: Final = ("from", "p-asserted-identity")
#: What is nobody's number.
_NOBODY: Final = frozenset({"", "anonymous"})


class Certainty(StrEnum):
    """Whether there can have been no other call that is handed on."""

    CERTAIN = "certain"
    PROBABLE = "probable"


@frozen(kw_only=True)
class Held:
    """A call in which somebody talks to Retell: `person` is their number, `number` is ours."""

    call_id: str
    person: str
    number: str


@frozen(kw_only=True)
class Relation:
    """The calls that a new one may hand on: one where that is certain.

    `number` is ours that they have in common, None where they have none.
    """

    certainty: Certainty
    call_ids: tuple[str, ...]
    number: str | None


def relation(
    call: NewCall,
    held: Iterable[Held],
    country: str | None,
    is_ours: Callable[[str], bool] = lambda number: False,
) -> Relation | None:
    """Whose transfer a new call from Retell is; None: nobody's that is known.

    A call from a number that `is_ours` is one that Retell places, though one agent calls another.
    """
    callers = _callers(call, country)
    found = [
        one
        for one in held
        if (person := _number(one.person, country)) in callers and not is_ours(person)
    ]
    if not found:
        return None
    numbers = {one.number for one in found}
    return Relation(
        certainty=Certainty.CERTAIN if len(found) == 1 else Certainty.PROBABLE,
        call_ids=tuple(one.call_id for one in found),
        number=found[0].number if len(numbers) == 1 else None,
    )


def _callers(call: NewCall, country: str | None) -> set[str]:
    """Who calls, by all that says so."""
    told = {call.from_number}
    for name, value in call.headers.items():
        if name.lower() in _TELLING:
            told |= {asked_for(part).user for part in value.split(",")}
    return {_number(one, country) for one in told} - _NOBODY


def _number(text: str, country: str | None) -> str:
    return e164(text, country) or text.strip().lower()
