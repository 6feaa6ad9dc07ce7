"""Agents' calls at Retell that outlast ours: the person is gone, and Retell may not know.

A BYE that Retell never got leaves its call running, and charged, until its silence or its longest
duration ends it. So a while after the end of a call whose agent did not hang up, Retell is asked,
unless its webhook has said before that the call is over; what goes on is stopped. So it is with the
calls that were up when this program was killed, unless a jambonz brings them back.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import structlog

from gateway.calls.call_machine import CallMachine
from gateway.calls.endings import Ending, Role
from gateway.calls.live_call import LiveCall
from gateway.calls.routing import Dialling, Direction
from gateway.retell.client import RetellClient
from gateway.retell.failures import RetellError
from gateway.retell.workspaces import RetellWorkspaces
from gateway.storage.call_records import CallRecord, CallStore
from gateway.storage.errors import StorageError
from gateway.storage.retell_joins import Told, note_retell

log = structlog.get_logger("gateway.call")

#: Calls of which Retell is to be asked, and how many questions go out at a time.
MOST: Final = 2000
AT_A_TIME: Final = 4
#: What Retell says of a call that stop-call ended (docs.retellai.com/api-references/stop-call).
STOPPED: Final = "manual_stopped"


class LeftAgents:
    """Asks and stops. Close it to end what it started."""

    def __init__(
        self,
        retell: RetellWorkspaces,
        store: CallStore,
        after_s: float,
        count: Callable[[str], None],
    ) -> None:
        """`after_s` is how long after a call's end Retell is asked, 0 for never; `count` hears what
        came of each: `over`, `told`, `stopped`, `failed`, `too-many`."""
        self._retell = retell
        self._store = store
        self.after_s = after_s
        self._count = count
        #: of whom Retell is to be asked, and is asked, by its id of the call
        self._waiting: dict[str, asyncio.TimerHandle] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}
        #: Retell's ids of calls that it has said are over, the latest last
        self._told: OrderedDict[str, None] = OrderedDict()
        self._turn = asyncio.Semaphore(AT_A_TIME)

    def call_over(self, call: LiveCall, ending: Ending) -> None:
        """A call of ours has ended, and its record is closed."""
        if call.retell_call_id is not None and _may_go_on(call, ending):
            self._ask_after(self.after_s, self._client(call), call.record, call.retell_call_id)

    def interrupted(self, records: Sequence[CallRecord], back_s: float) -> None:
        """This program was killed under these calls; for `back_s` a jambonz may bring them back
        (`goes_on`)."""
        for record in records:
            retell_call_id, outcomes = (
                record.retell_call_id,
                [t["outcome"] for t in record.transfers],
            )
            carried = record.a_sip_call_id is not None  # others, as Twilio's, go on without us
            if retell_call_id is not None and carried and _alone(record, outcomes):
                client = self._retell.for_number(_ours(record))
                self._ask_after(self.after_s + back_s, client, record, retell_call_id)

    def goes_on(self, record: CallRecord) -> None:
        """An interrupted call was brought back."""
        timer = self._waiting.pop(record.retell_call_id or "", None)
        if timer is not None:
            timer.cancel()

    def told(self, retell_call_id: str) -> None:
        """Retell says that its call is over."""
        self._told[retell_call_id] = None
        if len(self._told) > MOST:
            self._told.popitem(last=False)
        for kept in (self._waiting, self._asking):
            one = kept.pop(retell_call_id, None)
            if one is not None:
                one.cancel()
                self._count("told")

    async def close(self) -> None:
        """Ask no more."""
        for timer in self._waiting.values():
            timer.cancel()
        self._waiting.clear()
        asking = list(self._asking.values())
        self._asking.clear()
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    def _ask_after(
        self, seconds: float, client: RetellClient, record: CallRecord, retell_call_id: str
    ) -> None:
        if not self.after_s or retell_call_id in self._told or retell_call_id in self._waiting:
            return
        if len(self._waiting) + len(self._asking) >= MOST:
            self._count("too-many")
            log.warning("call.agent-not-asked-for", call_id=record.call_id, waiting=MOST)
            return
        self._waiting[retell_call_id] = asyncio.get_running_loop().call_later(
            seconds, self._begin, client, record, retell_call_id
        )

    def _client(self, call: LiveCall) -> RetellClient:
        """Whose key opens that call."""
        plan = call.machine.plan
        if isinstance(plan, Dialling) and plan.registration is not None:
            return self._retell.of(plan.registration.workspace)
        return self._retell.for_number(_ours(call.record))

    def _begin(self, retell: RetellClient, record: CallRecord, retell_call_id: str) -> None:
        del self._waiting[retell_call_id]
        work = self._ask(retell, record, retell_call_id)
        self._asking[retell_call_id] = asyncio.create_task(work)

    async def _ask(self, retell: RetellClient, record: CallRecord, retell_call_id: str) -> None:
        try:
            async with self._turn:
                self._count(await self._looked_after(retell, record, retell_call_id))
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("call.agent-not-asked-for", call_id=record.call_id)
        finally:
            self._asking.pop(retell_call_id, None)

    async def _looked_after(
        self, retell: RetellClient, record: CallRecord, retell_call_id: str
    ) -> str:
        """What came of it."""
        ids = {"call_id": record.call_id, "retell_call_id": retell_call_id}
        try:
            found = await retell.get_call(retell_call_id)
            if found.over or found.status == "registered":
                if found.disconnection_reason is not None:
                    await self._note(record, retell_call_id, found.disconnection_reason)
                return "over"
            await retell.stop_call(retell_call_id)
        except RetellError as error:
            log.warning("call.agent-not-stopped", failure=error.failure, error=error.detail, **ids)
            return "failed"
        log.warning("call.agent-stopped", after_s=self.after_s, fault="retell", **ids)
        await self._note(record, retell_call_id, STOPPED)
        return "stopped"

    async def _note(self, record: CallRecord, retell_call_id: str, reason: str) -> None:
        """Put Retell's word into the record, as its webhook would."""
        try:
            await note_retell(
                self._store,
                Told(
                    call_id=record.call_id,
                    retell_call_id=retell_call_id,
                    disconnection_reason=reason,
                ),
            )
        except StorageError as error:
            log.error("call.record-unwritten", call_id=record.call_id, error=str(error))


