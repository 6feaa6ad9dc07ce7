"""Where a call goes: a pure decision from the configuration and the call's first message.

The result is a plan of dial attempts, tried one after another, or a refusal.
"""

from collections.abc import Container, Mapping
from dataclasses import field, replace
from enum import StrEnum
from typing import Any, Final, Literal, TypeAlias

from config.choices import choices
from config.settings import (
    RETELL_TRUNK,
    AnnouncementSettings,
    Fallback,
    NumberSettings,
    Settings,
)
from config.workspace_settings import WorkspaceSettings
from gateway.calls.carriers import carriers_for, pick_of
from gateway.calls.endings import NOT_CONFIGURED, Refusal, Role
from gateway.calls.entries import chosen, entry_of
from gateway.calls.no_way import NoWay
from gateway.calls.numbers import e164
from gateway.calls.overrides import Override, override_of
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
        "x-override-carrier",
        "x-override-number",
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


#: What becomes of a caller whose agent's leg was cut off.
AgentLost: TypeAlias = Literal["end", "agent", "fallback"]


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
    #: how long it may talk, in seconds; None: for ever
    time_limit_s: float | None = None


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
    version: int | str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    #: whose agent it is, by the workspace's name; "": the first's
    workspace: str = ""


@frozen(kw_only=True)
class Listening:
    """Who answers is listened to, before an agent is spent.

    `on_machine` and the others say what becomes of such an answer; `message` is a file of
    `media.sounds`, said to a machine after its greeting. `timers` are jambonz's, in milliseconds.
    """

    on_machine: Literal["hangup", "message", "agent"] = "hangup"
    on_silence: Literal["hangup", "agent"] = "hangup"
    on_unknown: Literal["hangup", "agent"] = "agent"
    message: str | None = None
    timers: Mapping[str, int] = field(default_factory=dict)

    def wish(self, who: str) -> str:
        """What is to become of that; a fax is of no use."""
        wishes: Mapping[str, str] = {
            "machine": self.on_machine,
            "silence": self.on_silence,
            "unknown": self.on_unknown,
            "fax": "hangup",
        }
        return wishes.get(who, "agent")


@frozen(kw_only=True)
class PersonFirst:
    """The person is called first, by one carrier after another, and the agent once it is known
    that somebody is there. `time_limit_s` is counted from the person's answer."""

    attempts: tuple[Attempt, ...]
    listening: Listening | None = None
    time_limit_s: float | None = None


@frozen
class Waiting:
    """A caller waits for room at Retell, and hears this file: before the answer."""

    music: str | None


@frozen(kw_only=True)
class Dialling:
    """Try these attempts in turn, after registering the call where that is asked.

    `recording` is the name of the call's recording, where it is to be recorded. With `person` it is
    we who begin the call.
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
    agent_lost: AgentLost = "fallback"
    recording: str | None = None
    person: PersonFirst | None = None
    #: what is played while the caller waits for room at Retell; None: the caller does not wait
    waiting: Waiting | None = None


@frozen(kw_only=True)
class Refusing:
    """Decline at once."""

    direction: Direction
    from_number: str
    to_number: str
    refusal: Refusal
    #: a sentence for the log, where the cause alone does not say what to change
    why: str = ""


Routed: TypeAlias = Dialling | Refusing


def route(settings: Settings, call: NewCall, call_id: str, *, number: str | None = None) -> Routed:
    """Decide about one call, whatever the hour. `call_id` is ours and travels with it; `number` is
    ours too, that of a caller whom Retell hands on by this call."""
    if call.outbound:
        return _to_agent(settings, call, call_id, Direction.OUTBOUND)
    if from_retell(settings, call):
        return _from_retell(settings, call, call_id, number)
    return _to_agent(settings, call, call_id, Direction.INBOUND)


def direction_of(settings: Settings, call: NewCall) -> Direction:
    """Who placed the call."""
    if call.outbound:
        return Direction.OUTBOUND
    return Direction.RETELL if from_retell(settings, call) else Direction.INBOUND


def from_retell(settings: Settings, call: NewCall) -> bool:
    """Whether one of its workspaces placed the call."""
    return workspace_of_call(settings, call) is not None


def workspace_of_call(settings: Settings, call: NewCall) -> WorkspaceSettings | None:
    """Retell's workspace that placed the call; None where Retell did not. It is known by the user
    name that its digest proved, or by its trunk's name: a jambonz SBC names the trunk when Retell's
    addresses are whitelisted and the user when they are not."""
    user = call.authenticated_user.partition("@")[0]
    return settings.retell.workspace_by(call.trunk, user)


def retell_uri(settings: Settings, retell_call_id: str) -> str:
    """Where a registered call is dialled: its id as user at Retell's host."""
    scheme, _, rest = settings.retell.sip_uri.partition(":")
    return f"{scheme}:{retell_call_id}@{rest.rpartition('@')[2]}"


