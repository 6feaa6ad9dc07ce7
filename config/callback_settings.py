"""Where events are told: `outbound.callbacks`."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from config.texts import HttpUrl, Secret
from config.values import HOST, Model, Seconds, text_of


def _callback_host(value: Any) -> str:
    """A host's name or address; `*.` before a name stands for every name below it."""
    text = text_of(value).lower()
    if not HOST.fullmatch(text.removeprefix("*.")):
        raise ValueError(f"{text!r} is neither a host such as hooks.example.com nor *.example.com")
    return text.strip("[]")


CallbackHost = Annotated[str, BeforeValidator(_callback_host)]


class CallbackSettings(Model):
    """Events go to `url`, unless a call names a URL of its own, signed with `secret`. With `hosts`
    they go to those alone, wherever these are; without, to every host with a public address. What
    is refused or unheard for `keep_trying_days` is given up."""

    url: HttpUrl | None = None
    secret: Secret | None = None
    hosts: tuple[CallbackHost, ...] = ()
    timeout_s: Seconds = 10
    keep_trying_days: Annotated[float, Field(gt=0, le=30)] = 3
