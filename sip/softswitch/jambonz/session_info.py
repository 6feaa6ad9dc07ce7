"""What is known of a call, which came or is placed, before its application hears of it."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Protocol

from sip.core.message import Request
from sip.core.value import frozen
from sip.softswitch.dialling.identity import Identity

Json = dict[str, Any]


#: A call that came is trying, also where the caller already gave up.
_TRYING: Final[Json] = {"sip_status": 100, "sip_reason": "Trying", "call_status": "trying"}


class SessionInfo(Protocol):
    """A call as messages about it tell it: `caller` calls `number`, its first leg is of `trunk`.

    `untold` are the names of the headers that do not go on, and why.
    """

    @property
    def direction(self) -> str:
        """jambonz's word for who began it."""

    @property
    def caller(self) -> Identity: ...
    @property
    def number(self) -> str: ...
    @property
    def trunk(self) -> str: ...
    @property
    def untold(self) -> tuple[tuple[str, str], ...]: ...

    def origin(self) -> Json:
        """Where it comes from, as every message about it tells."""

    def details(self) -> Json:
        """What `session:new` tells once and no later message repeats."""


@frozen(kw_only=True)
class PlacedInfo:
    """A call that we place, from `caller` to `number` by way of `trunk`."""

    direction: ClassVar[str] = "outbound"

    caller: Identity
    number: str
    trunk: str
    untold: tuple[tuple[str, str], ...] = ()

    def origin(self) -> Json:
        """Nowhere: we began it."""
        return {}

    def details(self) -> Json:
        """As in jambonz there is no `sip`: no INVITE came."""
        return {"caller_name": self.caller.name or ""}


@frozen(kw_only=True)
class InviteInfo:
    """A call that came.

    `invite` came over `trunk` from the address `source` to our address and port `local`. `told` are
    the headers that an application may see, `untold` the names of the others and why. `login` is
    `user@realm` where the peer proved itself by digest.
    """

    direction: ClassVar[str] = "inbound"

    invite: Request
    source: str
    local: str
    trunk: str
    caller: Identity
    number: str
    told: Mapping[str, str]
    untold: tuple[tuple[str, str], ...] = ()
    login: str | None = None

    def origin(self) -> Json:
        """The peer and its trunk."""
        return {
            "originating_sip_ip": self.source,
            "originating_sip_trunk_name": self.trunk,
        }

    def details(self) -> Json:
        """The INVITE.

        `verstat` is there where the carrier says what it found of the caller's signature.
        """
        told: Json = {
            **_TRYING,
            "sip": self._sip(),
            "caller_name": self.caller.name or "",
            "local_sip_address": self.local,
        }
        if self.caller.verstat is not None:
            told["verstat"] = self.caller.verstat
        return told

    def _sip(self) -> Json:
        """The INVITE. X-Authenticated-User is ours alone: no peer's own is among `told`."""
        headers: Json = {
            **self.told,
            "X-Forwarded-For": self.source,
            "X-Originating-Carrier": self.trunk,
        }
        if self.login is not None:
            headers["X-Authenticated-User"] = self.login
        invite = self.invite
        body = invite.body.decode(errors="replace")
        return {
            "headers": headers,
            "body": body,
            "method": invite.method,
            "version": "2.0",
            "uri": invite.uri,
            "payload": [{"type": invite.content_type, "content": body}] if body else [],
        }


@frozen(kw_only=True)
class StreamInfo:
    """A call that came as a media stream: `caller` has called `number`, and whoever carries the
    call at the address `source` has answered it. `told` are headers that an application may see, as
    if an INVITE had brought them; `trunk` is the name that its calls are known by."""

    direction: ClassVar[str] = "inbound"

    source: str
    trunk: str
    caller: Identity
    number: str
    told: Mapping[str, str]
    untold: tuple[tuple[str, str], ...] = ()

    def origin(self) -> Json:
        """Who carries it."""
        return {
            "originating_sip_ip": self.source,
            "originating_sip_trunk_name": self.trunk,
        }

    def details(self) -> Json:
        """What an INVITE would have said."""
        headers = {
            **self.told,
            "X-Forwarded-For": self.source,
            "X-Originating-Carrier": self.trunk,
        }
        sip: Json = {"headers": headers, "body": "", "method": "INVITE", "version": "2.0"}
        sip |= {"uri": f"sip:{self.number}@{self.source}", "payload": []}
        return {**_TRYING, "sip": sip, "caller_name": self.caller.name or ""}
