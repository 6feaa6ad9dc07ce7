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
