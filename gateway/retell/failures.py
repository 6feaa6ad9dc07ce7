"""Why Retell did not do what it was asked."""

from enum import StrEnum


class RetellFailure(StrEnum):
    """Why Retell's API did not register a call."""

    UNAUTHORIZED = "unauthorized"
    PAYMENT = "payment-required"
    BAD_REQUEST = "bad-request"
    UNKNOWN_AGENT = "unknown-agent"
    UNPROCESSABLE = "unprocessable"
    """understood, and not done: 404 and 422 that are not about the agent"""
    THROTTLED = "throttled"
    SERVER_ERROR = "server-error"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"


class RegistrationError(Exception):
    """Retell did not register the call. `failure` classifies it; `status` 0: no HTTP answer."""

    def __init__(self, failure: RetellFailure, status: int, message: str) -> None:
        super().__init__(message)
        self.failure = failure
        self.status = status
