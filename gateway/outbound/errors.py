"""Why a wish to have somebody called is not taken."""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

WishCode: TypeAlias = Literal[
    "bad-number",
    "no-agent",
    "no-from",
    "forbidden-destination",
    "cap-reached",
    "spend-stop",
    "do-not-call",
    "outside-window",
    "unknown-window",
    "bad-time",
    "duplicate-id",
    "queue-full",
    "no-route",
    "unknown-trunk",
    "unsupported",
]

#: The status of HTTP that says the same.
STATUSES: Final[Mapping[WishCode, int]] = {
    "bad-number": 422,
    "no-agent": 422,
    "no-from": 422,
    "forbidden-destination": 403,
    "cap-reached": 429,
    "spend-stop": 409,
    "do-not-call": 403,
    "outside-window": 409,
    "unknown-window": 422,
    "bad-time": 422,
    "duplicate-id": 409,
    "queue-full": 503,
    "no-route": 422,
    "unknown-trunk": 422,
    "unsupported": 501,
}


class WishError(Exception):
    """`words` is a sentence for whoever asked; `status` is HTTP's. Nothing was stored."""

    def __init__(self, code: WishCode, words: str) -> None:
        super().__init__(words)
        self.code = code
        self.words = words
        self.status = STATUSES[code]


class WishesError(Exception):
    """Some of many wishes cannot be taken, by their place in the list; none was stored."""

    def __init__(self, errors: Mapping[int, WishError]) -> None:
        super().__init__(f"{len(errors)} calls cannot be queued")
        self.errors = errors
