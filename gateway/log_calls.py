"""Which call a line of the log is of: the softswitch knows `call_sid` and SIP's Call-ID, the
application gives each call its `call_id`, and an operator follows any of them, or a number."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

#: Keys of a line whose value is an id of a call or of one of its legs.
ID_KEYS: Final = ("call_sid", "sip_call_id", "leg_sip_call_id", "b_sip_call_id")
#: Keys by which a call may be watched for, beside its ids.
_PARTY_KEYS: Final = ("from", "to", "trunk", "agent")
#: Ids that are remembered: the calls of a busy minute, with all their legs.
MOST: Final = 20_000
_NO_DIGIT: Final = re.compile(r"\D")
#: Digits that make two ways of writing a number the same one, with and without a prefix.
_ENOUGH_DIGITS: Final = 7


class CallIds:
    """The `call_id` that belongs to each other id, of the calls of late."""

    def __init__(self) -> None:
        self._call_ids: dict[str, str] = {}

    def name(self, call_id: str, *others: str) -> None:
        """All these are one call's."""
        for other in others:
            if other:
                self._call_ids[other] = call_id
        while len(self._call_ids) > MOST:
            del self._call_ids[next(iter(self._call_ids))]

    def of(self, line: Mapping[str, Any]) -> str | None:
        """The `call_id` of a line that has another id; None where none is known."""
        for key in ID_KEYS:
            known = self._call_ids.get(line.get(key, ""))
            if known is not None:
                return known
        return None


class Watch:
    """Calls of which an operator wants to see every line: `wanted` holds numbers, trunks, agents
    and ids of any kind. A call that a line was wanted of is followed by all of that line's ids."""

    def __init__(self, wanted: Iterable[str]) -> None:
        self._wanted = frozenset(wanted)
        digits = (_NO_DIGIT.sub("", text) for text in self._wanted)
        self._digits = tuple(text for text in digits if len(text) >= _ENOUGH_DIGITS)
        self._followed: dict[str, None] = {}

    def __bool__(self) -> bool:
        return bool(self._wanted)

    def wants(self, line: Mapping[str, Any]) -> bool:
        """Whether a line is of such a call."""
        ids = [line[key] for key in ("call_id", *ID_KEYS) if line.get(key)]
        if not (
            any(each in self._followed or each in self._wanted for each in ids)
            or any(self._is_party(line.get(key)) for key in _PARTY_KEYS)
        ):
            return False
        self._followed |= dict.fromkeys(ids)
        while len(self._followed) > MOST:
            del self._followed[next(iter(self._followed))]
        return True

    def _is_party(self, value: Any) -> bool:
        if not isinstance(value, str):
            return False
        digits = _NO_DIGIT.sub("", value) if self._digits else ""
        return value in self._wanted or (
            len(digits) >= _ENOUGH_DIGITS
            and any(one.endswith(digits) or digits.endswith(one) for one in self._digits)
        )
