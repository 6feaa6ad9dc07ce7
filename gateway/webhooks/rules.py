"""What the configuration says of Retell's question about an inbound call: pure."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from config.settings import NumberSettings, Settings
from config.templates import filled
from config.webhook_settings import AnswerRule, AnswerSettings
from gateway.calls.incoming import fits
from gateway.calls.numbers import e164
from gateway.calls.schedule import open_at
from gateway.retell.models import InboundCall
from gateway.webhooks.answer import InboundAnswer


def by_rules(
    settings: Settings, entry: NumberSettings | None, call: InboundCall, now: float
) -> InboundAnswer:
    """The answer by the number's entry; empty, so that Retell's own settings stand, without one.
    `now` is seconds since 1970."""
    if entry is None:
        return InboundAnswer()
    own = entry.webhook
    known = known_of(settings, call, now)
    ways: list[AnswerSettings] = [] if own is None else [own]
    if own is not None and (rule := _first(settings, own.rules, call, now)) is not None:
        ways.append(rule)
    if any(way.reject for way in ways):
        return InboundAnswer(reject=True)
    agent, version = entry.agent, None
    variables = dict(entry.variables)
    metadata: dict[str, str] = {}
    for way in ways:
        if way.agent is not None and way.agent != agent:
            agent, version = way.agent, None
        version = way.agent_version if way.agent_version is not None else version
        variables |= {name: filled(text, known) for name, text in way.variables.items()}
        metadata |= {name: filled(text, known) for name, text in way.metadata.items()}
    return InboundAnswer(
        override_agent_id=agent,
        override_agent_version=version,
        dynamic_variables=variables or None,
        metadata=metadata or None,
    )


def known_of(settings: Settings, call: InboundCall, now: float) -> dict[str, Any]:
    """What a template may name, of this call."""
    country = settings.outbound.default_country
    there = datetime.fromtimestamp(now, UTC).astimezone(ZoneInfo(settings.outbound.guard.time_zone))
    return {
        "caller": e164(call.from_number, country) or call.from_number,
        "called": e164(call.to_number, country) or call.to_number,
        "call_id": call.call_id,
        "time": there.strftime("%H:%M"),
        "date": there.strftime("%Y-%m-%d"),
        "weekday": there.strftime("%A"),
        "hour": there.strftime("%H"),
        **{f"header.{name}": value for name, value in _headers(call).items()},
    }


def _headers(call: InboundCall) -> Mapping[str, str]:
    """By names in lower case, with and without the `x-`: Retell's page shows both."""
    found: dict[str, str] = {}
    for name, value in (call.custom_sip_headers or {}).items():
        if isinstance(value, str):
            bare = name.lower().removeprefix("x-")
            found |= {bare: value, f"x-{bare}": value}
    return found


def _first(
    settings: Settings, rules: tuple[AnswerRule, ...], call: InboundCall, now: float
) -> AnswerRule | None:
    caller = e164(call.from_number, settings.outbound.default_country) or call.from_number
    headers = _headers(call)
    for rule in rules:
        if rule.callers and not any(fits(pattern, caller) for pattern in rule.callers):
            continue
        if any(headers.get(name.lower()) != value for name, value in rule.headers.items()):
            continue
        schedule = settings.schedules.get(rule.schedule or "")
        if schedule is not None and not open_at(schedule, datetime.fromtimestamp(now, UTC)):
            continue
        return rule
    return None
