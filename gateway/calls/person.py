"""The person whom a call is for that we begin ourselves: pure.

One carrier after another is asked to call the person; whoever answers is listened to, where that is
wanted, until it is known whether an agent is worth it:

    CALLING ─answered─> LISTENING ─a person──────────────────> HERE   (the agent's turn)
       │      │             ├─a machine, and a message for it─> ENDING ─greeting over, beep─> SAYING
       │      │             └─machine, fax, silence───────────> AWAY
       │      └─nobody listens────────────────────────────────> HERE
       └─no carrier is left, the agent cannot be had, cancelled─> AWAY
"""

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Final

from gateway.calls.endings import Fault, Refusal
from gateway.calls.failover import another_may_follow
from gateway.calls.routing import Attempt, Listening, PersonFirst
from gateway.calls.tried import Tried
from gateway.jambonz.messages import AmdHeard, AmdKind, LegStatus
from gateway.jambonz.verbs import Config, Hangup, Pause, Play, Verbs

#: Hears of who answered.
PERSON_HOOK: Final = "/person-heard"
#: Hears that the message for a machine was said.
MESSAGE_HOOK: Final = "/message-said"
#: How long after a greeting its beep is waited for, in seconds.
BEEP_WAIT_S: Final = 2.0


class Stage(Enum):
    """Where it stands with the person."""

    CALLING = "calling"
    LISTENING = "listening"
    ENDING = "ending"
    """a machine speaks, and our message comes after it"""
    SAYING = "saying"
    HERE = "here"
    AWAY = "away"


class Who(StrEnum):
    """What answered, by its sound."""

    HUMAN = "human"
    MACHINE = "machine"
    FAX = "fax"
    SILENCE = "silence"
    UNKNOWN = "unknown"


#: What a decision means: who it is.
_WHO: Final = {
    AmdKind.HUMAN: Who.HUMAN,
    AmdKind.MACHINE: Who.MACHINE,
    AmdKind.BEEP: Who.MACHINE,  # a greeting too short to tell by anything else
    AmdKind.FAX: Who.FAX,
    AmdKind.NO_SPEECH: Who.SILENCE,
    AmdKind.UNDECIDED: Who.UNKNOWN,
    AmdKind.OVER: Who.UNKNOWN,
}


def no_person(who: Who) -> Refusal:
    """Why such an answer gets no agent."""
    return Refusal(480, "Temporarily Unavailable", who.value, Fault.NOBODY)


@dataclass(slots=True)
class Person:
    """Whom we call. `wanted` is the attempt that is to be placed now, if any."""

    order: PersonFirst
    called: list[Tried]
    stage: Stage = Stage.CALLING
    wanted: Attempt | None = None
    who: Who | None = None
    #: the decision as it was told, for the record
    heard: AmdHeard | None = None
    #: the message for a machine was said to its end
    message_left: bool = False
    #: its leg is to be given up, before it is answered
    withdrawn: bool = False
    _used: int = 0

    def begin(self) -> None:
        """Have the first carrier call."""
        self._next()

    def placed(self, at: float, call_sid: str) -> None:
        """What was wanted is being done; its leg has that id."""
        attempt, self.wanted = self.wanted, None
        if attempt is not None:
            self.called.append(Tried(attempt, at, call_sid=call_sid))

    def not_placed(self, at: float, code: int, cause: str, detail: str) -> bool:
        """No INVITE went out; whether another carrier is asked."""
        attempt, self.wanted = self.wanted, None
        if attempt is not None:
            tried = Tried(attempt, at, ended=True, gone=True, code=code, cause=cause)
            tried.reason, tried.detail = "", detail
            self.called.append(tried)
        return self._follows("failed", code, cause, early_media=False)

    @property
    def tried(self) -> Tried | None:
        """The attempt of late."""
        return self.called[-1] if self.called else None

    @property
    def rings(self) -> bool:
        """Whether the person's phone is known to ring, or answered."""
        return self.tried is not None and self.tried.rang is not None

    @property
    def listens(self) -> bool:
        """Whether it is still to be told what answered."""
        return self.stage in (Stage.LISTENING, Stage.ENDING, Stage.SAYING)

    def changed(self, at: float, status: LegStatus) -> bool:
        """Its leg reported; False where the last carrier has failed."""
        tried = self.tried
        if tried is None or tried.call_sid != status.call_sid:
            return True
        tried.note_status(at, status)
        if not status.final or self.stage is not Stage.CALLING:
            return True
        return self._follows(
            status.status, status.code, status.cause, early_media=tried.early_media
        )

    def answered(self, at: float) -> Verbs:
        """Somebody, or something, answered: the verbs, none where it is the agent's turn."""
        tried = self.tried
        if tried is not None and tried.answered is None:
            tried.answered, tried.rang = at, tried.rang or at
            tried.code, tried.reason = 200, "OK"
        if self.order.listening is None:
            self.stage = Stage.HERE
            return ()
        self.stage = Stage.LISTENING
        return (Config(),)  # in place of nothing: what the hook brings takes its place

    def told(self, heard: AmdHeard) -> Verbs:
        """What is heard of who answered: the verbs, none where they stay or the agent's turn is."""
        listening = self.order.listening
        if listening is None:
            return ()
        match self.stage:
            case Stage.LISTENING:
                return self._decided(listening, heard)
            case Stage.ENDING if heard.kind is AmdKind.STOPPED:
                return self._say(listening, after_s=BEEP_WAIT_S)
            case Stage.ENDING if heard.kind in (AmdKind.BEEP, AmdKind.OVER, AmdKind.UNDECIDED):
                return self._say(listening)
            case Stage.SAYING if heard.kind is AmdKind.BEEP:
                return self._say(listening)  # what was said before it was not recorded
        return ()

    def said(self, *, whole: bool) -> None:
        """What was for the machine is over."""
        self.message_left = whole

    def withdraw(self) -> None:
        """It is not to be called any more."""
        self.withdrawn = self.stage is Stage.CALLING
        if self.withdrawn:
            self._used = len(self.order.attempts)

    def _decided(self, listening: Listening, heard: AmdHeard) -> Verbs:
        who = _WHO.get(heard.kind)
        if who is None:
            return ()
        self.who, self.heard = who, heard
        wish = listening.wish(who.value)
        if wish == "agent":
            self.stage = Stage.HERE
            return ()
        if wish == "message":
            self.stage = Stage.ENDING
            return self._say(listening) if heard.kind is AmdKind.BEEP else ()
        self.stage = Stage.AWAY
        return (Hangup(),)

    def _say(self, listening: Listening, after_s: float = 0.0) -> Verbs:
        self.stage = Stage.SAYING
        wait = (Pause(after_s),) if after_s else ()
        return (*wait, Play(listening.message or "", action_hook=MESSAGE_HOOK), Hangup())

    def _follows(self, word: str, code: int, cause: str, *, early_media: bool) -> bool:
        """Whether another carrier is asked after one that failed."""
        last = self.tried
        role = last.attempt.role if last is not None else self.order.attempts[0].role
        if self._used < len(self.order.attempts) and another_may_follow(
            role, word, code, early_media, cause
        ):
            self._next()
            return True
        self.stage = Stage.AWAY
        return False

    def _next(self) -> None:
        self.wanted = self.order.attempts[self._used]
        self._used += 1
