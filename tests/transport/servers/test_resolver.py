"""RFC 3263 against a name server of our own, on virtual time."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sip.clock import LoopClock
from sip.core.uri import Uri
from sip.ids import Ids
from sip.transport.endpoint import Endpoint, Target
from sip.transport.servers.resolver import ResolveError, Resolver
from tests.transport.servers.nameserver import NameServer, nameserver
from tests.virtual import virtual_time


class FixedDice(Ids):
    """Throws what the test says, and then 0."""

    def __init__(self, *throws: int) -> None:
        super().__init__()
        self.throws = list(throws)

    def below(self, limit: int) -> int:
        return min(self.throws.pop(0), limit - 1) if self.throws else 0


@asynccontextmanager
async def resolving(
    zone: str, *, ids: Ids | None = None, hosts: Path = Path("/nowhere")
) -> AsyncIterator[tuple[NameServer, Resolver]]:
    async with nameserver(zone) as server:
        resolver = Resolver(
            LoopClock(), ids or FixedDice(), nameservers=[server.address], hosts=hosts
        )
        yield server, resolver
        resolver.close()


def addresses(targets: tuple[Target, ...] | None) -> list[str]:
    return [str(target.endpoint) for target in targets or ()]


async def found(resolver: Resolver, uri: str) -> list[str]:
    return addresses(await resolver.resolve(Uri.parse(uri)))


WHOLE = """
example.com 300 NAPTR 10 10 "s" "SIPS+D2T" "" _sips._tcp.example.com.
example.com 300 NAPTR 20 10 "s" "SIP+D2T" "" _sip._tcp.example.com.
example.com 300 NAPTR 30 10 "s" "SIP+D2U" "" _sip._udp.example.com.
example.com 300 NAPTR 5 10 "u" "E2U+sip" "!^.*$!sip:a@example.com!" .
_sips._tcp.example.com 300 SRV 1 0 5061 a.example.com.
_sip._tcp.example.com 300 SRV 1 0 5080 a.example.com.
_sip._tcp.example.com 300 SRV 2 0 5060 b.example.com.
_sip._udp.example.com 300 SRV 1 0 5060 b.example.com.
a.example.com 300 A 192.0.2.1
a.example.com 300 AAAA 2001:db8::1
b.example.com 300 A 192.0.2.2
example.com 300 A 192.0.2.9
"""


@virtual_time
async def test_naptr_then_srv_then_addresses() -> None:
    """RFC 3263 4.1: the server's favourite transport, as far as we speak it."""
    async with resolving(WHOLE) as (_, resolver):
        assert await found(resolver, "sip:example.com") == [
            "tls:192.0.2.1:5061",
            "tls:[2001:db8::1]:5061",
        ]


@virtual_time
async def test_only_transports_that_we_have_are_chosen() -> None:
    async with resolving(WHOLE) as (_, resolver):
        resolver.serves = lambda transport: transport == "tcp"
        resolver.reaches = lambda _, version: version == 4
        assert await found(resolver, "sip:example.com") == [
            "tcp:192.0.2.1:5080",
            "tcp:192.0.2.2:5060",
        ]


@virtual_time
async def test_the_name_of_a_target_is_the_uris_and_not_the_servers() -> None:
    """RFC 5922 7.2: a certificate is held against the domain that was asked for."""
    async with resolving(WHOLE) as (_, resolver):
        targets = await resolver.resolve(Uri.parse("sips:example.com"))
        assert targets[0] == Target(Endpoint("tls", "192.0.2.1", 5061), "example.com")


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("sip:example.com;transport=udp", ["udp:192.0.2.2:5060"]),
        ("sip:example.com;transport=tcp", ["tcp:192.0.2.1:5080", "tcp:[2001:db8::1]:5080"]),
        ("sip:example.com;transport=tls", ["tls:192.0.2.1:5061", "tls:[2001:db8::1]:5061"]),
        ("sips:example.com", ["tls:192.0.2.1:5061", "tls:[2001:db8::1]:5061"]),
        ("sips:example.com;transport=tcp", ["tls:192.0.2.1:5061", "tls:[2001:db8::1]:5061"]),
        ("sip:example.com:5070", ["udp:192.0.2.9:5070"]),
        ("sip:example.com:5070;transport=tcp", ["tcp:192.0.2.9:5070"]),
        ("sips:example.com:5070", ["tls:192.0.2.9:5070"]),
        ("sip:b.example.com", ["udp:192.0.2.2:5060"]),
        ("sip:b.example.com;transport=tls", ["tls:192.0.2.2:5061"]),
        ("sip:192.0.2.7", ["udp:192.0.2.7:5060"]),
        ("sips:192.0.2.7", ["tls:192.0.2.7:5061"]),
        ("sip:[2001:db8::7]:5070;transport=tcp", ["tcp:[2001:db8::7]:5070"]),
    ],
)
def test_what_a_uri_says_of_itself(uri: str, expected: list[str]) -> None:
    @virtual_time
    async def check() -> None:
        async with resolving(WHOLE) as (_, resolver):
            assert (await found(resolver, uri))[: len(expected)] == expected

    check()


