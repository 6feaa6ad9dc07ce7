"""Our public address: one that was told, one that a name leads to, or what a STUN server sees."""

from __future__ import annotations

import asyncio
import secrets
from typing import Final

from sip.core.stun import DEFAULT_PORT, ID_SIZE, Mapped, binding_request, mapped_address
from sip.errors import Fault, ParseError, SipError
from sip.transport.address import is_address, version
from sip.transport.servers.dns import Dns, DnsError

STUN: Final = "stun:"

#: Seconds after which a request is sent again, doubled each time (RFC 8489 6.2.1), and those after
#: which the server counts as silent.
FIRST_WAIT_S: Final = 0.5
STUN_TIMEOUT_S: Final = 5.0


class AddressError(SipError):
    """The address cannot be found now; the text says why."""

    fault = Fault.OPERATOR


async def find_address(told: str, family: int, dns: Dns) -> str:
    """The address that `told` means: itself, a host name's, or by `stun:HOST[:PORT]`.

    `family` is 4 or 6. Raises AddressError.
    """
    if is_address(told):
        return told
    if not told.startswith(STUN):
        return await _resolved(told, family, dns)
    host, port = _host_and_port(told.removeprefix(STUN))
    address = host if is_address(host) else await _resolved(host, family, dns)
    try:
        async with asyncio.timeout(STUN_TIMEOUT_S):
            mapped = await _seen_by(address, port)
    except TimeoutError:
        raise AddressError(f"{told}: no answer from {address} port {port}") from None
    except ParseError as error:
        raise AddressError(f"{told}: {error.reason}") from None
    except OSError as error:
        raise AddressError(f"{told}: {error.strerror}") from None
    if version(mapped.host) != family:
        raise AddressError(f"{told} says {mapped.host}, which is not of IPv{family}")
    return mapped.host


def _host_and_port(text: str) -> tuple[str, int]:
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        return host, int(rest.removeprefix(":") or DEFAULT_PORT)
    host, _, port = text.partition(":")
    return host, int(port or DEFAULT_PORT)


async def _resolved(name: str, family: int, dns: Dns) -> str:
    """The first address of that family: the hosts file's, else by DNS."""
    known = dns.fixed(name)
    if not known:
        try:
            known = (await dns.addresses(name)).records
        except DnsError as error:
            raise AddressError(f"{name}: {error}") from None
    fitting = sorted(address for address in known if version(address) == family)
    if not fitting:
        raise AddressError(f"{name} has no IPv{family} address")
    return fitting[0]


async def _seen_by(server: str, port: int) -> Mapped:
    """What the server answers, asked again until it does. Raises OSError, ParseError."""
    loop = asyncio.get_running_loop()
    transaction_id = secrets.token_bytes(ID_SIZE)
    answer: asyncio.Future[Mapped] = loop.create_future()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Asking(transaction_id, answer), remote_addr=(server, port)
    )
    wait_s = FIRST_WAIT_S
    try:
        while not answer.done():
            transport.sendto(binding_request(transaction_id))
            await asyncio.wait((answer,), timeout=wait_s)
            wait_s *= 2
    finally:
        transport.close()
        answer.cancel()
    return answer.result()


class _Asking(asyncio.DatagramProtocol):
    """A connected socket: what comes is the server's, or forged with its address."""

    def __init__(self, transaction_id: bytes, answer: asyncio.Future[Mapped]) -> None:
        self._transaction_id = transaction_id
        self._answer = answer

    def datagram_received(self, data: bytes, addr: object) -> None:
        if self._answer.done():
            return
        try:
            mapped = mapped_address(data, self._transaction_id)
        except ParseError as error:
            self._answer.set_exception(error)
            return
        if mapped is not None:
            self._answer.set_result(mapped)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there: it may be about to start, and is asked until the time is over."""
