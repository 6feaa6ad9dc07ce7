"""Which header fields cross from leg to leg: only those that a trunk's policy names.

A B2BUA writes its own dialogs (RFC 7092 3.1.2), so what routes a message, names a dialog or
negotiates an extension never crosses, whatever a policy says.
"""

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from config.settings import IdentityHeader
from sip.b2bua.call_events import Headers
from sip.core.header_values import TOKEN, canonical, parse_name_addr, split_commas
from sip.core.message import Request
from sip.errors import ParseError
from sip.softswitch.dialling.identity import FIELDS, Identity, privacy
from sip.softswitch.trunks.trunk import Trunk

#: Longest header line, in bytes (docs.retellai.com/build/telephony/sip-headers: about 1024).
MAX_LINE: Final = 1024

#: Headers between this switch and its application: a peer may neither send nor receive them.
OUR_WORD: Final = frozenset(
    {"x-authenticated-user", "x-forwarded-for", "x-originating-carrier", "x-gateway-verstat"}
)
#: In which we tell the application what came of a network's check of the caller's signature: the
#: parameter of the caller's URI (3GPP TS 24.229 7.2A.20), which stands where it may not be told.
VERSTAT: Final = "X-Gateway-Verstat"
_VERSTAT: Final = re.compile(r";verstat=([A-Za-z0-9-]{1,64})", re.IGNORECASE)

#: Hop-by-hop, of one dialog, or of one body; and what identifies us to our own peer.
NEVER: Final = OUR_WORD | frozenset(
    {
        *("via", "route", "record-route", "path", "service-route", "max-forwards", "max-breadth"),
        *("from", "to", "call-id", "cseq", "contact", "rack", "rseq", "timestamp", "date"),
        *("supported", "require", "proxy-require", "unsupported", "allow", "allow-events"),
        *("accept", "accept-contact", "reject-contact", "request-disposition", "expires"),
        *("session-expires", "min-se", "min-expires", "retry-after", "warning", "reason"),
        *("authorization", "proxy-authorization", "www-authenticate", "proxy-authenticate"),
        *("authentication-info", "proxy-authentication-info", "security-client"),
        *("security-server", "security-verify", "privacy", "user-agent", "server"),
        *("content-type", "content-length", "content-encoding", "content-disposition"),
        *("content-language", "content-id", "mime-version", "refer-to", "referred-by"),
        *("refer-sub", "replaces", "join", "target-dialog", "event", "subscription-state"),
        *("sip-etag", "sip-if-match", "feature-caps", "flow-timer", "p-early-media"),
    }
)

#: What an application may read of an INVITE although it is not carried on.
_READ: Final = frozenset(
    {
        *("via", "record-route", "max-forwards", "from", "to", "call-id", "cseq", "contact"),
        *("supported", "require", "allow", "allow-events", "accept", "session-expires", "min-se"),
        *("date", "expires", "privacy", "user-agent", "server", "organization", "subject"),
        *("priority", "content-type", "content-length", "content-disposition", "mime-version"),
        # how far the peer vouches for the caller (ATIS-1000074)
        *("p-attestation-indicator", "p-origination-id"),
    }
)
#: Lists (RFC 3261 7.3.1): several lines mean the same as one with commas.
_LISTS: Final = frozenset({"diversion", "history-info", "p-asserted-identity", "user-to-user"})
#: Identity headers: they count as much as their sender is trusted.
_ASSERTING: Final[dict[str, IdentityHeader]] = {
    FIELDS[header].lower(): header for header in ("pai", "ppi", "rpid")
}
#: RFC 7044 10.1: privacy values that hide the history of a call.
_HIDING_HISTORY: Final = frozenset({"history", "header", "session"})


@dataclass(frozen=True, slots=True)
class Passed:
    """Header lines that go on, and for each dropped one its name and the reason, for the log."""

    headers: Headers
    dropped: tuple[tuple[str, str], ...] = ()


#: Where there was nothing to pass.
NOTHING: Final = Passed(())


def passing(
    headers: Iterable[tuple[str, str]], patterns: Iterable[str] | None, max_bytes: int = MAX_LINE
) -> Passed:
    """The lines whose names `patterns` allow; a `*` at the end of a pattern matches any rest.

    Without patterns, all names but those in NEVER. A list longer than `max_bytes` goes
    on as several lines; any other longer line is dropped.
    """
    wanted = None if patterns is None else _split_patterns(tuple(patterns))
    kept: list[tuple[str, str]] = []
    dropped: list[tuple[str, str]] = []
    for name, value in headers:
        key = canonical(name)
        if key in NEVER or not _matches(key, wanted):
            continue
        line = value.replace("\t", " ")
        if not TOKEN.fullmatch(name) or not line.isprintable():
            dropped.append((name, "it has a character that no header may have"))
            continue
        for part in _lines(key, line, max_bytes - len(name) - 2):
            if len(name) + 2 + len(part.encode()) <= max_bytes:
                kept.append((name, part))
            else:
                dropped.append((name, f"it has more than {max_bytes} bytes"))
    return Passed(tuple(kept), tuple(dropped))


