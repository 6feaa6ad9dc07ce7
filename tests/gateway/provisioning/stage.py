"""A configuration, and the commands run in this process against a double of an API."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

from config.settings import Settings, load
from gateway.provisioning.changes import Plan, Wishes
from gateway.provisioning.failures import ApiError
from gateway.provisioning.running import Target, carry_out

WEAK, PASSWORD = "secret", "Secret-Word-2026"
TOKEN = "token-of-the-trunk"
SID, AUTH = "AC" + "0" * 32, "auth-token-of-the-account"

CONFIG: dict[str, Any] = {
    "http": {"public_url": "https://gateway.example.com"},
    "retell": {
        "api_key": "key_of_the_test_workspace",
        "agent": "agent_1",
        "login": {"username": "retell", "password": PASSWORD},
    },
    "twilio": {"account_sid": SID, "auth_token": AUTH},
    "trunks": [
        {
            "name": "twilio",
            "profile": "twilio",
            "gateways": ["sip:example.pstn.twilio.com;transport=tcp"],
            "credentials": {"username": "gateway", "password": PASSWORD},
            "identify_headers": {"X-Trunk-Token": TOKEN},
        }
    ],
    "numbers": {
        "+14155550100": {},
        "+14155550101": {"agent": "agent_2"},
        "+14155550102": {
            "agents": [
                {"trunk": "retell"},
                {"trunk": "retell", "to": "+14155550105", "weight": 2},
            ]
        },
        "+14155550103": {"method": "dial"},
        "twilio/200": {"retell_number": "+14155550104", "agent": "agent_3"},
    },
    "provision": {
        "sip_uris": ["sip:sip.example.com;transport=tcp", "sip:sip2.example.com:5080"],
        "twilio": {"trunk": "twilio"},
    },
}


def config(**groups: Any) -> dict[str, Any]:
    """The usual one, with groups in place of its own; None takes one away."""
    whole = CONFIG | groups
    return {name: group for name, group in whole.items() if group is not None}


def settings_of(folder: Path, data: dict[str, Any]) -> Settings:
    """As the program reads it."""
    file = folder / "gateway.yaml"
    file.write_text(yaml.safe_dump(data))
    return load(file, {})


class Slept:
    """The pauses that there would have been, in seconds."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0)


Make = Callable[[aiohttp.ClientSession, str], Target]


@asynccontextmanager
async def served(app: web.Application) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    """A session, and the double's URL."""
    server = TestServer(app)
    await server.start_server()
    try:
        async with aiohttp.ClientSession() as session:
            yield session, str(server.make_url("")).rstrip("/")
    finally:
        await server.close()


async def run(target: Target, wishes: Wishes | None = None) -> tuple[Plan, Plan]:
    """Plan, carry out, look again: the plan, and what is left. Raises ApiError."""
    wishes = wishes or Wishes()
    plan = await target.plan(wishes)
    outcome = await carry_out(target, plan, wishes, lambda change: None)
    return plan, outcome.left


async def interrupted(job: Awaitable[object]) -> bool:
    """Whether the API was lost before the job was over."""
    try:
        await job
    except ApiError:
        return True
    return False