@virtual_time
async def test_srv_without_naptr_prefers_udp() -> None:
    """RFC 3263 4.1: SRV for each transport we speak; most domains publish no NAPTR."""
    zone = """
    _sip._tcp.example.com 60 SRV 1 0 5060 a.example.com.
    _sip._udp.example.com 60 SRV 1 0 5062 a.example.com.
    a.example.com 60 A 192.0.2.1
    """
    async with resolving(zone) as (_, resolver):
        assert await found(resolver, "sip:example.com") == ["udp:192.0.2.1:5062"]


@virtual_time
async def test_a_srv_record_without_a_host_refuses() -> None:
    """RFC 2782: a target of "." says that the service is decidedly not there."""
    zone = "_sip._tcp.example.com 60 SRV 0 0 0 .\nexample.com 60 A 192.0.2.1"
    async with resolving(zone) as (_, resolver):
        with pytest.raises(ResolveError, match=r"example\.com"):
            await found(resolver, "sip:example.com;transport=tcp")
        assert await found(resolver, "sip:example.com;transport=udp") == ["udp:192.0.2.1:5060"]


@virtual_time
async def test_priorities_are_kept_and_weights_share() -> None:
    """RFC 2782: 60 to 40 among the first, and the last only after both."""
    zone = """
    _sip._udp.example.com 60 SRV 10 60 5060 a.example.com.
    _sip._udp.example.com 60 SRV 10 40 5060 b.example.com.
    _sip._udp.example.com 60 SRV 20 99 5060 c.example.com.
    a.example.com 60 A 192.0.2.1
    b.example.com 60 A 192.0.2.2
    c.example.com 60 A 192.0.2.3
    """
    async with resolving(zone, ids=Ids()) as (server, resolver):
        first: Counter[str] = Counter()
        for _ in range(2000):
            order = await found(resolver, "sip:example.com;transport=udp")
            assert order[2] == "udp:192.0.2.3:5060"
            assert set(order) == {f"udp:192.0.2.{last}:5060" for last in (1, 2, 3)}
            first[order[0]] += 1
        assert 1060 < first["udp:192.0.2.1:5060"] < 1340  # 1200, six standard deviations wide
        # all of it from memory after the first: SRV, the domain's own addresses, and those of three
        assert sum(server.asked.values()) == 1 + 2 + 2 * 3


@virtual_time
async def test_the_addresses_of_one_name_take_turns() -> None:
    zone = "example.com 600 A 192.0.2.1\nexample.com 600 A 192.0.2.2\nexample.com 600 A 192.0.2.3"
    async with resolving(zone, ids=FixedDice(0, 0, 0, 1, 0, 2)) as (_, resolver):
        orders = [await found(resolver, "sip:example.com:5060") for _ in range(3)]
        assert {order[0] for order in orders} == set(orders[0])
        assert orders[1] == [*orders[0][1:], orders[0][0]]


@virtual_time
async def test_an_answer_holds_as_long_as_its_ttl() -> None:
    """The least of all the records on the way counts, aliases among them."""
    zone = "sip.example.com 20 CNAME a.example.com.\na.example.com 300 A 192.0.2.1"
    uri = Uri.parse("sip:sip.example.com:5060")
    async with resolving(zone) as (server, resolver):
        assert resolver.known(uri) is None
        await resolver.resolve(uri)
        server.write("sip.example.com 300 A 192.0.2.2")
        await asyncio.sleep(15)
        assert addresses(resolver.known(uri)) == ["udp:192.0.2.1:5060"]
        await asyncio.sleep(6)
        assert resolver.known(uri) is None
        assert addresses(await resolver.resolve(uri)) == ["udp:192.0.2.2:5060"]


