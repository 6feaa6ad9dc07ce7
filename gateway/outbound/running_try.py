"""A try that is under way, from before it is stored until what came of it is."""

from dataclasses import dataclass, replace

from gateway.outbound.news import AgentAnswered, Answered, Ended, Ringing
from gateway.storage.queued_call import QueuedCall, Try


@dataclass(slots=True, eq=False)
class RunningTry:
    """`call` and `attempt` as they are now. `trunk` is the one of ours that it takes up."""

    call: QueuedCall
    attempt: Try
    trunk: str | None = None
    #: whoever places it has been asked to
    begun: bool = False
    #: the agent is there
    with_agent: bool = False
    #: nothing more can be heard of it
    over: bool = False
    #: nothing was sent: it does not count
    unsent: bool = False
    #: somebody wants the call to be made no more
    cancelled: bool = False

    def is_cancelled(self) -> bool:
        """Whether it is by now: that may change while its placer is waited for."""
        return self.cancelled

    def hear(self, news: Ringing | Answered | AgentAnswered) -> bool:
        """Keep the first news of a kind; whether it was that."""
        at_ms = round(news.at * 1000)
        attempt = self.attempt
        match news:
            case Ringing() if attempt.ringing_ms is None:
                self.attempt = replace(attempt, ringing_ms=at_ms)
            case Answered() if attempt.answered_ms is None:
                self.attempt = replace(attempt, answered_ms=at_ms)
            case AgentAnswered() if attempt.agent_answered_ms is None:
                self.attempt = replace(attempt, agent_answered_ms=at_ms)
            case _:
                return False
        return True

    def end(self, ended: Ended) -> None:
        """It is over."""
        self.over = True
        self.attempt = replace(
            self.attempt,
            ended_ms=round(ended.at * 1000),
            result=ended.result,
            cause=ended.cause,
            sip_status=ended.sip_status,
            reason=ended.reason,
            detail=ended.detail,
            retell_call_id=ended.retell_call_id,
            duration_s=ended.duration_s,
            amd=ended.amd,
            cost_estimate=ended.cost_estimate,
        )
