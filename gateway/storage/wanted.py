"""What somebody wants who has a person called: the words of it, as they are stored."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self, TypeAlias

#: How it is placed: we dial the person and then the agent, or Retell's or Twilio's API places it.
Mode: TypeAlias = Literal["callee_first", "retell", "twilio"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AmdWanted:
    """That a person is told from a machine before an agent is spent, and what becomes of others.

    `message` is a sound of `media.sounds` that is left after the beep; where Twilio places the
    call, the words that it says.
    """

    on_machine: Literal["hangup", "message", "agent"] = "hangup"
    message: str | None = None
    on_silence: Literal["hangup", "agent"] = "hangup"
    on_unknown: Literal["hangup", "agent"] = "agent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One person to be called, from our side.

    `to_number` and `from_number` are E.164. `headers` are X- headers of the agent's leg. `trunk`
    is the only one that it may go by; not set, the routes decide. `callback` is the URL that hears
    of it. `tag` is the asking side's own, and comes back with every word about the call.
    """

    to_number: str
    from_number: str = ""
    mode: Mode = "callee_first"
    agent: str | None = None
    agent_version: int | str | None = None
    variables: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    trunk: str | None = None
    ring_timeout_s: float | None = None
    time_limit_s: float | None = None
    amd: AmdWanted | None = None
    callback: str | None = None
    tag: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As the database has it: what is not said is not there."""
        return {key: value for key, value in asdict(self).items() if value not in (None, "", {})}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """What `to_json` wrote. Raises TypeError for a key that is none."""
        amd = data.get("amd")
        return cls(**{**data, "amd": None if amd is None else AmdWanted(**amd)})
