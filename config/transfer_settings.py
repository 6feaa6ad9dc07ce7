"""How callers are handed on: a trunk's own ways of it, and what holds for every transfer."""

import re
from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import BeforeValidator, Field

from config.texts import HeaderValue, Name, SoundName, XHeaderName
from config.values import Model, Seconds, text_of

#: What becomes of a call whose target hangs up after a transfer that we bridged.
After = Literal["end", "next", "agent"]

_REFER_TO = re.compile(
    r"tel:\{number\}(;[^\s{}<>?]+)?"
    r"|sips?:\{number\}@(\{host\}|[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?(;[^\s{}<>?]+)?"
)
_FULL_NUMBER = re.compile(r"\+\d+")
#: RFC 3261 25.1: what may stand in a user part as it is.
_USER = "+-_.!~*'()&=$,;?/"
_PATTERN = re.compile(r"\+?[0-9#]{1,15}\*?|\*")


def _refer_to(value: Any) -> str:
    """A URI with `{number}` for who is to be called and `{host}` for the trunk's own host."""
    text = text_of(value)
    if not _REFER_TO.fullmatch(text):
        raise ValueError(
            f"{text!r} is not a form of Refer-To such as tel:{{number}} or sip:{{number}}@{{host}}"
        )
    return text


def _number_pattern(value: Any) -> str:
    """A number, or its beginning and a `*`; `*` alone is every number."""
    text = text_of(value)
    if not _PATTERN.fullmatch(text):
        raise ValueError(f"{text!r} is neither a number nor the beginning of one and a *")
    return text


ReferTo = Annotated[str, BeforeValidator(_refer_to)]
NumberPattern = Annotated[str, BeforeValidator(_number_pattern)]


class TrunkTransferSettings(Model):
    """How a caller who came by this trunk is handed on (`trunks[].transfer`).

    `policy`: `refer` asks the peer itself to call the target (RFC 3515), `bridge` calls it from
    here, `auto` tries the first and then the second. `refer_to` and `headers` are of our REFER,
    `bye` who ends the dialog once it has succeeded, `refer_wait_s` how long there may be no news.
    `accept`: whether the peer may send REFER to us. `foreign_caller_id`: whether it takes a call
    whose From is no number of ours.
    """

    policy: Literal["auto", "refer", "bridge"] = "bridge"
    refer_to: ReferTo = "sip:{number}@{host}"
    headers: dict[XHeaderName, HeaderValue] = Field(default={}, repr=False)
    bye: Literal["us", "peer"] = "us"
    refer_wait_s: Seconds = 20
    accept: bool | None = None
    foreign_caller_id: bool | None = None

    def refer_uri(self, target: str, host: str) -> str:
        """Who is to be called as the peer wants it in Refer-To: `target` is a number in E.164 or
        what else it knows by itself; that is none of tel: (RFC 3966), whatever the form."""
        form = self.refer_to
        if form.startswith("tel:") and not _FULL_NUMBER.fullmatch(target):
            form = "sip:{number}@{host}"
        return form.format(number=quote(target, safe=_USER), host=host)

    def accepts(self, kind: str) -> bool:
        """Whether a peer of that kind may send REFER: unless it is said, all but a carrier may."""
        return kind != "carrier" if self.accept is None else self.accept

    def shows_foreign(self, kind: str) -> bool:
        """Whether a peer of that kind takes a From that is no number of ours: unless it is said,
        all but a carrier do."""
        return kind != "carrier" if self.foreign_caller_id is None else self.foreign_caller_id


class OverrideSettings(Model):
    """What X-Override-Number and X-Override-Carrier may say; empty: they are not read."""

    numbers: tuple[NumberPattern, ...] = ()
    carriers: tuple[Name, ...] = ()


class TransferSettings(Model):
    """What holds for every transfer (`transfer`).

    A target rings `ring_s`; `announcement` and `ringing` are sounds for the caller. `after` is
    what happens when the target hangs up, `agent_lost` when the agent's leg dies in mid-call.
    `targets`: whom an agent may reach, those of `directory` or any number that the guard allows.
    """

    ring_s: Seconds = 30
    announcement: SoundName | None = None
    ringing: SoundName | None = None
    after: After = "end"
    agent_lost: Literal["end", "agent", "fallback"] = "fallback"
    targets: Literal["listed", "guarded"] = "listed"
    override: OverrideSettings = OverrideSettings()
