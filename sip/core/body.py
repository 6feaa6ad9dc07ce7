"""Message bodies: the session description in them, alone or among other parts (RFC 5621)."""

import re
from typing import Final, NamedTuple

from sip.core.message import Request, Response

SDP: Final = "application/sdp"
#: Parts looked at; more is an attack.
MAX_PARTS: Final = 16


class Body(NamedTuple):
    """A message's body, and what it is."""

    content_type: str
    content: bytes


_BOUNDARY: Final = re.compile(r';\s*+boundary\s*+=\s*+(?:"([^"]{1,70}+)"|([^\s;"]{1,70}+))', re.I)
_BLANK_LINE: Final = re.compile(rb"\r?\n\r?\n")
_HEADER: Final = re.compile(rb"^([A-Za-z-]++)\s*+:\s*+([^\r\n]*+)\r?$", re.M)


def session_description(message: Request | Response) -> str | None:
    """The SDP that `message` brings: as its body, or as a part of a multipart body.

    Carriers send ISUP (RFC 3204), PIDF-LO (RFC 6442) and others beside it; those are passed over.
    """
    if not message.body:
        return None
    kind = message.content_type
    if kind == SDP:
        return message.body.decode(errors="replace")
    if kind.startswith("multipart/"):
        for part_type, _, body in _parts(message):
            if part_type == SDP:
                return body.decode(errors="replace")
    return None


def understood(request: Request) -> bool:
    """Whether we understand every part of the body that must be understood.

    RFC 5621 3.1: a part that is optional to handle may be passed over, and so may every part beside
    the session description in multipart/alternative. What says in so many words that it must be
    understood is not passed over.
    """
    kind = request.content_type
    if not request.body or kind == SDP:
        return True
    if not kind.startswith("multipart/"):
        return _optional((request.headers.get("content-disposition") or "").encode())
    if kind == "multipart/alternative":
        return session_description(request) is not None
    return all(
        part_type == SDP
        or _optional(disposition)
        or (part_type in _PASSED_OVER and not _required(disposition))
        for part_type, disposition, _ in _parts(request)
    )


def takes_session(request: Request) -> bool:
    """Whether its sender can read our session description (RFC 3261 20.1, RFC 4475 3.3.15).

    Without Accept it can; an Accept that is empty accepts nothing.
    """
    if "accept" not in request.headers:
        return True
    accepted = {item.partition(";")[0].strip().lower() for item in request.headers.values("accept")}
    return not accepted.isdisjoint({SDP, "application/*", "*/*"})


#: What carriers put beside SDP and forget to mark as optional; callers lose nothing by it.
_PASSED_OVER: Final = frozenset(
    {
        *("application/isup", "application/qsig", "application/pidf+xml"),
        *("application/rs-metadata+xml", "application/vnd.etsi.sci+xml", "text/plain"),
    }
)


def _parts(message: Request | Response) -> list[tuple[str, bytes, bytes]]:
    """Content-Type, Content-Disposition and content of each part (RFC 2046 5.1)."""
    boundary = _BOUNDARY.search(message.headers.get("content-type") or "")
    if boundary is None:
        return []
    mark = b"--" + (boundary[1] or boundary[2]).encode()
    found = []
    for part in (b"\r\n" + message.body).split(b"\n" + mark)[1 : MAX_PARTS + 1]:
        if part.startswith(b"--"):
            break
        blank = _BLANK_LINE.search(part)
        if blank is None:
            continue
        head, body = part[: blank.start()], part[blank.end() :].removesuffix(b"\r")
        fields = {name.lower(): value for name, value in _HEADER.findall(head)}
        kind = fields.get(b"content-type", b"text/plain").partition(b";")[0].strip().lower()
        disposition = fields.get(b"content-disposition", b"")
        found.append((kind.decode(errors="replace"), disposition, body))
    return found


def _optional(disposition: bytes) -> bool:
    return b"handling=optional" in disposition.replace(b" ", b"").lower()


def _required(disposition: bytes) -> bool:
    return b"handling=required" in disposition.replace(b" ", b"").lower()
