"""Replaces: which dialog a new INVITE takes the place of (RFC 3891)."""

from __future__ import annotations

import re
from typing import Final

from sip.core.header_values import TOKEN, parse_params
from sip.core.message import Request
from sip.core.uri import find_param
from sip.core.value import frozen
from sip.errors import ParseError

#: The option tag.
TAG: Final = "replaces"

_CALL_ID: Final = re.compile(r"[^\s;,\x00-\x20\x7f]++")


@frozen(kw_only=True)
class Replaces:
    """One dialog, as seen by the side that gets the INVITE: `to_tag` is its own tag.

    `early_only`: the dialog is meant only as long as it is not answered.
    """

    sip_call_id: str
    to_tag: str
    from_tag: str
    early_only: bool = False

    @property
    def text(self) -> str:
        """The value of the header field."""
        early = ";early-only" if self.early_only else ""
        return f"{self.sip_call_id};to-tag={self.to_tag};from-tag={self.from_tag}{early}"


def parse_replaces(value: str) -> Replaces:
    """One Replaces value. Raises ParseError(400)."""
    sip_call_id, _, rest = value.strip().partition(";")
    sip_call_id = sip_call_id.strip()
    params = parse_params(f";{rest}")
    names = [name.lower() for name, _ in params]
    tags = [find_param(params, name) or "" for name in ("to-tag", "from-tag")]
    once = names.count("to-tag") == names.count("from-tag") == 1
    if not (once and _CALL_ID.fullmatch(sip_call_id) and all(map(TOKEN.fullmatch, tags))):
        raise ParseError("Malformed Replaces")
    return Replaces(
        sip_call_id=sip_call_id,
        to_tag=tags[0],
        from_tag=tags[1],
        early_only="early-only" in names,
    )


def read_replaces(invite: Request) -> Replaces | None:
    """What an INVITE is to replace; None where nothing. Raises ParseError(400), also for two."""
    lines = invite.headers.get_all("replaces")
    if not lines:
        return None
    if len(lines) > 1 or "," in lines[0]:
        raise ParseError("More Than One Replaces")
    return parse_replaces(lines[0])
