"""What ends a benchmark early. Figures never do: only a failure to run."""


class BenchError(Exception):
    """Something could not be run; the text is one line for the operator."""


class MissingProgramError(BenchError):
    """A program that the benchmark drives is not installed."""

    def __init__(self, program: str, package: str) -> None:
        super().__init__(f"{program} not found: install the package {package}")
