"""Phones of the configuration that the guard would not let a call out to."""

from collections.abc import Iterator
from datetime import UTC, datetime

from config.advice.ways import phones
from config.findings import Finding, Level
from config.settings import Settings
from gateway.calls.call_counts import CallCounts
from gateway.calls.guard import OWN_NUMBER, Chooser, Guard


def guarded(settings: Settings) -> Iterator[Finding]:
    """Each that is refused, but for our own numbers, which are told of already."""
    guard, counts, now = Guard(settings), CallCounts(), datetime.now(UTC)
    for phone in phones(settings):
        no_way = guard.judge(phone.to, phone.trunk, Chooser.OPERATOR, counts, now)
        if no_way is not None and no_way.refusal != OWN_NUMBER:
            yield Finding(
                code="guard-refuses",
                level=Level.ERROR,
                path=(*phone.path, "to"),
                text=f"no call to it leaves: {no_way.words}",
                fix="write another number, or change outbound.guard",
            )
