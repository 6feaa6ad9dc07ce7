"""Twilio's part of the stage: an account, and the commands at it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

from gateway.provisioning.running import Target
from gateway.twilio.provisioning.account import NumbersTarget, TrunkTarget, account_of
from gateway.twilio.provisioning.buying import Purchase
from tests.gateway.provisioning.stage import CONFIG, Slept, config, served, settings_of
from tests.gateway.provisioning.twilio_double import TwilioDouble

MARK = "retell-sip-gateway"
NAME, DOMAIN = f"{MARK} twilio", "example.pstn.twilio.com"
VOICE = "https://gateway.example.com/webhooks/twilio/voice/"
OWN = ("+14155550100", "+14155550101")


@asynccontextmanager
async def twilio(
    folder: Path,
    double: TwilioDouble,
    *,
    of_numbers: bool = False,
    buy: Purchase | None = None,
    **groups: Any,
) -> AsyncIterator[Target]:
    """`provision twilio trunk`, or `numbers`, at a double."""
    async with served(double.app()) as (session, url):
        data = deepcopy(config(**groups))
        data["twilio"]["api_url"] = url
        data["provision"]["twilio"]["trunking_url"] = url
        settings = settings_of(folder, data)
        assert settings.twilio is not None
        name = settings.provision.twilio.trunk
        entry = None if name is None else settings.trunk(name)
        account = account_of(settings, settings.twilio, entry, session, sleep=Slept())
        yield (
            NumbersTarget(account, settings, buy) if of_numbers else TrunkTarget(account, settings)
        )


def provisioned(**own: Any) -> dict[str, Any]:
    """`provision` with other keys of `provision.twilio`."""
    whole: dict[str, Any] = CONFIG["provision"]
    return whole | {"twilio": whole["twilio"] | own}


def trunk_with(**own: Any) -> list[dict[str, Any]]:
    """`trunks` with other keys of the one."""
    return [CONFIG["trunks"][0] | own]


def account(kind: str = "Full") -> TwilioDouble:
    """With two of our numbers, and one that is none of ours."""
    double = TwilioDouble(kind)
    for number in (*OWN, "+14155550177"):
        double.owns(number)
    return double
