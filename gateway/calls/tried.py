"""The attempts of a call as they went, and what a former run of this program knew of a call.

Times are seconds since 1970.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.calls.routing import Attempt
from gateway.value import frozen


@dataclass(slots=True)
class Tried:
    """One attempt as it went. `code` 0 and `reason` "" until it ended."""

    attempt: Attempt
    started: float
    call_sid: str = ""
    #: one for each server that was asked, in order
    sip_call_ids: list[str] = field(default_factory=list)
    early_media: bool = False
    #: when it first rang, sent early media or answered
    rang: float | None = None
    answered: float | None = None
    ended: bool = False
    code: int = 0
    reason: str = ""
    detail: str = ""
    #: why it ended, by our softswitch
    cause: str = ""
    #: headers of the peer's last message that say why
    words: Mapping[str, str] = field(default_factory=dict)

    @property
    def sip_call_id(self) -> str:
        """That of the last INVITE; "" if there was none."""
        return self.sip_call_ids[-1] if self.sip_call_ids else ""

    def note_sip_call_id(self, sip_call_id: str) -> None:
        """Another server is asked, or the same one spoke."""
        if sip_call_id and sip_call_id not in self.sip_call_ids:
            self.sip_call_ids.append(sip_call_id)


@frozen(kw_only=True)
class Past:
    """What a former run of this program put on record of a call."""

    tried: list[Tried]
    answered: float | None
    retell_call_id: str | None
    #: where a registered call is dialled
    uri: str | None