def told_headers(
    invite: Request, trunk: Trunk, identity: Identity
) -> tuple[dict[str, str], Passed]:
    """An INVITE's headers as its application sees them, and which of them may be carried on.

    Names in lower case, X- names as received. Left out: headers that authenticate the peer,
    identity headers that the trunk is not trusted with, and whatever names a withheld caller.
    """
    told: dict[str, str] = {}
    others: list[tuple[str, str]] = []
    for key, (name, lines) in invite.headers.fields.items():
        if key in trunk.secret_headers:
            continue
        if key in _READ:
            told[key] = lines[0]
        elif key not in NEVER:
            others += ((name, line) for line in lines)
    verstat = _verstat_of(invite, trunk)
    if verstat is not None:
        told[VERSTAT] = verstat
    if not others:
        return told, NOTHING
    passed = passing(_tellable(others, invite, trunk, identity), trunk.pass_headers.inbound)
    for name, value in passed.headers:
        key = canonical(name)
        shown = name if key.startswith("x-") else key
        if shown not in told:
            told[shown] = value
        elif key in _LISTS:
            told[shown] = f"{told[shown]}, {value}"
    return told, passed


def _verstat_of(invite: Request, trunk: Trunk) -> str | None:
    """By the first of the headers that the trunk is believed in which says so."""
    for header in trunk.caller_id.accept:
        for value in invite.headers.get_all(FIELDS[header]):
            found = _VERSTAT.search(value)
            if found is not None:
                return found[1]
    return None


def outgoing_headers(given: Headers, trunk: Trunk, *, caller: str, called: str) -> Passed:
    """What an application's headers may say on `trunk`.

    A signed Identity (RFC 8224) goes on only if it was signed for this `caller` and this `called`
    number: for another call the signature is false.
    """
    passed = passing(given, trunk.pass_headers.outbound)
    kept: list[tuple[str, str]] = []
    dropped = list(passed.dropped)
    for name, value in passed.headers:
        if canonical(name) == "identity" and not signs(value, caller, called):
            dropped.append((name, "its signature is not of these numbers"))
        else:
            kept.append((name, value))
    return Passed(tuple(kept), tuple(dropped))


def with_ours(passed: Headers, identity: Headers, fixed: Headers) -> Headers:
    """The headers of an INVITE besides those that the leg writes.

    The trunk's fixed headers replace all others of their name, the caller's identity headers
    replace those that the application passed.
    """
    if not identity and not fixed:
        return passed
    first = {canonical(name) for name, _ in fixed}
    told = [line for line in identity if canonical(line[0]) not in first]
    taken = first | {canonical(name) for name, _ in told}
    return (*(line for line in passed if canonical(line[0]) not in taken), *told, *fixed)


def signs(value: str, caller: str, called: str) -> bool:
    """Whether an Identity value (RFC 8224) holds for a call between these numbers.

    The PASSporT (RFC 8225) in it names the numbers that it was signed for; its compact form
    names none, and does not hold. The signature itself is the next carrier's to verify.
    """
    try:
        payload = value.partition(";")[0].strip().split(".")[1]
        claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        signed, destinations = claims["orig"]["tn"], claims["dest"]["tn"]
    except (IndexError, KeyError, TypeError, ValueError, RecursionError):
        return False
    to_it = isinstance(destinations, list) and _digits(called) in destinations
    return to_it and signed == _digits(caller)


def _digits(number: str) -> str:
    """RFC 8225 5.2.1: canonical numbers are digits without a plus."""
    return number.removeprefix("+")


def _tellable(
    headers: Headers | list[tuple[str, str]], invite: Request, trunk: Trunk, identity: Identity
) -> Iterator[tuple[str, str]]:
    """The identity headers that the trunk is trusted with and that privacy allows."""
    for name, value in headers:
        key = canonical(name)
        if key in _ASSERTING:
            if _ASSERTING[key] in trunk.caller_id.accept and not identity.anonymous:
                yield name, value
        elif key in ("diversion", "history-info"):
            hidden = key == "history-info" and privacy(invite) & _HIDING_HISTORY
            left = "" if hidden else _told_entries(value)
            if left:
                yield name, left
        else:
            yield name, value


def _told_entries(value: str) -> str:
    """A list of diversions without those that ask for privacy (RFC 5806 5.4, RFC 7044 10.1)."""
    try:
        entries = split_commas(value)
        return ", ".join(entry for entry in entries if not _untold(entry))
    except ParseError:
        return ""


def _untold(entry: str) -> bool:
    address = parse_name_addr(entry)
    if (address.param("privacy") or "off") in ("full", "uri"):
        return True
    return "privacy=history" in address.uri.headers.lower()


def _matches(key: str, wanted: tuple[frozenset[str], tuple[str, ...]] | None) -> bool:
    if wanted is None:
        return True
    names, beginnings = wanted
    return key in names or key.startswith(beginnings)


@lru_cache(maxsize=1024)  # every trunk has two of them
def _split_patterns(patterns: tuple[str, ...]) -> tuple[frozenset[str], tuple[str, ...]]:
    """Names in lower case: whole ones, and beginnings."""
    lowered = [pattern.lower() for pattern in patterns]
    return (
        frozenset(pattern for pattern in lowered if not pattern.endswith("*")),
        tuple(pattern[:-1] for pattern in lowered if pattern.endswith("*")),
    )


def _lines(key: str, value: str, room: int) -> list[str]:
    """A value as one line, or a list that has no room there as one line an element."""
    if key not in _LISTS or len(value.encode()) <= room:
        return [value]
    try:
        return split_commas(value)
    except ParseError:
        return [value]