def _to_agent(settings: Settings, call: NewCall, call_id: str, direction: Direction) -> Routed:
    """Bring together a person and the agent of `number`, which is ours: who was called inbound,
    and whose call it is outbound. The agent is called as `number`, and shown the person."""
    outbound = direction is Direction.OUTBOUND
    number, entry = (
        entry_of(settings, call.from_number)
        if outbound
        else entry_of(settings, call.to_number, call.trunk)
    )
    person = _caller(settings, call.to_number if outbound else call.from_number)
    from_number, to_number = (number, person) if outbound else (person, number)
    if entry is None:
        return Refusing(
            direction=direction,
            from_number=from_number,
            to_number=to_number,
            refusal=NOT_CONFIGURED,
        )
    choice = chosen(choices(settings, number, entry), call.call_sid)
    given = dict(call.headers)
    if not settings.sip.listen:
        given.pop(_ASSERTED_IDENTITY, None)
    ours = {} if choice.method == "dial" else entry.variables
    headers = to_agent_headers(_besides(given, entry.variables), ours, call_id)
    registration = None
    if choice.method == "dial":
        registration = Registration(
            direction="outbound" if outbound else "inbound",
            agent=choice.agent or "",
            from_number=choice.to if outbound else from_number,
            to_number=to_number if outbound else choice.to,
            variables=entry.variables,
            workspace=settings.retell.workspace_of(choice.to).name,
        )
    attempts = [
        Attempt(
            role=Role.AGENT if choice.method is None else Role.RETELL,
            trunk=choice.trunk,
            target=None if choice.method == "dial" else dialled(choice.to, choice.trunk),
            caller_id=person or None,
            timeout_s=settings.retell.ring_timeout_s,
            headers=with_trunk_headers(settings, choice.trunk, headers),
            encrypted=entry.srtp == "required",
        )
    ]
    fallback = entry.fallback or settings.retell.fallback
    if fallback is not None:
        attempts.append(_fallback(settings, fallback, person, headers))
    return Dialling(
        direction=direction,
        method=choice.method or "trunk",
        agent=choice.agent,
        from_number=from_number,
        to_number=to_number,
        registration=registration,
        recording=recording_of(settings, entry, call_id),
        attempts=tuple(attempts),
        announcement=None if outbound else entry.announcement,
        ringing=entry.ringing,
        agent_lost=settings.transfer.agent_lost,
        fax=None if outbound else _fax(settings, entry, person, headers),
    )


def recording_of(settings: Settings, entry: NumberSettings | None, call_id: str) -> str | None:
    """The name of the call's recording; a number's own word counts before that for all."""
    if settings.recording is None:
        return None
    said = None if entry is None else entry.record
    return call_id if (settings.recording.all if said is None else said) else None