def _may_go_on(call: LiveCall, ending: Ending) -> bool:
    """Whether the agent's call may go on without us: Retell was called, or called us, and did not
    hang up itself; nobody was handed on, who may talk to somebody there."""
    machine, record = call.machine, call.record
    if not _alone(
        record,
        [None if each.verdict is None else each.verdict.outcome for each in machine.transfers],
    ):
        return False
    if record.direction == Direction.RETELL:
        # a call that nobody answered ended with our own answer to its INVITE
        return machine.answered is not None and not _hung_up(ending, "caller")
    if not _dialled(machine):
        return False
    placed = record.direction == Direction.OUTBOUND
    return not _hung_up(ending, "caller" if placed else "callee")


def _alone(record: CallRecord, outcomes: Iterable[str | None]) -> bool:
    """Whether no other leg of Retell's belongs to it, and nobody was handed on."""
    own = not record.related and record.part_of is None
    return own and all(outcome == "failed" for outcome in outcomes)


def _ours(record: CallRecord) -> str:
    """The number of ours, by which Retell's workspace is known."""
    return record.to_number if record.direction == Direction.INBOUND else record.from_number


def _hung_up(ending: Ending, agent: str) -> bool:
    return ending.by == agent and ending.cause == "hangup"


def _dialled(machine: CallMachine) -> bool:
    """Whether an INVITE went to the registered call; one that none went to ends by itself."""
    return any(
        each.sip_call_ids and each.attempt.role is Role.RETELL and each.attempt.target is None
        for each in machine.tried
    )
