"""How an inbound call of an imported number is answered: decided once, in time.

Retell waits for ten seconds and lets the caller hear ringing meanwhile, so whoever decides has
`decide_within_s`; then the last answer to the same caller holds, else what the rules say.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, Self, TypeAlias

import aiohttp
import structlog

from config.settings import NumberSettings, Settings
from gateway.calls.numbers import e164
from gateway.retell.models import InboundCall
from gateway.value import frozen
from gateway.webhooks.answer import InboundAnswer, InvalidAnswerError, answer_of
from gateway.webhooks.deciders import Decider, Function, NoDecisionError, Server
from gateway.webhooks.rules import by_rules

log = structlog.get_logger("gateway.retell")

#: Answers that are remembered, and for how long, in seconds.
MOST: Final = 10_000
KEPT_S: Final = 86_400.0

#: Who decided: the rules, or somebody else; somebody else did not, and the rules, or what was
#: decided for this caller before, hold.
By: TypeAlias = Literal["rules", "decided", "remembered", "late", "failed", "invalid"]


@frozen(kw_only=True)
class Decision:
    """`answer` is Retell's to read; `by` says how it came about."""

    answer: InboundAnswer
    by: By


class Decisions:
    """Decides. Use as `async with`."""

    def __init__(
        self,
        settings: Settings,
        function: Function | None,
        *,
        now: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        """`function` is that of `retell.webhooks.decide_function`; `now` is seconds since 1970,
        `clock` monotonic."""
        self._settings = settings
        self._function = function
        self._now = now
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        #: by number and caller, the latest last: when it was decided
        self._last: OrderedDict[tuple[str, str], tuple[float, InboundAnswer]] = OrderedDict()

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    def configure(self, settings: Settings, function: Function | None) -> None:
        """Go on by other settings."""
        self._settings = settings
        self._function = function

    async def decide(
        self,
        call: InboundCall,
        entry: NumberSettings | None,
        call_id: str | None,
        workspace: str,
    ) -> Decision:
        """The answer about a call for the number of `entry`; `call_id` is ours."""
        standing = by_rules(self._settings, entry, call, self._now())
        decider = self._decider(entry)
        if decider is None or standing.reject:
            return Decision(answer=standing, by="rules")
        within_s = self._settings.retell.webhooks.decide_within_s
        key = call.to_number, call.from_number
        question = {
            "kind": "call_inbound",
            "question_id": call.call_id or call_id or f"{call.from_number} {call.to_number}",
            "call_inbound": call.model_dump(exclude_none=True),
            "call_id": call_id,
            "workspace": workspace,
            "default": standing.told(),
        }
        by, why = await self._ask(decider, question, within_s, key)
        if isinstance(by, InboundAnswer):
            return Decision(answer=by, by="decided")
        told = {"retell_call_id": call.call_id, "call_id": call_id, "to": call.to_number}
        remembered = self._remembered(key)
        log.warning("retell.inbound-undecided", outcome=by, reason=why, within_s=within_s, **told)
        if remembered is not None and by != "invalid":
            return Decision(answer=remembered, by="remembered")
        return Decision(answer=standing, by=by)

    async def _ask(
        self,
        decider: Decider,
        question: Mapping[str, Any],
        within_s: float,
        key: tuple[str, str],
    ) -> tuple[InboundAnswer | By, str]:
        try:
            async with asyncio.timeout(within_s):
                answer = answer_of(await decider.decide(question))
        except TimeoutError:
            return "late", f"no answer in {within_s:g} s (retell.webhooks.decide_within_s)"
        except NoDecisionError as error:
            return "failed", str(error)
        except InvalidAnswerError as error:
            return "invalid", str(error)
        if e164(key[1], None) is None:
            return answer, ""  # all who withhold their number would be one caller
        self._last[key] = self._clock(), answer
        self._last.move_to_end(key)
        if len(self._last) > MOST:
            self._last.popitem(last=False)
        return answer, ""

    def _decider(self, entry: NumberSettings | None) -> Decider | None:
        own = None if entry is None else entry.webhook
        if own is not None and not own.decide:
            return None
        if self._function is not None:
            return self._function
        url = self._settings.retell.webhooks.decide_url
        if url is None or self._session is None:
            return None
        return Server(self._session, url, self._settings.outbound.callbacks, self._now)

    def _remembered(self, key: tuple[str, str]) -> InboundAnswer | None:
        """The last answer to that caller, unless it is old."""
        at, answer = self._last.get(key, (float("-inf"), None))
        return answer if self._clock() - at <= KEPT_S else None
