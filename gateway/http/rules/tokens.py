"""Who asks the API: a token with a name, a role, and so many requests a second."""

import asyncio
import hmac
from collections.abc import Callable
from typing import Final, Literal, TypeAlias

from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import SecretStr

from config.settings import TokenSettings
from gateway.http.app_keys import SETTINGS
from gateway.http.clients import BURST_S, MAX_WAIT_S, PROVEN
from gateway.http.problems import ProblemError
from gateway.http.rules.rates import Rates

#: `read` looks, `operate` also has calls and trunks do something, `admin` also stops and changes
#: the gateway, deletes recordings and reads the audit.
Role: TypeAlias = Literal["read", "operate", "admin"]
_RANKS: Final[tuple[Role, ...]] = ("read", "operate", "admin")

#: Whose token a request showed.
TOKEN: Final = web.RequestKey("token", TokenSettings)


class TokenRates:
    """Has each token wait its turn."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._rates = Rates(BURST_S, now)

    async def turn(self, token: TokenSettings) -> None:
        """Returns when it may go on. Raises ProblemError (429) where that takes too long."""
        interval_s = 1 / token.requests_per_second
        wait_s = self._rates.charge(token.name, interval_s)
        if wait_s > MAX_WAIT_S:
            self._rates.refund(token.name, interval_s)
            detail = (
                f"token {token.name} asks more than {token.requests_per_second} times a second"
                " (http.tokens[].requests_per_second)"
            )
            retry = {"Retry-After": str(max(1, round(wait_s)))}
            raise ProblemError(429, "too-many-requests", detail, retry)
        if wait_s > 0:
            await asyncio.sleep(wait_s)


TOKEN_RATES: Final = web.AppKey("token_rates", TokenRates)


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let only who has a token into /api."""
    if request.path.startswith("/api/"):
        token = request[TOKEN] = _token_of(request)
        request[PROVEN] = True
        await request.app[TOKEN_RATES].turn(token)
    return await handler(request)


def may(request: web.Request, role: Role) -> bool:
    """Whether the token's role is enough."""
    return _RANKS.index(request[TOKEN].role) >= _RANKS.index(role)


def require(request: web.Request, role: Role) -> None:
    """Raises ProblemError (403) where the token's role is not enough."""
    if not may(request, role):
        token = request[TOKEN]
        detail = f"token {token.name} has the role {token.role}, and this needs {role}"
        raise ProblemError(403, "forbidden", detail)


def same_secret(given: str, secret: SecretStr) -> bool:
    """Compared in a time that tells nothing of where they differ. `given` is as aiohttp has a
    header: a byte that is no UTF-8 is half a character."""
    return hmac.compare_digest(
        given.encode(errors="surrogateescape"), secret.get_secret_value().encode()
    )


def bears(request: web.Request, token: SecretStr) -> bool:
    """Whether the request carries this token (RFC 6750 2.1)."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return scheme.lower() == "bearer" and same_secret(given.strip(), token)


def _token_of(request: web.Request) -> TokenSettings:
    tokens = request.app[SETTINGS].settings.http.every_token()
    if not tokens:
        detail = "the API is off: set http.admin_token or http.tokens in the configuration"
        raise ProblemError(403, "api-off", detail)
    # every one is compared: how long it takes does not tell which was nearly right
    shown = [token for token in tokens if bears(request, token.token)]
    if not shown:
        detail = "send Authorization: Bearer with a token of http.tokens, or http.admin_token"
        raise ProblemError(401, "unauthorized", detail, {"WWW-Authenticate": "Bearer"})
    return shown[0]
