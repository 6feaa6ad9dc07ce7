"""Requests that get no result, as the API answers them."""


class ApiError(Exception):
    """A request that gets no result: answered as `{"error": {"code", "message"}}`."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
