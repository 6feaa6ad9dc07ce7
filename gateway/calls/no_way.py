"""Why nobody is called: what the asking side is told, and what the operator can do about it."""

from gateway.calls.endings import Refusal
from gateway.value import frozen


@frozen
class NoWay:
    """`words` is a sentence for the log, which names the key of the configuration to change."""

    refusal: Refusal
    words: str
