"""What Retell's webhooks lead to: what is not signed is not sent, and one alone decides."""

from collections.abc import Iterator

from config.checks.callbacks import destination_problems
from config.problems import Problem, did_you_mean
from config.reading.raw import Data, listing, mapping


def webhook_problems(data: Data) -> Iterator[Problem]:
    """Every problem of `retell.webhooks` and `numbers.NUMBER.webhook` that needs two keys."""
    path = ("retell", "webhooks")
    webhooks = mapping(data, *path)
    signed = mapping(data, "outbound", "callbacks").get("secret")
    for key in ("forward_url", "decide_url"):
        if webhooks.get(key) and not signed:
            reason = "needs outbound.callbacks.secret: what is sent is signed with it"
            yield Problem((*path, key), reason)
    yield from destination_problems(data, (*path, "forward_url"), webhooks.get("forward_url"))
    if webhooks.get("decide_url") and webhooks.get("decide_function"):
        reason = "is beside decide_url: one of the two decides"
        yield Problem((*path, "decide_function"), reason)
    if webhooks.get("forward_events") and not webhooks.get("forward_url"):
        yield Problem((*path, "forward_events"), "has no effect without forward_url")
    schedules = mapping(data, "schedules")
    for number, entry in mapping(data, "numbers").items():
        for index, rule in enumerate(listing(mapping(entry), "webhook", "rules")):
            name = mapping(rule).get("schedule")
            if isinstance(name, str) and name not in schedules:
                near = did_you_mean(name, schedules)
                where = ("numbers", number, "webhook", "rules", index, "schedule")
                yield Problem(where, f"there is no schedule named {name}{near}")
