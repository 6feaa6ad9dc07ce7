"""Twilio's REST API, as far as it places calls and changes those that are up
(twilio.com/docs/voice/api/call-resource)."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Final

import aiohttp
import orjson

from config.twilio_settings import TwilioAccountSettings, TwilioSettings
from gateway.short_answer import read_at_most
from gateway.visible import visible

#: Seconds for one request; placing a call may take longer, since nobody may ask for it twice.
ASK_S: Final = 5.0
PLACE_S: Final = 10.0
#: Another try helps with these; to say it twice does no harm.
_PASSING: Final = frozenset({429, 500, 502, 503, 504})
_PAUSE_S: Final = 0.5
#: The call is over already (twilio.com/docs/api/errors/21220).
_OVER: Final = 21220
#: Bytes that are read of an answer.
_MOST: Final = 64 << 10
#: Letters of an answer that are told.
_TOLD: Final = 300
#: Longer than this nobody is made to wait, in seconds.
_LONGEST_WAIT_S: Final = 3600

Form = Iterable[tuple[str, str]]


class TwilioError(Exception):
    """Twilio did not do it. `status` is HTTP's, 0 where nothing was answered; `code` is Twilio's
    own (twilio.com/docs/api/errors), 0 where it told none."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        code: int = 0,
        sent: bool = True,
        retry_after_s: float | None = None,
    ) -> None:
        """`sent` is False where no byte of the request has reached Twilio."""
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.code = code
        self.sent = sent
        self.retry_after_s = retry_after_s

    @property
    def uncertain(self) -> bool:
        """Whether Twilio may have done it all the same."""
        return self.sent and (self.status == 0 or (self.status >= 500 and self.status != 503))


class TwilioRest:
    """Asks Twilio. Its session is opened with the first request; close it."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """No more requests."""
        if self._session is not None:
            await self._session.close()

    async def place(self, settings: TwilioSettings, account_sid: str, form: Form) -> str:
        """Have a call placed; its CallSid. Asked once: Twilio knows no idempotency key, and would
        call twice. Raises TwilioError."""
        account = _account(settings, account_sid)
        placed = await self._ask("POST", _url(settings, account), account, form, PLACE_S)
        call_sid = placed.get("sid")
        if not isinstance(call_sid, str):
            raise TwilioError(0, "the answer names no call")
        return call_sid

    async def read(
        self, settings: TwilioSettings, account_sid: str, call_sid: str
    ) -> dict[str, Any]:
        """A call as Twilio has it now. Raises TwilioError."""
        account = _account(settings, account_sid)
        return await self._ask("GET", _url(settings, account, call_sid), account, None, ASK_S)

    async def kind(self, settings: TwilioSettings, account_sid: str) -> str:
        """`Trial` or `Full` (twilio.com/docs/iam/api/account). Raises TwilioError."""
        account = _account(settings, account_sid)
        url = f"{settings.api_url}/2010-04-01/Accounts/{account.account_sid}.json"
        return str((await self._ask("GET", url, account, None, ASK_S)).get("type", ""))

    async def hang_up(self, settings: TwilioSettings, account_sid: str, call_sid: str) -> None:
        """End a call; one that is over already is no error. Raises TwilioError."""
        await self._update(settings, account_sid, call_sid, {"Status": "completed"})

    async def call_off(self, settings: TwilioSettings, account_sid: str, call_sid: str) -> None:
        """End a call that nobody has answered yet; one that was meanwhile goes on. Raises
        TwilioError."""
        await self._update(settings, account_sid, call_sid, {"Status": "canceled"})

    async def go_on_with(
        self, settings: TwilioSettings, account_sid: str, call_sid: str, document: str
    ) -> None:
        """Have a call go on with that document, whatever it does now. Raises TwilioError."""
        await self._update(settings, account_sid, call_sid, {"Twiml": document})

    async def _update(
        self, settings: TwilioSettings, account_sid: str, call_sid: str, form: Mapping[str, str]
    ) -> None:
        account = _account(settings, account_sid)
        url = _url(settings, account, call_sid)
        for last in (False, True):
            try:
                await self._ask("POST", url, account, form.items(), ASK_S)
            except TwilioError as error:
                if error.code == _OVER:
                    return
                if last or (error.status not in _PASSING and error.status):
                    raise
                await asyncio.sleep(_PAUSE_S)
            else:
                return

    async def _ask(
        self,
        method: str,
        url: str,
        account: TwilioAccountSettings,
        form: Form | None,
        within_s: float,
    ) -> dict[str, Any]:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        login = aiohttp.encode_basic_auth(
            account.account_sid, account.auth_token.get_secret_value()
        )
        try:
            async with self._session.request(
                method,
                url,
                data=None if form is None else list(form),
                headers={"Authorization": login},
                timeout=aiohttp.ClientTimeout(total=within_s),
            ) as response:
                text = await read_at_most(response.content, _MOST)
                if response.status < 300:
                    return _read(text)
                raise _failure(response.status, text, response.headers.get("Retry-After", ""))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise TwilioError(0, f"cannot be reached: {error}", sent=False) from None
        except (aiohttp.ClientError, TimeoutError) as error:
            raise TwilioError(0, f"no answer: {error or type(error).__name__}") from None


def _account(settings: TwilioSettings, account_sid: str) -> TwilioAccountSettings:
    account = settings.account(account_sid)
    if account is None:
        raise TwilioError(0, f"account {account_sid} is not in the configuration", sent=False)
    return account


def _url(settings: TwilioSettings, account: TwilioAccountSettings, call_sid: str = "") -> str:
    calls = f"{settings.api_url}/2010-04-01/Accounts/{account.account_sid}/Calls"
    return f"{calls}/{call_sid}.json" if call_sid else f"{calls}.json"


def _read(text: bytes) -> dict[str, Any]:
    """What an answer says; nothing where it is no JSON object."""
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _failure(status: int, text: bytes, retry_after: str) -> TwilioError:
    told = _read(text)
    code, message = told.get("code"), told.get("message")
    words = message if isinstance(message, str) else text.decode(errors="replace")
    wait_s = min(float(retry_after), _LONGEST_WAIT_S) if retry_after.isdecimal() else None
    return TwilioError(
        status,
        f"HTTP {status}: {visible(words)[:_TOLD]}",
        code=code if isinstance(code, int) else 0,
        retry_after_s=wait_s,
    )
