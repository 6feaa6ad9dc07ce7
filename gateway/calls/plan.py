"""What is to become of a call that begins: values."""

from typing import TypeAlias

from gateway.calls.routing import Dialling, Direction, Refusing
from gateway.calls.transfer_order import TransferOrder
from gateway.value import frozen


@frozen(kw_only=True)
class Elsewhere:
    """Nobody is there at this hour: the call goes where `order` says."""

    direction: Direction
    from_number: str
    to_number: str
    order: TransferOrder


Plan: TypeAlias = Dialling | Refusing | Elsewhere
