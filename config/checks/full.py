"""What becomes of callers while Retell is full: nobody can know that who does not ask."""

from collections.abc import Iterator

from config.problems import KeyPath, Problem
from config.reading.raw import Data, mapping


def full_problems(data: Data) -> Iterator[Problem]:
    """What `retell.when_full` needs, and what has no effect without it."""
    retell = mapping(data, "retell")
    when = retell.get("when_full", "ring")
    if when in ("fallback", "wait"):
        if not retell.get("api_key"):
            reason = "needs retell.api_key: Retell is asked how many calls it has room for"
            yield Problem(("retell", "when_full"), reason)
        if str(mapping(retell, "concurrency").get("poll_s")) in ("0", "0.0"):
            reason = f"is 0: nobody would know when Retell is full (retell.when_full: {when})"
            yield Problem(("retell", "concurrency", "poll_s"), reason)
    numbers = mapping(data, "numbers").values()
    backed = retell.get("fallback") or any(mapping(entry).get("fallback") for entry in numbers)
    if when == "fallback" and not backed:
        reason = "has no effect: there is neither retell.fallback nor one of a number"
        yield Problem(("retell", "when_full"), reason)
    if when != "wait":
        for key in ("wait_for_room_s", "waiting_music"):
            if key in retell:
                yield Problem(("retell", key), "has no effect: retell.when_full is not wait")


def full_sounds(data: Data) -> Iterator[KeyPath]:
    """Every place there that names a file to play."""
    if mapping(data, "retell").get("waiting_music"):
        yield "retell", "waiting_music"
