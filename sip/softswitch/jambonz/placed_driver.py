"""Runs one call that we place for its application (jambonz's REST API).

As in jambonz, the application hears at once how far the callee is, and is asked for verbs when the
callee has answered: `session:new` follows the answer without a turn between. What never came up
ends with its last `call:status`. Beyond jambonz, a command `call:status` ends it while it rings.
"""

from collections.abc import Callable
from typing import ClassVar, TypeAlias

import structlog

from sip.b2bua.call import Call
from sip.b2bua.call_events import Headers
from sip.b2bua.call_state import EndedBy
from sip.b2bua.hub import FIRST
from sip.b2bua.leg_report import LegReport, Progress
from sip.clock import Timer
from sip.core.value import frozen
from sip.softswitch.dialling.attempts import TrunkAttempts
from sip.softswitch.dialling.dialler import DialError, Dialler
from sip.softswitch.jambonz import messages
from sip.softswitch.jambonz.driver import Driver
from sip.softswitch.jambonz.link import AppError, AppLink
from sip.softswitch.jambonz.rest_call import RestCall
from sip.softswitch.jambonz.session_info import PlacedInfo
from sip.softswitch.jambonz.sounds import NO_SOUNDS, Sounds
from sip.softswitch.jambonz.verbs.schema import VerbError
from sip.softswitch.trunks.trunk import Trunk

log = structlog.get_logger(__name__)

MakeCall: TypeAlias = Callable[[Callable[[LegReport], None]], Call]


@frozen(kw_only=True)
class Order:
    """What is to be placed, and how: by `trunk`, with those of its `headers` that may go there;
    `sip_call_id` is the Call-ID of the first INVITE."""

    wanted: RestCall
    trunk: Trunk
    headers: Headers
    sip_call_id: str


class PlacedDriver(Driver):
    """One call that we place and its application."""

    tells_at_once: ClassVar[bool] = True

    def __init__(
        self,
        link: AppLink,
        dialler: Dialler,
        info: PlacedInfo,
        order: Order,
        make_call: MakeCall,
        sounds: Sounds = NO_SOUNDS,
    ) -> None:
        """`make_call(on_status)` makes the call, which has no leg yet."""
        super().__init__(link, dialler, info, make_call, sounds)
        self._order = order
        self._limit: Timer | None = None
        self.application.customer_data = order.wanted.tag or {}
        self.application.refer_hook = order.wanted.refer_hook
        if order.wanted.amd is not None:
            self._detecting.want(order.wanted.amd, FIRST)

    # the call's life

    async def _begin(self) -> None:
        """Place it, and ask the application once it is answered."""
        told: object = None
        try:
            await self._socket.connect()
            await self._place()
            if self.call.status.answered_at is None:
                return
            told = await self._socket.accepted()
            self.main.give(self.application.read([] if told is None else told))
        except (AppError, VerbError) as error:
            log.error(
                "call.no-verbs",
                error=str(error),
                fault=error.fault.value,
                **self.application.log_ids,
            )
            if isinstance(error, VerbError):
                self._socket.error(str(error), told)
            return
        self._started = True
        self._detecting.application_knows()

    async def _place(self) -> None:
        """Returns when the callee has answered, or will not."""
        wanted = self._order.wanted
        try:
            attempts = await self._attempts()
        except DialError as error:
            log.warning(
                "dial.failed",
                error=str(error),
                fault=error.fault.value,
                dialled=wanted.target.called,
                **self.application.log_ids,
            )
            self.call.unplaced(error.status, error.reason, error.cause)
            return
        await self.call.place(attempts, timeout_s=wanted.timeout_s)
        if attempts.problems:
            log.info(
                "dial.gateways-skipped", problems=attempts.problems, **self.application.log_ids
            )

    async def _attempts(self) -> TrunkAttempts:
        order = self._order
        return await self.dialler.attempts(
            order.trunk,
            order.wanted.target,
            order.wanted.caller,
            order.headers,
            sip_call_id=order.sip_call_id,
        )

    def _interrupt(self) -> None:
        if self._started:
            super()._interrupt()
        else:
            self.main.interrupt()

    async def _finish(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
        await super()._finish()

    @property
    def _ended_by(self) -> EndedBy | None:
        return None if self.call.status.answered_at is None else super()._ended_by

    # what the application hears

    def _on_status(self, status: LegReport) -> None:
        super()._on_status(status)
        if status is self.call.status and status.progress is Progress.ANSWERED:
            self._answered()

    def _answered(self) -> None:
        """The callee is there: the application is asked in the same turn of the loop."""
        time_limit_s = self._order.wanted.time_limit_s
        if time_limit_s is not None:
            self._limit = self.call.ua.clock.call_later(time_limit_s, self.end)
        session = messages.new_session(self.info, self.call.status)
        self._socket.introduce(self.application.tagged(session))

    def _hurry(self) -> None:
        """Before the answer nothing is waited for; and one server's refusal is no end."""
        if self.call.status.answered_at is not None:
            super()._hurry()
