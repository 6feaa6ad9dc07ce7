"""Sequences of keys are listened for while legs talk: they reach the other leg all the same."""

from collections.abc import Callable, Mapping
from typing import Final

from sip.b2bua.call_events import Event
from sip.b2bua.hub import Hub
from sip.b2bua.legs.leg import Leg
from sip.media.events import Digit

#: Seconds between two keys of a sequence, as applications know it.
BETWEEN_S: Final = 3.0


class Capturing:
    """Tells of each sequence that a leg's peer presses. It ends when it is stopped."""

    name = "capturing"

    def __init__(
        self, sequences: Mapping[str, tuple[str, ...]], told: Callable[[str, str], None]
    ) -> None:
        """`sequences` are those of each leg, by its name; `told` gets the name and the sequence."""
        self.legs = tuple(sequences)
        self._sequences = sequences
        self._told = told
        #: the newest keys of each leg, and when the last of them came
        self._pressed: dict[str, tuple[str, float]] = {}

    def start(self, call: Hub) -> None:
        """Nothing happens until a key comes."""
        self._call = call

    def on(self, leg: Leg, event: Event) -> bool:
        """A key is for others as well."""
        name = self._call.name_of(leg)
        if name is not None and isinstance(event, Digit) and self._sequences.get(name):
            self._press(name, event)
        return False

    def stop(self) -> None:
        """Listen no more."""

    def _press(self, name: str, key: Digit) -> None:
        before, at = self._pressed.get(name, ("", key.at))
        pressed = key.digit if key.at - at > BETWEEN_S else before + key.digit
        for sequence in self._sequences[name]:
            if pressed.endswith(sequence):
                self._pressed.pop(name, None)
                self._told(name, sequence)
                return
        longest = max(map(len, self._sequences[name]))
        self._pressed[name] = pressed[-longest:], key.at
