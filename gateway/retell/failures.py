"""Why Retell did not do what it was asked."""

from enum import StrEnum


class RetellFailure(StrEnum):
    """Why a request to Retell's API came to nothing."""

    UNAUTHORIZED = "unauthorized"
    PAYMENT = "payment-required"
    BAD_REQUEST = "bad-request"
    UNKNOWN_AGENT = "unknown-agent"
    UNKNOWN_NUMBER = "unknown-number"
    """the number to call from is not one of the workspace's"""
    UNPROCESSABLE = "unprocessable"
    """understood, and not done: 404 and 422 that are about something else"""
    THROTTLED = "throttled"
    SERVER_ERROR = "server-error"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    NOT_ASKED = "not-asked"
    """too many requests in a row failed: for a while none is sent"""


#: The same request may succeed a moment later.
PASSING = frozenset(
    {
        RetellFailure.THROTTLED,
        RetellFailure.SERVER_ERROR,
        RetellFailure.TIMEOUT,
        RetellFailure.UNREACHABLE,
    }
)


class RetellError(Exception):
    """Retell did not do it. `failure` classifies it; `status` 0: no HTTP answer.

    `retry_after_s` is when Retell, or our own breaker, wants to be asked again; None: not said.
    `uncertain`: Retell may have done it all the same.
    """

    def __init__(
        self,
        failure: RetellFailure,
        status: int,
        message: str,
        *,
        retry_after_s: float | None = None,
        uncertain: bool = False,
    ) -> None:
        super().__init__(message)
        self.failure = failure
        self.status = status
        self.retry_after_s = retry_after_s
        self.uncertain = uncertain

    @property
    def detail(self) -> str:
        """Retell's own words, with the HTTP status where there is one."""
        return f"HTTP {self.status}: {self}" if self.status else str(self)
