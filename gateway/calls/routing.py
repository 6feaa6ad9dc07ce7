"""Where a call goes: a pure decision from the configuration and the call's first message.

The result is a plan of dial attempts, tried one after another, or a refusal.
"""

from collections.abc import Container, Iterable, Mapping
from dataclasses import field, replace
from enum import StrEnum
from typing import Final, Literal, TypeAlias

from config.settings import (
    RETELL_TRUNK,
    AnnouncementSettings,
    Fallback,
    NumberSettings,
    RouteSettings,
    Settings,
)
from gateway.calls.endings import NO_ROUTE, NOT_CONFIGURED, Refusal, Role
from gateway.calls.numbers import e164
from gateway.jambonz.messages import NewCall
from gateway.jambonz.verbs import PhoneTarget, SipTarget, Target
from gateway.value import frozen

CORRELATION_HEADER: Final = "X-Gateway-Call-Id"

#: docs.retellai.com/build/telephony/sip-headers: keep a header line under about 1024 bytes.
MAX_HEADER_LINE: Final = 1024
#: All of them together stay far below jambonz's 24 KiB frame.
MAX_HEADERS: Final = 12_000

#: Beside X- names: what Retell keeps, and what it sends itself.
_STANDARD_TO_RETELL: Final = frozenset(map(str.lower, RETELL_TRUNK["pass_headers"]["outbound"]))
_STANDARD_FROM_RETELL: Final = frozenset(map(str.lower, RETELL_TRUNK["pass_headers"]["inbound"]))
#: Our softswitch passes it on for callers who show their number, where the trunk's pass_headers
#: allow it; a jambonz passes it on for all.
_ASSERTED_IDENTITY: Final = "p-asserted-identity"

#: Headers between jambonz and this gateway alone: they neither go to a peer nor come from one.
_INTERNAL: Final = frozenset(
    {
        "x-account-sid",
        "x-application-sid",
        "x-authenticated-user",
        "x-call-sid",
        "x-cid",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-override-to",
        "x-originating-carrier",
        "x-preferred-from-host",
        "x-preferred-from-user",
        "x-reason",
        "x-refer-to-leave-untouched",
        "x-requested-carrier-sid",
        "x-retain-call-sid",
        "x-sip-proxy",
        "x-trace-id",
        "x-voip-carrier-sid",
    }
)
_INTERNAL_PREFIXES: Final = ("x-jambonz-", "x-gateway-", "x-fs-")


class Direction(StrEnum):
    """Who placed the call."""

    INBOUND = "inbound"
    RETELL = "retell"
    OUTBOUND = "outbound"
    """we did, by jambonz's REST API: the person has answered, and the agent is to be brought in"""


@frozen(kw_only=True)
class Attempt:
    """One leg to try. `target` None: Retell's SIP URI, known once the call is registered."""

    role: Role
    trunk: str
    target: Target | None
    caller_id: str | None
    timeout_s: float
    headers: Mapping[str, str] = field(default_factory=dict)
    #: whether its media must be encrypted, whatever the trunk says
    encrypted: bool = False


@frozen(kw_only=True)
class Registration:
    """What register-phone-call says of a call before it is dialled (method 2).

    `direction` is "inbound" or "outbound"; the numbers are who calls whom.
    """

    direction: Literal["inbound", "outbound"]
    agent: str
    from_number: str
    to_number: str
    variables: Mapping[str, str]


@frozen(kw_only=True)
class Dialling:
    """Try these attempts in turn, after registering the call where that is asked.

    `recording` is the name of the call's recording, where it is to be recorded.
    """

    direction: Direction
    method: str
    from_number: str
    to_number: str
    attempts: tuple[Attempt, ...]
    agent: str | None = None
    registration: Registration | None = None
    announcement: AnnouncementSettings | None = None
    #: what the caller hears while somebody is called
    ringing: str | None = None
    #: where a caller goes that turns out to be a fax machine
    fax: Attempt | None = None
    recording: str | None = None


@frozen(kw_only=True)
class Refusing:
    """Decline at once."""

    direction: Direction
    from_number: str
    to_number: str
    refusal: Refusal


Plan: TypeAlias = Dialling | Refusing


def plan(settings: Settings, call: NewCall, call_id: str) -> Plan:
    """Decide about one call. `call_id` is ours and travels along for correlation."""
    if call.outbound:
        return _to_agent(settings, call, call_id, Direction.OUTBOUND)
    if from_retell(settings, call):
        return _from_retell(settings, call, call_id)
    return _to_agent(settings, call, call_id, Direction.INBOUND)


