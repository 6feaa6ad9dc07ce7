"""A block of loopback addresses for one gateway and everybody around it.

The gateway is at 127.0.0.1 on ports of its block; everybody else has an address of his own, as in
the world, and the same SIP port. A block is reserved while it is in use, so that several gateways
(and several test runs) live side by side.
"""

import os
import socket
from dataclasses import dataclass
from types import TracebackType
from typing import Self

SIP_PORT = 5080
REST_PORT = 8090
_RESERVED_BY = 5079
#: Ports of 127.0.0.1: ten a block from 6160 on, so that those of the last block end at 8399.
_BLOCKS = range(16, 240)
# Below the kernel's own range for outgoing sockets (32768 and up), above the gateway's default.
_MEDIA_FIRST = 10_000
_MEDIA_PORTS = 1_000
_MEDIA_RANGES = 10


@dataclass(frozen=True, slots=True)
class Party:
    """One address on the wire and the part that it plays."""

    role: str
    host: str
    port: int = SIP_PORT

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Network:
    """Context manager: 127.0.BLOCK.0/24 and ten ports, nobody else's until it is left."""

    def __init__(self) -> None:
        self.block = 0
        self._reservations: list[socket.socket] = []

    def __enter__(self) -> Self:
        start = os.getpid() % len(_BLOCKS)
        blocks = [_BLOCKS[(start + offset) % len(_BLOCKS)] for offset in range(len(_BLOCKS))]
        for own_media in (True, False):
            for block in blocks:
                if self._reserved(f"127.0.{block}.1"):
                    # more gateways at once than there are media ranges share theirs
                    if not own_media or self._reserved(f"127.0.15.{block % _MEDIA_RANGES + 1}"):
                        self.block = block
                        return self
                    self._reservations.pop().close()
        raise RuntimeError("every block of loopback addresses is taken")

    def _reserved(self, host: str) -> bool:
        """Whether that address was free; it is reserved from now on."""
        reservation = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            reservation.bind((host, _RESERVED_BY))
            reservation.listen(1)
        except OSError:
            reservation.close()
            return False
        self._reservations.append(reservation)
        return True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        while self._reservations:
            self._reservations.pop().close()

    def party(self, role: str, last_octet: int) -> Party:
        return Party(role, f"127.0.{self.block}.{last_octet}")

    @property
    def gateway(self) -> Party:
        return Party("gateway", "127.0.0.1", self._port(4))

    @property
    def secure_gateway(self) -> Party:
        """Where the gateway takes TLS."""
        return Party("gateway", "127.0.0.1", self._port(6))

    @property
    def carrier_a(self) -> Party:
        return self.party("carrier-a", 2)

    @property
    def carrier_b(self) -> Party:
        return self.party("carrier-b", 3)

    @property
    def retell(self) -> Party:
        return self.party("retell", 4)

    @property
    def pbx(self) -> Party:
        return self.party("pbx", 5)

    @property
    def manager(self) -> Party:
        """Where the PBX takes orders from its administrator."""
        return Party("manager", f"127.0.{self.block}.5", 5038)

    @property
    def impostor(self) -> Party:
        """Inside Retell's address range, without Retell's password."""
        return self.party("impostor", 14)

    @property
    def wire(self) -> Party:
        """Where a lossy wire stands between the gateway and somebody."""
        return self.party("wire", 20)

    @property
    def operator(self) -> Party:
        """Where the operator's own servers are."""
        return self.party("operator", 30)

    @property
    def stranger(self) -> Party:
        """No trunk, no login, no registration explains this one."""
        return self.party("stranger", 66)

    def phone(self, role: str, number: int) -> Party:
        """A place for baresip. It sends its RTP and makes its TCP connections from the address
        that the kernel prefers, 127.0.0.1 on loopback: so there it lives, on ports of this block.
        """
        return Party(role, "127.0.0.1", self._port(2 * number))

    @property
    def http(self) -> str:
        return f"{self.gateway.host}:{self._port(5)}"

    @property
    def rest(self) -> str:
        """Where this block's stand-in for Retell's REST API listens."""
        return f"{self.retell.host}:{REST_PORT}"

    @property
    def media_ports(self) -> tuple[int, int]:
        first = _MEDIA_FIRST + _MEDIA_PORTS * (self.block % _MEDIA_RANGES)
        return first, first + _MEDIA_PORTS - 1

    def _port(self, offset: int) -> int:
        """One of the ten ports that this block has on 127.0.0.1."""
        return 6000 + 10 * self.block + offset
