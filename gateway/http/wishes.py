"""A wish to have somebody called, as the API takes it, and why one is refused."""

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from config.queue_settings import Retryable
from config.settings import Settings
from gateway.calls.numbers import e164
from gateway.http.problems import ProblemError
from gateway.http.rules.shapes import Shape
from gateway.http.rules.times import Moment
from gateway.outbound.errors import STATUSES, WishError
from gateway.outbound.wish import Wish
from gateway.storage.queued_call import Result, RetryPolicy, RetryRule
from gateway.storage.wanted import AmdWanted, Mode, Wanted

Text = Annotated[str, Field(min_length=1, max_length=255)]
Json = dict[str, Any]
#: Names and values of headers as SIP takes them; X- ones are for applications (RFC 3261 7.3.1).
HeaderName = Annotated[str, Field(pattern=r"^[Xx]-[A-Za-z0-9._-]{1,62}$")]
HeaderValue = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{0,512}$")]

#: The problems of a wish, by status, for the API's description.
REFUSALS: Final = {
    status: ", ".join(code for code, its in STATUSES.items() if its == status)
    for status in sorted(set(STATUSES.values()))
}


class AmdWish(Shape):
    """What becomes of a call that no person answers."""

    on_machine: Literal["hangup", "message", "agent"] = Field(
        "hangup", description="hangup, message (left after the beep) or agent"
    )
    message: Annotated[str, Field(min_length=1, max_length=1000)] | None = Field(
        None,
        description=(
            "for on_machine: message. A file of media.sounds; with mode twilio the words that are"
            " said, where twilio.machine.message does not say them"
        ),
    )
    on_silence: Literal["hangup", "agent"] = Field("hangup", description="hangup or agent")
    on_unknown: Literal["hangup", "agent"] = Field("agent", description="hangup or agent")


class RetryRuleWish(Shape):
    """How it is tried again after one result."""

    times: int = Field(ge=0, le=20, description="how often, from 0 to 20")
    after_s: float = Field(ge=1, le=2_592_000, description="seconds from 1 to 30 days")
    factor: float = Field(1.0, ge=1, le=10, description="by how much each wait grows, 1 to 10")
    jitter: float = Field(0.0, ge=0, le=1, description="the share that chance adds, 0 to 1")


class RetriesWish(Shape):
    """Which results are tried again."""

    rules: dict[Retryable, RetryRuleWish] = Field(
        description="rules by a result that may be tried again: {busy: {times: 2, after_s: 300}}"
    )
    most: int = Field(ge=1, le=20, description="tries in all, from 1 to 20")


class CallOptions(Shape):
    """What may be said of a call, but for whom to call."""

    from_: Text | None = Field(
        None, alias="from", description="our number that the person sees, such as +14155550100"
    )
    mode: Mode = Field(
        "callee_first",
        description="callee_first (we dial), retell (Retell's API does) or twilio (Twilio's does)",
    )
    agent: Text | None = Field(None, description="the agent that talks; not set: the number's own")
    agent_version: int | Text | None = Field(None, description="a version of it")
    variables: dict[Text, Annotated[str, Field(max_length=4096)]] = Field(
        default={}, description="texts by name, for the agent's prompt"
    )
    metadata: Json = Field(default={}, description="an object that Retell keeps with the call")
    headers: dict[HeaderName, HeaderValue] = Field(
        default={}, description="X- headers for the agent's leg, by name"
    )
    trunk: Text | None = Field(None, description="the only trunk that the call may go by")
    ring_timeout_s: float | None = Field(None, ge=5, le=300, description="seconds from 5 to 300")
    time_limit_s: float | None = Field(
        None, ge=10, le=86_400, description="seconds from 10 to a day"
    )
    amd: AmdWish | None = Field(
        None, description="that a machine is told from a person: on_machine, message, …"
    )
    callback: Annotated[str, Field(max_length=2048)] | None = Field(
        None, description="the URL that hears of it"
    )
    tag: Json = Field(default={}, description="an object that comes back with every event")
    priority: int = Field(0, ge=-10, le=10, description="-10 to 10, the higher the earlier")
    not_before: Moment | None = Field(
        None, description="the time of the first try, such as 2026-12-01T08:00:00Z"
    )
    expires: Moment | None = Field(None, description="the time after which it is not tried")
    retries: RetriesWish | None = Field(None, description="rules by result, and most")
    window: Annotated[str, Field(max_length=255)] | None = Field(
        None, description='a name in schedules, or "" for none'
    )
    time_zone: Text | None = Field(
        None, description="whose clock window is read by, such as Europe/Berlin"
    )


class CallWish(CallOptions):
    """One person who is to be called."""

    to: Text = Field(description="a telephone number such as +14155550123")


def wish_of(
    asked: CallWish,
    settings: Settings,
    *,
    campaign: str | None = None,
    queued_id: str | None = None,
) -> Wish:
    """The same as the queue takes it."""
    country = settings.outbound.default_country
    from_number = asked.from_ or ""
    return Wish(
        wanted=Wanted(
            to_number=e164(asked.to, country) or asked.to,
            from_number=e164(from_number, country) or from_number,
            mode=asked.mode,
            agent=asked.agent,
            agent_version=_version(asked.agent_version),
            variables=asked.variables,
            metadata=asked.metadata,
            headers=asked.headers,
            trunk=asked.trunk,
            ring_timeout_s=asked.ring_timeout_s,
            time_limit_s=asked.time_limit_s,
            amd=None if asked.amd is None else AmdWanted(**asked.amd.model_dump()),
            callback=asked.callback,
            tag=asked.tag,
        ),
        priority=asked.priority,
        not_before_ms=asked.not_before,
        expires_ms=asked.expires,
        retries=None if asked.retries is None else _policy(asked.retries),
        window=asked.window,
        time_zone=asked.time_zone,
        campaign=campaign,
        queued_id=queued_id,
    )


def _version(said: int | str | None) -> int | str | None:
    """A number, though a file has it as a text; else the name of one."""
    return int(said) if isinstance(said, str) and said.isdecimal() and said.isascii() else said


def _policy(asked: RetriesWish) -> RetryPolicy:
    rules = {Result(result): RetryRule(**rule.model_dump()) for result, rule in asked.rules.items()}
    return RetryPolicy(rules=rules, most=asked.most)


def problem_of(error: WishError) -> ProblemError:
    """A refusal of the queue's as a problem."""
    headers = {"Retry-After": "60"} if error.status in (429, 503) else None
    return ProblemError(error.status, error.code, error.words, headers)


def sound_problem(wanted: Wanted, settings: Settings) -> str | None:
    """Why the message that shall be left cannot be, in words."""
    amd = wanted.amd
    if amd is None or (amd.on_machine != "message" and amd.message is None):
        return None
    if amd.on_machine != "message":
        return "amd.message is left only where amd.on_machine is message"
    if wanted.mode == "twilio":
        return _words_problem(amd, settings)
    if amd.message is None:
        return "amd.message is missing: the file of media.sounds that is left after the beep"
    folder = settings.media.sounds
    if folder is None:
        return "media.sounds names no folder, and amd.message is a file in it"
    file = (folder / amd.message).resolve()
    if not file.is_relative_to(folder.resolve()) or not file.is_file():
        return f"there is no sound {amd.message} in media.sounds"
    return None


def _words_problem(amd: AmdWanted, settings: Settings) -> str | None:
    """Twilio speaks a text."""
    common = None if settings.twilio is None else settings.twilio.machine.message
    if amd.message is not None or common is not None:
        return None
    return "amd.message is missing: the words that are said, and twilio.machine.message has none"