def direction_of(settings: Settings, call: NewCall) -> Direction:
    """Who placed the call."""
    if call.outbound:
        return Direction.OUTBOUND
    return Direction.RETELL if from_retell(settings, call) else Direction.INBOUND


def from_retell(settings: Settings, call: NewCall) -> bool:
    """Retell is known by the user name its digest proved, or by its trunk's name: a jambonz SBC
    names the trunk when Retell's addresses are whitelisted and the user when they are not."""
    if call.trunk == settings.retell.trunk:
        return True
    login = settings.retell.login
    user = call.authenticated_user.partition("@")[0]
    return login is not None and user == login.username


def retell_uri(settings: Settings, retell_call_id: str) -> str:
    """Where a registered call is dialled: its id as user at Retell's host."""
    scheme, _, rest = settings.retell.sip_uri.partition(":")
    return f"{scheme}:{retell_call_id}@{rest.rpartition('@')[2]}"


def _to_agent(settings: Settings, call: NewCall, call_id: str, direction: Direction) -> Plan:
    """Bring together a person and the agent of `number`, which is ours: who was called inbound,
    and whose call it is outbound. The agent is called as `number`, and shown the person."""
    outbound = direction is Direction.OUTBOUND
    number, entry = _configured(settings, call.from_number if outbound else call.to_number)
    person = _caller(settings, call.to_number if outbound else call.from_number)
    from_number, to_number = (number, person) if outbound else (person, number)
    if entry is None:
        return Refusing(
            direction=direction,
            from_number=from_number,
            to_number=to_number,
            refusal=NOT_CONFIGURED,
        )
    method = entry.method or settings.retell.method
    agent = entry.agent or settings.retell.agent
    given = dict(call.headers)
    if not settings.sip.listen:
        given.pop(_ASSERTED_IDENTITY, None)
    ours = entry.variables if method == "trunk" else {}
    headers = _to_retell(_besides(given, entry.variables), ours, call_id)
    registration = None
    target: Target | None = PhoneTarget(number, settings.retell.trunk)
    if method == "dial":
        target = None
        registration = Registration(
            direction="outbound" if outbound else "inbound",
            agent=agent or "",
            from_number=from_number,
            to_number=to_number,
            variables=entry.variables,
        )
    attempts = [
        Attempt(
            role=Role.RETELL,
            trunk=settings.retell.trunk,
            target=target,
            caller_id=person or None,
            timeout_s=settings.retell.ring_timeout_s,
            headers=headers,
            encrypted=entry.srtp == "required",
        )
    ]
    fallback = entry.fallback or settings.retell.fallback
    if fallback is not None:
        attempts.append(_fallback(settings, fallback, person, headers))
    return Dialling(
        direction=direction,
        method=method,
        agent=agent,
        from_number=from_number,
        to_number=to_number,
        registration=registration,
        recording=_recording(settings, entry, call_id),
        attempts=tuple(attempts),
        announcement=None if outbound else entry.announcement,
        ringing=entry.ringing,
        fax=None if outbound else _fax(settings, entry, person, headers),
    )


def _recording(settings: Settings, entry: NumberSettings | None, call_id: str) -> str | None:
    """The name of the call's recording; a number's own word counts before that for all."""
    if settings.recording is None:
        return None
    said = None if entry is None else entry.record
    return call_id if (settings.recording.all if said is None else said) else None


def _from_retell(settings: Settings, call: NewCall, call_id: str) -> Plan:
    country = settings.outbound.default_country
    number = e164(call.to_number, country) or call.to_number
    caller = settings.outbound.caller_id or _caller(settings, call.from_number)
    route = longest_prefix(settings.outbound.routes, number)
    if route is None:
        return Refusing(
            direction=Direction.RETELL,
            from_number=caller,
            to_number=number,
            refusal=NO_ROUTE,
        )
    headers = limited(_from_peer(call.headers, _STANDARD_FROM_RETELL))
    attempts = tuple(
        Attempt(
            role=Role.CARRIER,
            trunk=name,
            target=PhoneTarget(number, name),
            caller_id=caller or None,
            timeout_s=settings.outbound.ring_timeout_s,
            headers=_with_trunk_headers(settings, name, headers),
        )
        for name in route.trunks
    )
    return Dialling(
        direction=Direction.RETELL,
        method="trunk",
        from_number=caller,
        to_number=number,
        recording=_recording(settings, settings.numbers.get(caller), call_id),
        attempts=attempts,
    )