@virtual_time
async def test_an_answer_in_use_is_renewed_before_its_time() -> None:
    """No call has to wait for DNS."""
    uri = Uri.parse("sip:sip.example.com:5060")
    async with resolving("sip.example.com 100 A 192.0.2.1") as (server, resolver):
        await resolver.resolve(uri)
        server.write("sip.example.com 100 A 192.0.2.2")
        await asyncio.sleep(85)
        assert addresses(resolver.known(uri)) == ["udp:192.0.2.1:5060"]
        await asyncio.sleep(1)
        assert addresses(resolver.known(uri)) == ["udp:192.0.2.2:5060"]
        assert server.asked["A sip.example.com"] == 2


@virtual_time
async def test_a_ttl_of_zero_is_asked_for_each_time() -> None:
    async with resolving("sip.example.com 0 A 192.0.2.1") as (server, resolver):
        for _ in range(3):
            await found(resolver, "sip:sip.example.com:5060")
        assert server.asked["A sip.example.com"] == 3


@virtual_time
async def test_an_unknown_name_is_remembered_for_a_short_while() -> None:
    async with resolving("") as (server, resolver):
        for _ in range(3):
            with pytest.raises(ResolveError, match=r"DNS does not know nowhere\.example\.com"):
                await found(resolver, "sip:nowhere.example.com;transport=udp")
        assert server.asked["SRV _sip._udp.nowhere.example.com"] == 1
        server.write("nowhere.example.com 60 A 192.0.2.1")
        await asyncio.sleep(11)
        uri = "sip:nowhere.example.com;transport=udp"
        assert await found(resolver, uri) == ["udp:192.0.2.1:5060"]


@virtual_time
async def test_calls_at_the_same_moment_ask_once() -> None:
    async with resolving("sip.example.com 60 A 192.0.2.1") as (server, resolver):
        await asyncio.gather(*(found(resolver, "sip:sip.example.com:5060") for _ in range(50)))
        assert server.asked["A sip.example.com"] == 1


@virtual_time
async def test_nobody_waits_for_one_answer_after_the_other() -> None:
    """A cold name costs one round trip where it has an address alone."""

    class Slow(NameServer):
        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            later = asyncio.get_running_loop().call_later
            later(0.2, super().datagram_received, data, addr)

    server = Slow("sip.example.com 3600 A 192.0.2.1")
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: server, ("127.0.0.1", 0)
    )
    resolver = Resolver(LoopClock(), Ids(), nameservers=[server.address], hosts=Path("/nowhere"))
    began = asyncio.get_running_loop().time()
    assert await found(resolver, "sip:sip.example.com") == ["udp:192.0.2.1:5060"]
    assert asyncio.get_running_loop().time() - began < 0.3
    transport.close()


@virtual_time
async def test_name_servers_that_say_nothing() -> None:
    async with resolving("") as (server, resolver):
        server.fault = "silence"
        began = asyncio.get_running_loop().time()
        with pytest.raises(ResolveError, match=r"no answer for sip\.example\.com: no name server"):
            await found(resolver, "sip:sip.example.com:5060")
        assert asyncio.get_running_loop().time() - began < 4
        began = asyncio.get_running_loop().time()
        with pytest.raises(ResolveError, match="no name server answers"):
            await found(resolver, "sip:sip.example.com:5060")
        assert asyncio.get_running_loop().time() == began  # nobody waits for it again so soon


@virtual_time
async def test_answers_too_long_for_a_datagram_come_over_tcp() -> None:
    rows = [f"_sip._udp.example.com 60 SRV {n} 0 5060 a{n}.example.com." for n in range(12)]
    rows += [f"a{n}.example.com 60 A 192.0.2.{n}" for n in range(12)]
    async with resolving("\n".join(rows)) as (server, resolver):
        server.fault = "truncated"
        ordered = await found(resolver, "sip:example.com;transport=udp")
        assert ordered == [f"udp:192.0.2.{n}:5060" for n in range(12)]


@virtual_time
async def test_a_server_of_yesterday_is_better_than_none() -> None:
    """RFC 8767: DNS fails, the carrier need not."""
    uri = "sip:sip.example.com:5060"
    async with resolving("sip.example.com 60 A 192.0.2.1") as (server, resolver):
        assert await found(resolver, uri) == ["udp:192.0.2.1:5060"]
        server.fault = "servfail"
        for _ in range(3):
            await asyncio.sleep(3600)
            assert await found(resolver, uri) == ["udp:192.0.2.1:5060"]
        await asyncio.sleep(86_400)
        with pytest.raises(ResolveError, match="no name server could say"):
            await found(resolver, uri)
        server.fault = ""
        await asyncio.sleep(11)
        assert await found(resolver, uri) == ["udp:192.0.2.1:5060"]