def _from_retell(settings: Settings, call: NewCall, call_id: str, ours: str | None) -> Routed:
    country = settings.outbound.default_country
    caller = settings.outbound.caller_id or _caller(settings, call.from_number)
    override = override_of(settings, call.headers)
    asked = call.to_number if isinstance(override, NoWay) else override.number or call.to_number
    number = e164(asked, country) or asked
    owner = ours or _caller(settings, call.from_number)
    trunks = _trunks_for(settings, number, owner, override, call_id)
    if isinstance(trunks, NoWay):
        return Refusing(
            direction=Direction.RETELL,
            from_number=caller,
            to_number=number,
            refusal=trunks.refusal,
            why=trunks.words,
        )
    headers = limited(_from_peer(call.headers, _STANDARD_FROM_RETELL))
    attempts = tuple(
        Attempt(
            role=Role.CARRIER,
            trunk=name,
            target=PhoneTarget(number, name),
            caller_id=caller or None,
            timeout_s=settings.outbound.ring_timeout_s,
            headers=with_trunk_headers(settings, name, headers),
        )
        for name in trunks
    )
    return Dialling(
        direction=Direction.RETELL,
        method="trunk",
        from_number=caller,
        to_number=number,
        recording=recording_of(settings, settings.numbers.get(caller), call_id),
        attempts=attempts,
    )


def _trunks_for(
    settings: Settings, number: str, from_number: str, override: Override | NoWay, call_id: str
) -> tuple[str, ...] | NoWay:
    """The carriers for a number, one after another: that of X-Override-Carrier, or the route's."""
    if isinstance(override, NoWay):
        return override
    if override.carrier is not None:
        return (override.carrier,)
    return carriers_for(settings, number, from_number, pick=pick_of(call_id))


def _caller(settings: Settings, text: str) -> str:
    return e164(text, settings.outbound.default_country) or text


def dialled(to: str, trunk: str) -> Target:
    """A number on a trunk, or a SIP URI."""
    return SipTarget(to) if to.startswith(("sip:", "sips:")) else PhoneTarget(to, trunk)


def _fallback(
    settings: Settings, fallback: Fallback, caller: str, headers: Mapping[str, str]
) -> Attempt:
    """A PBX is the operator's own and gets the call's headers; a carrier does not."""
    trunk = settings.trunk(fallback.trunk)
    own = trunk is not None and trunk.kind == "pbx"
    return Attempt(
        role=Role.FALLBACK,
        trunk=fallback.trunk,
        target=dialled(fallback.to, fallback.trunk),
        caller_id=caller or None,
        timeout_s=settings.retell.ring_timeout_s,
        headers=with_trunk_headers(settings, fallback.trunk, headers if own else {}),
    )


def _fax(
    settings: Settings, entry: NumberSettings, caller: str, headers: Mapping[str, str]
) -> Attempt | None:
    if entry.fax is None:
        return None
    return replace(_fallback(settings, entry.fax, caller, headers), role=Role.FAX)


def with_trunk_headers(
    settings: Settings, name: str, headers: Mapping[str, str]
) -> Mapping[str, str]:
    """Our softswitch adds a trunk's fixed headers itself; a real jambonz knows nothing of them."""
    trunk = settings.trunk(name)
    if settings.sip.listen or trunk is None or not trunk.headers:
        return headers
    return {**headers, **trunk.headers}


def x_headers(headers: Mapping[str, str]) -> dict[str, str]:
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
    chosen = x_headers(headers)
    chosen |= {name: value for name, value in headers.items() if name.lower() in standard}
    return chosen


def _besides(headers: Mapping[str, str], variables: Mapping[str, str]) -> dict[str, str]:
    """A caller's headers without those that would be a variable of the operator's: Retell makes
    variables of headers, with or without their `X-`, and names in headers have no case."""
    names = {name.casefold() for name in variables}
    taken = names | {f"x-{name}" for name in names}
    return {name: value for name, value in headers.items() if name.casefold() not in taken}


def to_agent_headers(
    headers: Mapping[str, str], variables: Mapping[str, str], call_id: str
) -> dict[str, str]:
    """The headers for an agent: Retell makes dynamic variables of X- headers (method 1), and so
    do others."""
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
