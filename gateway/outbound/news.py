"""What whoever places a try tells of it. Times are seconds since 1970."""

from collections.abc import Callable
from typing import Any, TypeAlias

from gateway.storage.queued_call import Result
from gateway.value import frozen


@frozen
class Ringing:
    """The person's phone rings."""

    at: float


@frozen
class Answered:
    """The person's side has answered."""

    at: float


@frozen
class AgentAnswered:
    """The agent is there: from now on Retell counts the call as one of its own."""

    at: float


@frozen(kw_only=True)
class Ended:
    """The try is over: the last news of it. `cause` is a slug, `reason` the far side's phrase,
    `detail` a sentence for the operator."""

    at: float
    result: Result
    cause: str = ""
    sip_status: int | None = None
    reason: str = ""
    detail: str = ""
    retell_call_id: str | None = None
    duration_s: float | None = None
    amd: dict[str, Any] | None = None
    cost_estimate: float | None = None


News: TypeAlias = Ringing | Answered | AgentAnswered | Ended

#: Whoever hears of it.
OnNews: TypeAlias = Callable[[News], None]


def each_once(on_news: OnNews) -> OnNews:
    """Tells `on_news` of each kind the first time, however often and late it is told."""
    told: set[type[News]] = set()

    def tell(news: News) -> None:
        if type(news) not in told:
            told.add(type(news))
            on_news(news)

    return tell