@virtual_time
async def test_a_name_that_is_gone_is_gone() -> None:
    """An answer that there is none is an answer: yesterday's server is not called."""
    uri = "sip:sip.example.com:5060"
    async with resolving("sip.example.com 60 A 192.0.2.1") as (server, resolver):
        await found(resolver, uri)
        server.write("")
        await asyncio.sleep(61)
        with pytest.raises(ResolveError, match="does not know"):
            await found(resolver, uri)


@virtual_time
async def test_without_answer_to_srv_the_address_serves() -> None:
    """Some firewalls drop what they do not know; the A record still leads there."""

    class OnlyAddresses(NameServer):
        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            if b"\x00\x21\x00\x01" not in data and b"\x00\x23\x00\x01" not in data:
                super().datagram_received(data, addr)

    server = OnlyAddresses("example.com 3600 A 192.0.2.1")
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: server, ("127.0.0.1", 0)
    )
    resolver = Resolver(LoopClock(), Ids(), nameservers=[server.address], hosts=Path("/nowhere"))
    uri = Uri.parse("sip:example.com")
    assert addresses(await resolver.resolve(uri)) == ["udp:192.0.2.1:5060"]
    await asyncio.sleep(11)
    assert resolver.known(uri) is None  # SRV is asked for again soon
    transport.close()


@virtual_time
async def test_a_server_that_failed_is_tried_last_for_a_while() -> None:
    zone = """
    _sip._udp.example.com 600 SRV 10 0 5060 a.example.com.
    _sip._udp.example.com 600 SRV 20 0 5060 b.example.com.
    a.example.com 600 A 192.0.2.1
    b.example.com 600 A 192.0.2.2
    """
    first, second = Endpoint("udp", "192.0.2.1", 5060), Endpoint("udp", "192.0.2.2", 5060)
    async with resolving(zone) as (_, resolver):

        async def order() -> list[Endpoint]:
            found = await resolver.resolve(Uri.parse("sip:example.com;transport=udp"))
            return [target.endpoint for target in found]

        assert await order() == [first, second]
        resolver.penalize(first, 30)
        assert await order() == [second, first]
        resolver.penalize(second, 60)
        assert await order() == [first, second]  # both failed: their own order again
        await asyncio.sleep(31)
        assert await order() == [first, second]
        resolver.penalize(first, 30)
        resolver.forgive(first)
        assert await order() == [first, second]


@virtual_time
async def test_the_hosts_file_has_the_first_word(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("# ours\n192.0.2.50  sip.example.com alias  # a comment\n::zz broken\n")
    uri = "sip:sip.example.com"
    async with resolving("sip.example.com 60 A 192.0.2.1", hosts=hosts) as (server, resolver):
        assert await found(resolver, uri) == ["udp:192.0.2.50:5060"]
        assert not server.asked
        hosts.write_text("")
        await asyncio.sleep(2)
        assert await found(resolver, uri) == ["udp:192.0.2.1:5060"]


async def test_names_of_the_local_network_are_the_systems_business() -> None:
    """Not on virtual time: the system is asked in a thread, for which no clock may jump."""
    async with resolving("") as (server, resolver):
        assert "udp:127.0.0.1:5060" in await found(resolver, "sip:localhost")
        assert not server.asked


@virtual_time
async def test_a_transport_that_nobody_speaks() -> None:
    async with resolving(WHOLE) as (_, resolver):
        uri = Uri.parse("sip:example.com;transport=sctp")
        assert resolver.known(uri) is None
        with pytest.raises(ResolveError, match="over sctp, which we do not speak"):
            await resolver.resolve(uri)


@virtual_time
async def test_addresses_of_a_family_we_have_no_socket_for() -> None:
    async with resolving("six.example.com 60 AAAA 2001:db8::1") as (_, resolver):
        resolver.reaches = lambda _, version: version == 4
        with pytest.raises(ResolveError, match=r"six\.example\.com has no address of a family"):
            await found(resolver, "sip:six.example.com;transport=udp")


@pytest.mark.parametrize("host", ["a..example.com", "x" * 64 + ".example.com", "-.example.com"])
def test_names_that_are_none(host: str) -> None:
    @virtual_time
    async def check() -> None:
        async with resolving("") as (_, resolver):
            with pytest.raises(ResolveError):
                await resolver.resolve(Uri(scheme="sip", host=host))

    check()
