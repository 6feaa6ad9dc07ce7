"""A small name server on loopback: it answers from a zone that the test wrote."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

#: The SOA of negative answers: they hold for 45 seconds.
_SOA = "ns.example.com. admin.example.com. 1 3600 600 86400 45"


class NameServer(asyncio.DatagramProtocol):
    """Answers over UDP. `zone` is lines of `NAME TTL TYPE DATA`, names as in DNS, no dot needed."""

    def __init__(self, zone: str = "") -> None:
        self.zone: list[tuple[str, int, str, str]] = []
        #: questions seen, as "SRV _sip._udp.example.com"
        self.asked: Counter[str] = Counter()
        #: what goes wrong: "" nothing, "silence", "servfail", "truncated" (it comes over TCP only)
        self.fault = ""
        self.address = ("127.0.0.1", 0)
        self.write(zone)

    def write(self, zone: str) -> None:
        """Another zone instead."""
        rows = [line.split(maxsplit=3) for line in zone.strip().splitlines()]
        self.zone = [(name, int(ttl), kind, data) for name, ttl, kind, data in rows]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)
        self.address = transport.get_extra_info("sockname")

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = self.reply(data)
        if answer is not None:
            self._transport.sendto(answer, addr)

    async def over_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """RFC 1035 4.2.2: the same after two octets of length."""
        length = int.from_bytes(await reader.readexactly(2), "big")
        answer = self.reply(await reader.readexactly(length), whole=True)
        if answer is not None:
            writer.write(len(answer).to_bytes(2, "big") + answer)
        writer.close()

    def reply(self, data: bytes, *, whole: bool = False) -> bytes | None:
        """The answer to a question, None for silence."""
        query = dns.message.from_wire(data)
        [question] = query.question
        name = question.name.to_text(omit_final_dot=True)
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked[f"{kind} {name}"] += 1
        if self.fault == "silence":
            return None
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AA
        if self.fault == "servfail":
            response.set_rcode(dns.rcode.SERVFAIL)
        elif self.fault == "truncated" and not whole:
            response.flags |= dns.flags.TC
        else:
            self._answer(response, name, kind)
        return response.to_wire()

    def _answer(self, response: dns.message.Message, name: str, kind: str) -> None:
        ours = [row for row in self.zone if row[0].lower() == name.lower()]
        for _, ttl, alias_kind, target in ours:
            if alias_kind == "CNAME" and kind != "CNAME":
                response.answer.append(dns.rrset.from_text(f"{name}.", ttl, "IN", "CNAME", target))
                self._answer(response, target.rstrip("."), kind)
                return
        found = [row for row in ours if row[2] == kind]
        if found:
            data = [row[3] for row in found]
            response.answer.append(dns.rrset.from_text(f"{name}.", found[0][1], "IN", kind, *data))
            return
        response.authority.append(dns.rrset.from_text("example.com.", 900, "IN", "SOA", _SOA))
        if not ours:
            response.set_rcode(dns.rcode.NXDOMAIN)


@asynccontextmanager
async def nameserver(zone: str = "") -> AsyncIterator[NameServer]:
    """A running name server."""
    server = NameServer(zone)
    loop = asyncio.get_running_loop()
    while True:  # until the same port is free over both
        transport, _ = await loop.create_datagram_endpoint(lambda: server, ("127.0.0.1", 0))
        try:
            by_tcp = await asyncio.start_server(server.over_tcp, *server.address)
            break
        except OSError:
            transport.close()
    try:
        yield server
    finally:
        by_tcp.close()
        transport.close()
