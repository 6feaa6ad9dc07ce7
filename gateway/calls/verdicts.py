"""The verdict on a whole call: from what is known of its course when its last word is said."""

from gateway.calls.call_events import DialEnded
from gateway.calls.endings import (
    ANSWERED_BY_CALLEE,
    ANSWERED_BY_CALLER,
    ANSWERED_BY_GATEWAY,
    CANCELLED,
    LOST,
    ODD_ENDINGS,
    RTP_TIMEOUT,
    SHUTDOWN,
    TRANSFERRED,
    Ending,
    Fault,
    Refusal,
    peer_of,
    rtp_timeout,
    unheard,
)
from gateway.calls.tried import Tried, connected
from gateway.jambonz.messages import LegStatus
from gateway.value import frozen


@frozen(kw_only=True)
class Course:
    """A call as it went.

    `outbound`: the leg that jambonz calls the caller's is the person's whom we called; `joined`:
    two talk, or did last; `transferred`: the caller's own side took the caller elsewhere.
    """

    tried: list[Tried]
    outbound: bool
    answered: bool
    joined: bool
    transferred: bool
    refusal: Refusal | None

    def heard(self, at: float, status: LegStatus) -> Ending:
        """The verdict by the caller's last status, with what the media counters say of two that
        talked."""
        ending, far = self.verdict(status), connected(self.tried)
        if far is None or far.answered is None or ending.cause != "hangup":
            return ending
        near = Fault.CALLEE if self.outbound else Fault.CALLER
        role = far.attempt.role
        return unheard(ending, status.media or {}, at - far.answered, near, peer_of(role))

    def verdict(self, status: LegStatus) -> Ending:
        """The verdict by the caller's last status alone."""
        if status.status == "completed" or self.joined:
            return self._of_a_talk(status)
        if status.cause == SHUTDOWN.cause:
            return SHUTDOWN.ending()
        if self.refusal is not None and status.terminated_by != "caller":
            ending = self.refusal.ending()
            code = status.code if status.code >= 300 else ending.sip_status
            return Ending(ending.by, ending.cause, code, ending.fault)
        if status.status == "no-answer":
            return CANCELLED
        # declined by the softswitch itself, not by a verb of ours
        if status.cause in ODD_ENDINGS:
            odd = ODD_ENDINGS[status.cause]
            return Ending(odd.by, odd.cause, status.code, odd.fault)
        return Ending("gateway", status.cause or "rejected", status.code, Fault.UNKNOWN)

    def last_known(self, at: float, dialled: DialEnded | None) -> tuple[float, Ending]:
        """How and when a call ended that nothing more will be heard of; `dialled` is the last dial
        that ended."""
        if self.refusal is not None:
            return at, self._refused(self.refusal)
        if dialled is None:
            return at, LOST
        when, result = dialled.at, dialled.result
        if result.caller_gone:
            return when, self.verdict(result.caller)
        if result.status != "completed":
            return at, LOST
        return when, ANSWERED_BY_CALLER if self.outbound else ANSWERED_BY_CALLEE

    def _of_a_talk(self, status: LegStatus) -> Ending:
        if (gone := self._rtp_timeout(status)) is not None:
            return gone
        if self.transferred:
            return TRANSFERRED
        if status.cause in ODD_ENDINGS:
            return ODD_ENDINGS[status.cause]
        # of a call that we placed, the leg that jambonz calls the caller's is the person's
        near, far = ANSWERED_BY_CALLER, ANSWERED_BY_CALLEE
        if self.outbound:
            near, far = far, near
        if status.terminated_by == "caller":
            return near
        if status.terminated_by == "callee":
            return far
        if self.refusal is not None:
            return self._refused(self.refusal)
        # a jambonz does not tell the callee's hangup from ours; our softswitch, which alone
        # has causes, does
        if not status.cause and any(tried.answered and tried.ended for tried in self.tried):
            return far
        return ANSWERED_BY_GATEWAY

    def _rtp_timeout(self, status: LegStatus) -> Ending | None:
        """The verdict for a call of which one side sent nothing any more; its fault."""
        if status.cause == RTP_TIMEOUT:
            return rtp_timeout(Fault.CALLEE if self.outbound else Fault.CALLER)
        far = connected(self.tried)
        if far is not None and far.cause == RTP_TIMEOUT:
            return rtp_timeout(peer_of(far.attempt.role))
        return None

    def _refused(self, refusal: Refusal) -> Ending:
        ending = refusal.ending(answered=self.answered)
        if self.outbound and ending.by == "callee":
            return Ending("caller", ending.cause, ending.sip_status, ending.fault)
        return ending
