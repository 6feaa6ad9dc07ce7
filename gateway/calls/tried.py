"""The attempts of a call as they went, and what a former run of this program knew of a call.

Times are seconds since 1970.
"""

from dataclasses import dataclass

from gateway.calls.routing import Attempt
from gateway.value import frozen


@dataclass(slots=True)
class Tried:
    """One attempt as it went. `code` 0 and `reason` "" until it ended."""

    attempt: Attempt
    started: float
    call_sid: str = ""
    sip_call_id: str = ""
    early_media: bool = False
    answered: float | None = None
    ended: bool = False
    code: int = 0
    reason: str = ""
    detail: str = ""


@frozen(kw_only=True)
class Past:
    """What a former run of this program put on record of a call."""

    tried: list[Tried]
    answered: float | None
    retell_call_id: str | None
    #: where a registered call is dialled
    uri: str | None
