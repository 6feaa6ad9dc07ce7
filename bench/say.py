"""How a measurement tells the operator what it is doing: one line, without markup."""

from collections.abc import Callable

Say = Callable[[str], None]