def longest_prefix(routes: Iterable[RouteSettings], number: str) -> RouteSettings | None:
    """The route whose prefix says most about the number; the empty prefix takes the rest."""
    matching = [route for route in routes if number.startswith(route.prefix)]
    return max(matching, key=lambda route: len(route.prefix), default=None)


def _configured(settings: Settings, dialled: str) -> tuple[str, NumberSettings | None]:
    """The dialled number and its entry. Some carriers leave out the `+` of a full number, which
    a default country may misread, so that a number as configured is tried both ways."""
    number = e164(dialled, settings.outbound.default_country)
    as_full = e164(f"+{dialled.lstrip('+')}", None)
    for candidate in (number, as_full):
        if candidate is not None and candidate in settings.numbers:
            return candidate, settings.numbers[candidate]
    return number or dialled, settings.numbers.get("*")


def _caller(settings: Settings, text: str) -> str:
    return e164(text, settings.outbound.default_country) or text


def _fallback(
    settings: Settings, fallback: Fallback, caller: str, headers: Mapping[str, str]
) -> Attempt:
    """A PBX is the operator's own and gets the call's headers; a carrier does not."""
    trunk = settings.trunk(fallback.trunk)
    own = trunk is not None and trunk.kind == "pbx"
    return Attempt(
        role=Role.FALLBACK,
        trunk=fallback.trunk,
        target=(
            SipTarget(fallback.to)
            if fallback.to.startswith(("sip:", "sips:"))
            else PhoneTarget(fallback.to, fallback.trunk)
        ),
        caller_id=caller or None,
        timeout_s=settings.retell.ring_timeout_s,
        headers=_with_trunk_headers(settings, fallback.trunk, headers if own else {}),
    )


def _fax(
    settings: Settings, entry: NumberSettings, caller: str, headers: Mapping[str, str]
) -> Attempt | None:
    if entry.fax is None:
        return None
    return replace(_fallback(settings, entry.fax, caller, headers), role=Role.FAX)


def _with_trunk_headers(
    settings: Settings, name: str, headers: Mapping[str, str]
) -> Mapping[str, str]:
    """Our softswitch adds a trunk's fixed headers itself; a real jambonz knows nothing of them."""
    trunk = settings.trunk(name)
    if settings.sip.listen or trunk is None or not trunk.headers:
        return headers
    return {**headers, **trunk.headers}


def _extension_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The X- headers that belong to the peer, not to jambonz or this gateway."""
    return {
        name: value
        for name, value in headers.items()
        if (low := name.lower()).startswith("x-")
        and low not in _INTERNAL
        and not low.startswith(_INTERNAL_PREFIXES)
    }


def _from_peer(headers: Mapping[str, str], standard: Container[str]) -> dict[str, str]:
    """A caller's X- headers, and of the `standard` ones those that are there."""
    chosen = _extension_headers(headers)
    chosen |= {name: value for name, value in headers.items() if name.lower() in standard}
    return chosen


def _besides(headers: Mapping[str, str], variables: Mapping[str, str]) -> dict[str, str]:
    """A caller's headers without those that would be a variable of the operator's: Retell makes
    variables of headers, with or without their `X-`, and names in headers have no case."""
    names = {name.casefold() for name in variables}
    taken = names | {f"x-{name}" for name in names}
    return {name: value for name, value in headers.items() if name.casefold() not in taken}


def _to_retell(
    headers: Mapping[str, str], variables: Mapping[str, str], call_id: str
) -> dict[str, str]:
    """The headers for Retell, which makes dynamic variables of X- headers (method 1)."""
    chosen = {CORRELATION_HEADER: call_id}
    chosen |= {f"X-{name}": value for name, value in variables.items()}
    chosen |= _from_peer(headers, _STANDARD_TO_RETELL)
    return limited(chosen)


def limited(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that fit a line, carry no control character, and fit a frame together."""
    room = MAX_HEADERS
    kept: dict[str, str] = {}
    for name, value in headers.items():
        size = len(name) + 2 + len(value.encode())
        if size <= MAX_HEADER_LINE and size <= room and value.isprintable():
            kept[name] = value
            room -= size
    return kept
