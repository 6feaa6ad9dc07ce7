"""What a test call showed, for people and for scripts."""

import enum
import json
from dataclasses import asdict, dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text


class Ended(enum.Enum):
    """Who or what ended the call."""

    PHONE = "this phone"
    OTHER_SIDE = "the other side"
    REFUSED = "refused"
    NO_ANSWER = "not answered in time"
    NOTHING_CAME_BACK = "nothing came back"
    NOTHING_LISTENS = "nothing listens there"


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One direction: what was looked for and how surely it was found."""

    direction: str
    what: str
    heard: bool
    similarity: float | None = None
    at_ms: int | None = None
    delay_ms: int | None = None
    """From our playing it to our hearing it again."""
    judged: bool = True
    """False where the call was over before it could have been heard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallReport:
    """Times are ms after the INVITE was sent; None means that it did not happen."""

    number: str
    via: str
    from_user: str
    login: str | None
    """The user name that it could prove, None without one."""
    sip_call_id: str
    ended: Ended
    status: int | None
    reason: str
    ringing_ms: int | None
    answered_ms: int | None
    first_audio_ms: int | None
    talked_ms: int
    codec: str | None
    packets_sent: int
    packets_received: int
    packets_lost: int
    jitter_ms: float
    sound_ms: int
    level_dbfs: float | None
    """Mean level of what was heard; None for digital silence."""
    heard: tuple[Heard, ...]

    @property
    def proved(self) -> bool:
        """Answered, and everything that was to be heard was heard."""
        return self.answered_ms is not None and all(one.heard for one in self.heard)

    def to_json(self) -> str:
        fields = asdict(self) | {"ended": self.ended.name.lower(), "proved": self.proved}
        return json.dumps(fields, indent=2, ensure_ascii=False)

    def render(self) -> RenderableType:
        """The report as a few aligned lines."""
        lines = Table.grid(padding=(0, 2))
        lines.add_column(style="dim")
        lines.add_column()
        if self.ringing_ms is not None:
            lines.add_row("ringing", f"after {self.ringing_ms} ms")
        if self.answered_ms is None:
            lines.add_row("not answered", Text(self.failure(), style="red"))
        else:
            lines.add_row("answered", f"after {self.answered_ms} ms, {self.codec or 'no codec'}")
            for one in self.heard:
                lines.add_row(one.direction, _verdict(one, self.ended))
            lines.add_row("sound", self._sound())
            lines.add_row(
                "packets",
                f"{self.packets_sent} sent, {self.packets_received} received,"
                f" {self.packets_lost} lost, jitter {self.jitter_ms:.1f} ms",
            )
            lines.add_row("ended", f"by {self.ended.value} after {self.talked_ms / 1000:.1f} s")
        title = Text.assemble(
            "Call to ", (self.number, "bold"), f" from {self.from_user} by {self.via}"
        )
        return Group(title, lines)

    def failure(self) -> str:
        """Why the call was not answered, and what to look at."""
        match self.ended:
            case Ended.NOTHING_LISTENS:
                return f"nothing listens on {self.via} (UDP): is the gateway running?"
            case Ended.NOTHING_CAME_BACK:
                return (
                    f"nothing came back from {self.via}. A gateway does not answer an address"
                    " that none of its trunks explains: see identify in its configuration"
                )
            case Ended.NO_ANSWER:
                return "it rang, and was not answered in time"
            case _:
                return f"{self.status} {self.reason}".strip() + self._hint()

    def _hint(self) -> str:
        if self.status in (401, 407) and self.login is None:
            return (
                ": it asks callers from this address for a login. Give --user and --password, or"
                " call from the port that a trunk's identify has (--listen-port)"
            )
        if self.status in (401, 407):
            return f": it did not take {self.login} and the password: see the trunk's login"
        if self.status == 404:
            return (
                f": {self.number} is not under numbers in the gateway's configuration, or not"
                " known to Retell. The gateway's record of the call says which"
            )
        return ""

    def _sound(self) -> str:
        if not self.packets_received:
            return "none: no packet arrived"
        level = "digital silence" if self.level_dbfs is None else f"{self.level_dbfs:.0f} dBFS"
        return (
            f"{self.sound_ms / 1000:.1f} s heard, {level},"
            f" first packet after {self.first_audio_ms} ms"
        )


def _verdict(one: Heard, ended: Ended) -> Text:
    details = []
    if one.similarity is not None:
        details.append(f"similarity {one.similarity:.2f}")
    if one.delay_ms is not None:
        details.append(f"back after {one.delay_ms} ms")
    elif one.at_ms is not None:
        details.append(f"at {one.at_ms / 1000:.1f} s")
    note = f" ({', '.join(details)})" if details else ""
    if one.heard:
        return Text.assemble((f"{one.what} heard", "green"), note)
    if not one.judged:
        cure = "give it more --seconds" if ended is Ended.PHONE else f"{ended.value} hung up"
        return Text.assemble((f"{one.what} not judged", "yellow"), f": too short a call, {cure}")
    return Text.assemble((f"{one.what} NOT heard", "red"), note)
