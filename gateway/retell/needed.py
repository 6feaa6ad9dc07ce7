"""Where a caller waits for Retell's API: there the SDK is read before the first one comes."""

from config.choices import choices
from config.settings import Settings


def callers_wait(settings: Settings) -> bool:
    """Whether calls that come ask Retell's API: they are registered there (method 2, and those of
    Twilio), or its room for them is watched. What else asks does so when nobody waits."""
    retell = settings.retell
    return (
        retell.method == "dial"
        or retell.when_full != "ring"
        or settings.twilio is not None
        or any(
            one.method == "dial"
            for number, entry in settings.numbers.items()
            for one in choices(settings, number, entry)
        )
    )
