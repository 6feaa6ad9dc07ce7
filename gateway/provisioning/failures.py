"""Why an API did not do what it was asked."""

from typing import Final

#: What the operator can do about an answer, by its status.
_FIXES: Final = {
    401: "its key or token is wrong: set the right one in the configuration",
    403: "the key may not do this: use one that may, or have the account allowed to",
    404: "it is not there: look whether the account is the right one",
    409: "something of this name is there already: run the command again",
    429: "it was asked too often: run the command again in a minute",
}


class ApiError(Exception):
    """An API refused, failed or gave no answer; one line for the operator.

    `status` 0 is no answer. `uncertain`: it may have been done all the same, which the next run
    finds out.
    """

    def __init__(self, api: str, status: int, text: str, *, uncertain: bool = False) -> None:
        self.status = status
        self.uncertain = uncertain
        if uncertain:
            fix = "it may be done all the same: run the command again, which finds out"
        elif status >= 500 or status == 0:
            fix = "nothing else was changed: run the command again later"
        else:
            fix = _FIXES.get(status, "mend what it names, and run the command again")
        said = f"{api} answers {status}: {text}" if status else f"{api} does not answer: {text}"
        super().__init__(f"{said}; {fix}")
