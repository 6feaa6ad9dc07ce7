"""What is known of a call that came, before its application hears of it."""

from collections.abc import Mapping
from typing import Any

from sip.core.message import Request
from sip.core.value import frozen
from sip.softswitch.dialling.identity import Identity

Json = dict[str, Any]


@frozen(kw_only=True)
class SessionInfo:
    """An inbound call as messages about it tell it.

    `invite` came over `trunk` from the address `source` to our address and port `local`;
    `caller` calls `number`. `told` are the headers that an application may see, `untold` the names
    of the others and why. `login` is `user@realm` where the peer proved itself by digest.
    """

    invite: Request
    source: str
    local: str
    trunk: str
    caller: Identity
    number: str
    told: Mapping[str, str]
    untold: tuple[tuple[str, str], ...] = ()
    login: str | None = None

    def details(self) -> Json:
        """What `session:new` tells once and no later message repeats.

        `verstat` is there where the carrier says what it found of the caller's signature.
        """
        told: Json = {
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
