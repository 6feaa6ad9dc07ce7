"""What is refused before a request reaches its handler, in the order of RFC 3261 8.2."""

from collections.abc import Iterable

from sip.core import refer, reliable, replaces, session_timer
from sip.core.body import SDP, takes_session, understood
from sip.core.info_keys import KINDS
from sip.core.message import Request
from sip.core.validation import MAGIC_COOKIE
from sip.errors import ParseError

#: Methods that we take part in; the rest of RFC 3261 8.2.1 is 405.
ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, INFO, NOTIFY"
#: The same where a peer may refer us to others: in a dialog every REFER is heard, and refused in
#: words where it may not.
ALLOW_REFER = f"{ALLOW}, REFER"
#: Extensions that a peer may require of us (RFC 3262, RFC 4028, RFC 4488, RFC 3891).
SUPPORTED = ", ".join((reliable.TAG, session_timer.TIMER, refer.NO_SUBSCRIPTION, replaces.TAG))

#: The rest of what a response to OPTIONS says of us, beside Allow and Supported (RFC 3261 11.2).
CAPABILITIES = (("Accept", SDP), ("Accept-Encoding", "identity"), ("Accept-Language", "en"))

_ALLOWED = frozenset(ALLOW.split(", "))
_IN_DIALOG = frozenset(ALLOW_REFER.split(", "))
_EXTENSIONS = frozenset(SUPPORTED.split(", "))
#: The same of a registrar: Path (RFC 3327), a Contact for all numbers of a PBX (RFC 6140).
_OF_REGISTRAR = _EXTENSIONS | {"path", "gin"}
#: Methods whose body is about the session.
_SESSION = frozenset({"INVITE", "UPDATE", "PRACK"})
#: Methods that exist; one that is not among them is 501 (RFC 3261 21.5.2).
_KNOWN = _ALLOWED | {
    *("REGISTER", "REFER", "SUBSCRIBE", "MESSAGE", "PUBLISH"),
}

Headers = tuple[tuple[str, str], ...]


class Refusals:
    """The judgement on every new request; `methods` are further ones that are served outside
    dialogs: REGISTER, for a registrar."""

    def __init__(self, methods: Iterable[str] = ()) -> None:
        self.serve(methods)

    def serve(self, methods: Iterable[str]) -> None:
        """Serve these further methods, and no others, from now on."""
        #: the Allow header of what is said outside dialogs
        self.allow = ", ".join((ALLOW, *methods))
        self._outside = (_ALLOWED | set(methods)) - {"INFO"}  # RFC 6086 4.1: in a dialog alone

    def of(self, request: Request, *, in_dialog: bool) -> tuple[int, Headers] | None:
        """Status and headers that refuse `request`; None if it is to be served.

        `in_dialog` says that a dialog of ours is known to be meant. Raises ParseError(400) for an
        INVITE whose dialog could never be spoken in.
        """
        allowed = _IN_DIALOG if in_dialog else self._outside
        if request.method not in allowed:
            status = 405 if request.method in _KNOWN else 501
            return status, (("Allow", self.allow),)
        if request.request_uri.scheme not in ("sip", "sips", "tel"):
            return 416, ()
        known = _OF_REGISTRAR if request.method == "REGISTER" else _EXTENSIONS
        unsupported = request.headers.tokens("require") - known
        if unsupported:
            return 420, (("Unsupported", ", ".join(sorted(unsupported))),)
        if not in_dialog and request.max_forwards == 0 and request.method != "OPTIONS":
            return 483, ()
        if not in_dialog and (request.to.tag or request.method == "NOTIFY"):
            return 481, ()  # RFC 6665 4.1.3: of no subscription of ours
        if request.body and request.method in _SESSION and not _readable(request):
            accept = ("Accept", f"{SDP}, multipart/mixed")
            return 415, (accept, ("Accept-Encoding", "identity"))
        if request.method == "INFO":
            return _information(request)
        if request.method == "INVITE":
            if not takes_session(request):
                return 406, (("Accept", SDP),)
            if not in_dialog:
                _check_contact(request)
        return None


def _information(info: Request) -> tuple[int, Headers] | None:
    """An INFO may bring a key, or nothing (RFC 2976 2.2): PBXs end a call if that is refused.

    Of info packages we know none (RFC 6086 4.2.2).
    """
    if "info-package" in info.headers:
        return 469, (("Recv-Info", ""),)
    if info.body and info.content_type not in KINDS:
        return 415, (("Accept", ", ".join(sorted(KINDS))),)
    return None


def _check_contact(invite: Request) -> None:
    """RFC 3261 8.1.1.8: one SIP URI that our requests can be sent to."""
    target = invite.target
    if target is None:
        if (invite.branch or "").startswith(MAGIC_COOKIE):  # before RFC 3261 it could be left out
            raise ParseError("Missing Contact")
    elif target[1].scheme not in ("sip", "sips"):
        raise ParseError("Contact Is No SIP URI")


def _readable(request: Request) -> bool:
    """Whether a body that must be understood can be (RFC 3261 8.2.3)."""
    encoding = request.headers.get("content-encoding")
    plain = not encoding or encoding.strip().lower() == "identity"
    return plain and understood(request)
