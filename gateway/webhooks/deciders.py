"""Whoever else decides how a call is answered: a server, or a function, of the operator's."""

import asyncio
import importlib
import inspect
import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Protocol

import aiohttp
import orjson

from config.callback_settings import CallbackSettings
from config.webhook_settings import WebhookSettings
from gateway.callbacks.signature import HEADER as SIGNATURE
from gateway.callbacks.signature import sign
from gateway.short_answer import read_at_most
from gateway.version import NAME, version
from gateway.webhooks.answer import MAX_ANSWER

#: The call that is asked about, by Retell's id: the same when the question comes again.
QUESTION_ID: Final = "X-Gateway-Question-Id"
#: Threads for a function that waits: one that never comes back takes one of its own alone.
THREADS: Final = 8


class NoDecisionError(Exception):
    """Nobody decided; the text says why."""


class NoFunctionError(Exception):
    """There is no such function; the text says why."""


class Decider(Protocol):
    """Decides about one question. The value is not looked at yet."""

    async def decide(self, question: Mapping[str, Any]) -> Any:
        """Raises NoDecisionError."""
        ...


class Server:
    """Asks a URL by a signed POST; `session` is closed by whoever opened it."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        callbacks: CallbackSettings,
        now: Callable[[], float],
    ) -> None:
        """`now` is seconds since 1970."""
        self._session = session
        self._url = url
        self._callbacks = callbacks
        self._now = now

    async def decide(self, question: Mapping[str, Any]) -> Any:
        secret = self._callbacks.secret
        if secret is None:
            raise NoDecisionError("outbound.callbacks.secret is not set to sign the question with")
        body = orjson.dumps(question)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"{NAME}/{version()}",
            QUESTION_ID: str(question["question_id"]),
            SIGNATURE: sign(secret.get_secret_value(), body, self._now()),
        }
        try:
            async with self._session.post(
                self._url, data=body, headers=headers, allow_redirects=False
            ) as response:
                if response.status != 200:
                    raise NoDecisionError(f"it answered {response.status}")
                raw = await read_at_most(response.content, MAX_ANSWER + 1)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise NoDecisionError(str(error) or type(error).__name__) from None
        if len(raw) > MAX_ANSWER:
            raise NoDecisionError(f"its answer has more than {MAX_ANSWER} bytes")
        try:
            return orjson.loads(raw)
        except ValueError:
            raise NoDecisionError("its answer is no JSON") from None


class Function:
    """Asks a Python function of the operator's, which takes the question and gives the answer. One
    that is no coroutine runs in a thread, and so may wait."""

    def __init__(self, name: str, function: Callable[[Mapping[str, Any]], Any]) -> None:
        self._name = name
        self._function = function
        self._threads = ThreadPoolExecutor(THREADS, "decide")

    async def decide(self, question: Mapping[str, Any]) -> Any:
        own = json.loads(json.dumps(question))  # its to change
        try:
            if inspect.iscoroutinefunction(self._function):
                return await self._function(own)
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, self._function, own)
        except Exception as error:
            raise NoDecisionError(f"{self._name} raised {type(error).__name__}: {error}") from error


def function_of(settings: WebhookSettings) -> Function | None:
    """The function that the settings name. Raises NoFunctionError."""
    name = settings.decide_function
    if name is None:
        return None
    module, _, attribute = name.partition(":")
    try:
        function = getattr(importlib.import_module(module), attribute)
    except AttributeError:
        raise NoFunctionError(f"{module} has no {attribute}") from None
    except Exception as error:
        reason = f"{module} cannot be imported: {type(error).__name__}: {error}"
        raise NoFunctionError(f"{reason} (is its folder in PYTHONPATH?)") from None
    if not callable(function):
        raise NoFunctionError(f"{attribute} of {module} is no function")
    return Function(name, function)
