"""What an account on trial cannot do, said once of each (twilio.com/docs/usage/trials)."""

import asyncio
from typing import Final

import structlog

from config.twilio_settings import TwilioSettings
from gateway.twilio.rest import TwilioError, TwilioRest

log = structlog.get_logger("gateway.twilio")

_WORDS: Final = (
    "the account is on trial: it calls verified numbers of its own country alone, ten minutes each,"
    " and replaces <Dial> and <Stream> by a spoken notice, so that no agent is heard: upgrade it"
)


class Trials:
    """Looks each account up once. Close it at the end."""

    def __init__(self, rest: TwilioRest) -> None:
        self._rest = rest
        self._looked_up: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Look no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def look_up(self, twilio: TwilioSettings, account_sid: str) -> None:
        """Warn of that account, where it is on trial; returns at once."""
        if account_sid not in self._looked_up:
            self._looked_up.add(account_sid)
            task = asyncio.create_task(self._warn(twilio, account_sid))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _warn(self, twilio: TwilioSettings, account_sid: str) -> None:
        try:
            kind = await self._rest.kind(twilio, account_sid)
        except TwilioError as error:
            self._looked_up.discard(account_sid)
            log.info("twilio.account-unread", account_sid=account_sid, error=error.detail)
            return
        if kind == "Trial":
            log.warning("twilio.trial-account", account_sid=account_sid, reason=_WORDS)
