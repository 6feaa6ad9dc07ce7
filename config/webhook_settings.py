"""What Retell's webhooks are answered, and who hears of them besides: `retell.webhooks`."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from config.money_settings import CallerPattern
from config.templates import Template
from config.texts import HttpUrl, Name
from config.values import Model, text_of

_FUNCTION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)


def _function(value: Any) -> str:
    text = text_of(value)
    if not _FUNCTION.fullmatch(text):
        raise ValueError(f"{text!r} is not of the form package.module:function")
    return text


FunctionName = Annotated[str, BeforeValidator(_function)]


class WebhookSettings(Model):
    """Events go on to `forward_url`. How a call of an imported number is answered is asked of
    `decide_url`, or of the Python function `decide_function`, for `decide_within_s` at most; then
    what the number's own entry says holds."""

    forward_url: HttpUrl | None = None
    forward_events: tuple[Name, ...] = ("*",)
    decide_url: HttpUrl | None = None
    decide_function: FunctionName | None = None
    decide_within_s: Annotated[float, Field(gt=0, le=8)] = 3


class AnswerSettings(Model):
    """How Retell's question about a call is answered. Texts of `variables` and `metadata` may be
    templates."""

    agent: Name | None = None
    agent_version: int | Name | None = None
    variables: dict[str, Template] = Field(default={})
    metadata: dict[str, Template] = Field(default={})
    reject: bool = False


class AnswerRule(AnswerSettings):
    """The same for some callers: those whose number or `*` pattern is in `callers`, where that is
    not empty, with these headers, in the hours of `schedule`."""

    callers: tuple[CallerPattern, ...] = ()
    headers: dict[str, str] = Field(default={})
    schedule: Name | None = None


class NumberWebhookSettings(AnswerSettings):
    """The answer for one number: that of the first of `rules` that fits over its own."""

    rules: tuple[AnswerRule, ...] = ()
    decide: bool = True
