"""A gateway that takes Twilio's calls."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tests.gateway.conftest import Start
from tests.gateway.twilio.vendor import MAIN, PUBLIC, SUB, SUB_TOKEN, TOKEN, Api, Twilio, serve_api

StartTwilio = Callable[..., Awaitable[Twilio]]


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    api = Api()
    runner = await serve_api(api)
    yield api
    await runner.cleanup()


@pytest.fixture
def start_twilio(start: Start, api: Api) -> StartTwilio:
    """Keyword arguments are keys of `twilio`; `sections` and `make` as those of `start`."""

    async def run(
        *, make: dict[str, Any] | None = None, sections: dict[str, Any] | None = None, **keys: Any
    ) -> Twilio:
        twilio = {
            "account_sid": MAIN,
            "auth_token": TOKEN,
            "subaccounts": [{"account_sid": SUB, "auth_token": SUB_TOKEN}],
            "api_url": api.url,
            **keys,
        }
        http = {"admin_token": "admin-token", "public_url": PUBLIC}
        return Twilio(
            await start(make=make, **{"http": http, "twilio": twilio, **(sections or {})})
        )

    return run


@pytest.fixture
async def twilio(start_twilio: StartTwilio) -> Twilio:
    return await start_twilio()
