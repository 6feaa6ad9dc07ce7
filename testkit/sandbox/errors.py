"""What can go wrong in the sandbox.

SandboxError
├── ListenError      a port is taken or an address is not ours; nothing was started
└── ApiError         a REST request is refused; carries the HTTP status
"""

import os


class SandboxError(Exception):
    """The base of all errors of the sandbox."""


class ListenError(SandboxError):
    """A listener could not be opened."""

    def __init__(self, what: str, where: str, cause: OSError) -> None:
        super().__init__(f"sandbox: cannot listen on {where} for {what}: {_why(cause)}")
        self.what = what
        self.where = where


def _why(cause: OSError) -> str:
    return os.strerror(cause.errno) if cause.errno else str(cause)


class ApiError(SandboxError):
    """A REST request is refused with `status` and Retell's error body."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
