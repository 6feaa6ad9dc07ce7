"""TLS on the wire: what passes, and what is refused with which words."""

import asyncio
import contextlib
import gc
import re
import socket
import ssl
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from sip.transport.endpoint import Endpoint, Flow, Target
from sip.transport.tls.contexts import ClientTls, ServerTls
from tests.transport.loops import on_each_loop
from tests.transport.node import Node, request, running
from tests.transport.tls.authority import Authority, day
from tests.virtual import virtual_time

NAME = "sip.example.com"
ANY = Endpoint("tls", "127.0.0.1", 0)


@pytest.fixture
def root(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@asynccontextmanager
async def serving(
    tls: ServerTls, client: ClientTls, *, name: str = NAME
) -> AsyncIterator[tuple[Node, Node, Target]]:
    """A TLS server and a client, and how the client is to call the server."""
    server, caller = Node(echo=True), Node(tls=client)
    async with running(server, caller):
        at = await server.layer.listen(ANY, tls=tls)
        await caller.layer.listen(Endpoint("udp", "127.0.0.1", 0))
        yield server, caller, Target(at, name)


async def refused(tls: ServerTls, client: ClientTls, **options: Any) -> str:
    """The sentence of a connection that must not come about."""
    async with serving(tls, client, **options) as (server, caller, target):
        flow = caller.layer.flow_to(target)
        flow.send(request())
        assert await caller.loses() is flow
        assert flow.closed
        assert server.inbox.empty()
        assert flow.error is not None
        return re.sub(r":\d+\)", ":5061)", flow.error)


# what passes


@on_each_loop
async def test_a_request_and_its_answer(root: Authority) -> None:
    tls, client = ServerTls(root.issue(NAME)), ClientTls(ca=root.bundle)
    async with serving(tls, client) as (server, caller, target):
        flow = caller.layer.flow_to(target)
        flow.send(request(body=b"x" * 60_000))  # several records
        data, arrived = await server.take()
        assert data == request(body=b"x" * 60_000)
        assert await caller.take() == (data, flow)
        assert arrived.peer_names == ()
        assert flow.peer_names == (NAME, "somebody")
        assert arrived.remote == Endpoint("tls", "127.0.0.1", flow.local.port)
        assert flow.error is None


@on_each_loop
async def test_the_server_is_asked_for_by_name(root: Authority) -> None:
    """SNI (RFC 6066 3): a host that serves several names shows the right certificate."""
    tls = ServerTls(root.issue(NAME))
    seen: list[str | None] = []
    tls.context().sni_callback = lambda _, name, __: seen.append(name)
    async with serving(tls, ClientTls(ca=root.bundle)) as (server, caller, target):
        caller.layer.flow_to(target).send(request())
        await server.take()
    assert seen == [NAME]


@on_each_loop
async def test_one_name_one_connection(root: Authority) -> None:
    """A connection serves the name that it was checked for; requests to us reuse it as well."""
    tls = ServerTls(root.issue(NAME, "other.example.com"))
    async with serving(tls, ClientTls(ca=root.bundle)) as (server, caller, target):
        flow = caller.layer.flow_to(target)
        assert caller.layer.flow_to(Target(target.endpoint, NAME.upper())) is flow
        assert caller.layer.flow_to(target.endpoint) is flow
        other = caller.layer.flow_to(Target(target.endpoint, "other.example.com"))
        assert other is not flow
        flow.send(request(1))
        _, arrived = await server.take()
        await caller.take()
        back = server.layer.flow_to(arrived.remote)
        assert back is arrived
        back.send(request(2))
        assert await caller.take() == (request(2), flow)


async def test_an_address_alone_is_no_proof_of_a_name(root: Authority) -> None:
    """Requests to a name do not go out over a connection that somebody at its address made, but
    over one whose client certificate has the name."""
    tls = ServerTls(root.issue(NAME), client_ca=root.bundle, client_certificates="optional")
    theirs = root.issue("carrier.example.com")
    for certificate in (None, theirs):
        client = ClientTls(ca=root.bundle, certificate=certificate)
        async with serving(tls, client) as (server, caller, target):
            caller.layer.flow_to(target).send(request())
            _, arrived = await server.take()
            back = server.layer.flow_to(Target(arrived.remote, "carrier.example.com"))
            assert (back is arrived) == (certificate is theirs)
            assert server.layer.flow_to(Target(arrived.remote, NAME)) is not arrived


async def test_a_server_known_by_its_address_alone_is_still_who_it_was(root: Authority) -> None:
    """Carriers' Contacts hold an address, which is in no certificate: after a lost connection the
    dialog goes on with whom it began."""
    async with serving(ServerTls(root.issue(NAME)), ClientTls(ca=root.bundle)) as sides:
        server, caller, target = sides
        contact = Target(target.endpoint, target.endpoint.host)
        flow = caller.layer.flow_to(target)
        flow.send(request(1))
        await caller.take()
        assert caller.layer.flow_to(contact) is flow
        flow.abort()
        await caller.loses()
        again = caller.layer.flow_to(contact)
        again.send(request(2))
        assert await caller.take() == (request(2), again)
        await server.take()


@on_each_loop
async def test_a_wildcard_certificate_as_carriers_have(root: Authority) -> None:
    tls, client = ServerTls(root.issue("*.pstn.example.com")), ClientTls(ca=root.bundle)
    async with serving(tls, client, name="acme.pstn.example.com") as (server, caller, target):
        caller.layer.flow_to(target).send(request())
        await server.take()


async def test_a_chain_with_a_cross_signed_root(tmp_path: Path) -> None:
    """As Amazon's: the root in the bundle is also signed by an older one that is not there."""
    old = Authority(tmp_path, "Old Root")
    root = Authority(tmp_path, "Root CA 1")
    crossed = Authority(tmp_path, "Root CA 1", signer=old)
    crossed.key = root.key
    between = Authority(tmp_path, "RSA 2048 M01", signer=root)
    leaf = between.issue("*.example.com", chain=(between.pem, crossed.pem))
    async with serving(ServerTls(leaf), ClientTls(ca=root.bundle)) as (server, caller, target):
        caller.layer.flow_to(target).send(request())
        await server.take()


@pytest.mark.parametrize("names", [("127.0.0.1",), ("sip:127.0.0.1",)])
async def test_a_server_without_a_name(root: Authority, names: tuple[str, ...]) -> None:
    tls, client = ServerTls(root.issue(*names)), ClientTls(ca=root.bundle)
    async with serving(tls, client, name="127.0.0.1") as (server, caller, target):
        caller.layer.flow_to(target).send(request())
        await server.take()


async def test_a_pbx_that_signed_itself_may_be_put_among_the_roots(root: Authority) -> None:
    pbx = root.issue(NAME, by_itself=True)
    async with serving(ServerTls(pbx), ClientTls(ca=pbx)) as (server, caller, target):
        caller.layer.flow_to(target).send(request())
        await server.take()


async def test_verification_may_be_switched_off(root: Authority) -> None:
    tls = ServerTls(root.issue("other.example.com", days=(-9, -1), by_itself=True))
    async with serving(tls, ClientTls(verify=False)) as (server, caller, target):
        flow = caller.layer.flow_to(target)
        flow.send(request())
        await server.take()
        assert flow.peer_names == ()  # nobody vouches for them


@on_each_loop
async def test_a_client_certificate_tells_who_calls(root: Authority) -> None:
    tls = ServerTls(root.issue(NAME), client_ca=root.bundle, client_certificates="required")
    ours = root.issue("gateway.example.com", "sip:pbx.example.com", common_name="box 7")
    async with serving(tls, ClientTls(ca=root.bundle, certificate=ours)) as (
        server,
        caller,
        target,
    ):
        caller.layer.flow_to(target).send(request())
        _, arrived = await server.take()
        assert arrived.peer_names == ("gateway.example.com", "pbx.example.com", "box 7")


async def test_an_optional_client_certificate_may_be_missing(root: Authority) -> None:
    tls = ServerTls(root.issue(NAME), client_ca=root.bundle, client_certificates="optional")
    async with serving(tls, ClientTls(ca=root.bundle)) as (server, caller, target):
        caller.layer.flow_to(target).send(request())
        _, arrived = await server.take()
        assert arrived.peer_names == ()


@on_each_loop
async def test_two_hundred_connections_at_once(root: Authority) -> None:
    """Each carries a request and its answer."""
    tls, client = ServerTls(root.issue(NAME)), ClientTls(ca=root.bundle)
    server, callers = Node(echo=True), [Node(tls=client) for _ in range(200)]
    async with running(server, *callers):
        at = await server.layer.listen(ANY, tls=tls)
        for number, caller in enumerate(callers):
            await caller.layer.listen(Endpoint("udp", "127.0.0.1", 0))
            caller.layer.flow_to(Target(at, NAME)).send(request(number))
        answers = [await caller.take() for caller in callers]
        assert [data for data, _ in answers] == [request(number) for number in range(200)]
        assert server.layer.open_connections == 200


@on_each_loop
async def test_renewed_files_hold_from_the_next_connection_on(root: Authority) -> None:
    file = root.issue("old.example.com", file="tls.pem")
    tls, client = ServerTls(file), ClientTls(ca=root.bundle)
    async with serving(tls, client, name="old.example.com") as (server, caller, target):
        first = caller.layer.flow_to(target)
        first.send(request(1))
        await server.take()
        root.issue("new.example.com", file="tls.pem")
        renewed = caller.layer.flow_to(Target(target.endpoint, "new.example.com"))
        renewed.send(request(2))
        await server.take()
        first.send(request(3))  # what is open stays
        assert (await server.take())[0] == request(3)
        file.write_text("half a file")
        with capture_logs() as lines:
            third = caller.layer.flow_to(Target(target.endpoint, "NEW.example.com."))
            third.send(request(4))
            await server.take()
        [line] = [line for line in lines if line["log_level"] == "error"]
        assert "no certificate in PEM form in tls.pem" in line["error"]


# what we refuse as a client


def date(offset: int) -> str:
    return day(offset).date().isoformat()


@on_each_loop
async def test_a_server_whose_certificate_has_expired(root: Authority) -> None:
    tls, client = ServerTls(root.issue(NAME, days=(-9, -2))), ClientTls(ca=root.bundle)
    assert await refused(tls, client) == (
        f"TLS to {NAME} (127.0.0.1:5061): the server's certificate has expired on {date(-2)}; it "
        "must be renewed"
    )


async def test_a_server_whose_certificate_is_not_valid_yet(root: Authority) -> None:
    tls, client = ServerTls(root.issue(NAME, days=(2, 9))), ClientTls(ca=root.bundle)
    assert (await refused(tls, client)).endswith(
        f"the server's certificate is not valid before {date(2)}; is a clock wrong?"
    )


@on_each_loop
async def test_a_server_with_another_name(root: Authority) -> None:
    tls = ServerTls(root.issue("a.example.com", "*.b.example.com"))
    assert await refused(tls, ClientTls(ca=root.bundle)) == (
        f"TLS to {NAME} (127.0.0.1:5061): the server's certificate is for a.example.com, "
        f"*.b.example.com, not for {NAME}: dial it by a name that it has, or have it certified "
        "for this one"
    )


@on_each_loop
async def test_a_server_signed_by_somebody_unknown(root: Authority, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "Stranger Root")
    tls, client = ServerTls(stranger.issue(NAME)), ClientTls(ca=root.bundle)
    assert await refused(tls, client) == (
        f"TLS to {NAME} (127.0.0.1:5061): the server's certificate comes from an authority that "
        "we do not know 'Stranger Root'; to trust it, add its root to sip.tls.ca"
    )


async def test_a_server_that_signed_itself(root: Authority) -> None:
    tls = ServerTls(root.issue(NAME, by_itself=True))
    assert (await refused(tls, ClientTls(ca=root.bundle))).endswith(
        "the server's certificate is signed by itself alone; to trust it, add it to sip.tls.ca"
    )


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_server_that_wants_a_certificate_of_ours(
    root: Authority, newest: ssl.TLSVersion
) -> None:
    tls = ServerTls(root.issue(NAME), client_ca=root.bundle, client_certificates="required")
    tls.context().maximum_version = newest
    error = await refused(tls, ClientTls(ca=root.bundle))
    if newest is ssl.TLSVersion.TLSv1_3:
        assert "it wants a certificate of ours and got none: set sip.tls.certificate" in error
    else:  # before TLS 1.3 a server has no words for it
        assert "or wants a client certificate" in error


async def test_a_server_that_finds_our_certificate_expired(root: Authority) -> None:
    tls = ServerTls(root.issue(NAME), client_ca=root.bundle, client_certificates="required")
    client = ClientTls(ca=root.bundle, certificate=root.issue("gw.example.com", days=(-9, -2)))
    assert "it says that our client certificate has expired: renew it" in await refused(tls, client)


async def test_a_server_that_does_not_know_our_authority(root: Authority, tmp_path: Path) -> None:
    tls = ServerTls(root.issue(NAME), client_ca=root.bundle, client_certificates="required")
    stranger = Authority(tmp_path, "Stranger Root")
    client = ClientTls(ca=root.bundle, certificate=stranger.issue("gw.example.com"))
    error = await refused(tls, client)
    assert "it does not know the authority that signed our client certificate" in error


async def test_a_server_that_speaks_old_tls_only(root: Authority) -> None:
    tls = ServerTls(root.issue(NAME))
    old = tls.context()
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    error = await refused(tls, ClientTls(ca=root.bundle))
    assert "it does not speak TLS 1.2 or newer" in error


@asynccontextmanager
async def calling(port: int) -> AsyncIterator[tuple[Node, Flow]]:
    """A client that calls whatever is at `port`."""
    caller = Node(tls=ClientTls(verify=False))
    async with running(caller):
        await caller.layer.listen(Endpoint("udp", "127.0.0.1", 0))
        flow = caller.layer.flow_to(Target(Endpoint("tls", "127.0.0.1", port), NAME))
        flow.send(request())
        yield caller, flow


async def test_a_machine_without_any_roots(
    root: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container image without ca-certificates: our fault, and it says so."""
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    monkeypatch.setenv("SSL_CERT_FILE", str(nothing / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(nothing))
    assert await refused(ServerTls(root.issue(NAME)), ClientTls()) == (
        f"TLS to {NAME} (127.0.0.1:5061): this machine has no CA certificates to verify servers "
        "with: install ca-certificates, or set sip.tls.ca"
    )


@on_each_loop
async def test_a_server_that_speaks_no_tls() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"SIP/2.0 400 Bad Request\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    async with calling(server.sockets[0].getsockname()[1]) as (caller, flow):
        await caller.loses()
        assert "answers with something that is not TLS: is the port right?" in str(flow.error)
    server.close()


@on_each_loop
async def test_a_server_that_hangs_up_in_the_handshake() -> None:
    async def rude(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(rude, "127.0.0.1", 0)
    async with calling(server.sockets[0].getsockname()[1]) as (caller, flow):
        await caller.loses()
        assert "TLS to sip.example.com" in str(flow.error)
        assert re.search("closed the connection during the TLS|connection reset", str(flow.error))
    server.close()


@virtual_time
async def test_a_server_that_says_nothing() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with calling(server.sockets[0].getsockname()[1]) as (caller, flow):
        await caller.loses()
        assert "no TLS handshake within 10 s" in str(flow.error)
    server.close()


@on_each_loop
async def test_a_port_where_nobody_listens() -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    with capture_logs() as lines:
        async with calling(port) as (caller, flow):
            assert await caller.loses() is flow
            expected = (
                f"TLS to {NAME} (127.0.0.1:{port}): connection refused: nothing listens there"
            )
            assert flow.error == expected
            again = caller.layer.flow_to(Target(flow.remote, NAME))
            assert again is not flow
            await caller.loses()
    assert [line["reason"] for line in lines if line["event"] == "connection.failed"] == [expected]


# what we refuse as a server


@asynccontextmanager
async def called(root: Authority, **options: Any) -> AsyncIterator[tuple[Node, int, list[Any]]]:
    """A TLS server, its port, and the lines it logs."""
    server = Node(echo=True)
    async with running(server):
        with capture_logs() as lines:
            at = await server.layer.listen(ANY, tls=ServerTls(root.issue(NAME), **options))
            lines.clear()
            yield server, at.port, lines


def without_port(text: Any) -> str:
    return re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:40000", str(text))


async def until(condition: Callable[[], bool]) -> None:
    """What happens on the other side of a socket tells nobody here."""
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come about in 5 s")


@on_each_loop
async def test_clients_that_are_refused(root: Authority, tmp_path: Path) -> None:
    """Each with its own line, once an hour and source; counted each time."""
    stranger = Authority(tmp_path, "Stranger Root")
    clients = {
        "expired": root.issue("pbx.example.com", days=(-9, -2)),
        "unknown CA": stranger.issue("pbx.example.com"),
        "no certificate": None,
    }
    required = {"client_ca": root.bundle, "client_certificates": "required"}
    async with called(root, **required) as (server, port, lines):
        target = Target(Endpoint("tls", "127.0.0.1", port), NAME)
        for certificate in [*clients.values(), *clients.values()]:
            caller = Node(tls=ClientTls(ca=root.bundle, certificate=certificate))
            async with running(caller):
                await caller.layer.listen(Endpoint("udp", "127.0.0.1", 0))
                flow = caller.layer.flow_to(target)
                flow.send(request())
                await caller.loses()
        await until(lambda: server.layer.refused.total() == 6)
        assert server.layer.refused == {"expired": 2, "unknown CA": 2, "no certificate": 2}
        told = [line for line in lines if line["event"] == "connection.refused"]
        assert [without_port(line["reason"]) for line in told] == [
            f"TLS from 127.0.0.1:40000: its client certificate has expired on {date(-2)}; it must "
            "be renewed",
            "TLS from 127.0.0.1:40000: its client certificate comes from an authority that we do "
            "not know 'Stranger Root'; to trust it, add its root to sip.tls.client_ca",
            "TLS from 127.0.0.1:40000: it showed no client certificate, and one is required",
        ]
        assert server.inbox.empty()


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("unknown CA", "it does not know the authority that signed our certificate"),
        ("wrong name", "it finds our certificate bad or not for the name it dialled"),
        ("expired", "it says that our certificate has expired: renew it"),
    ],
)
async def test_a_client_that_does_not_accept_our_certificate(
    root: Authority, tmp_path: Path, fault: str, reason: str
) -> None:
    """The other direction: a peer's stack refuses us, and its alert says why."""
    ours = root.issue(NAME, days=(-9, -2) if fault == "expired" else (-9, 9))
    roots = Authority(tmp_path, "Stranger Root").bundle if fault == "unknown CA" else root.bundle
    context = ssl.create_default_context(cafile=str(roots))

    def call(port: int, name: str) -> None:
        with (
            socket.create_connection(("127.0.0.1", port), 5) as connection,
            pytest.raises(ssl.SSLCertVerificationError),
        ):
            context.wrap_socket(connection, server_hostname=name)

    server = Node()
    async with running(server):
        with capture_logs() as lines:
            at = await server.layer.listen(ANY, tls=ServerTls(ours))
            name = "other.example.com" if fault == "wrong name" else NAME
            await asyncio.to_thread(call, at.port, name)
            await until(lambda: server.layer.refused.total() == 1)
        [line] = [line for line in lines if line["event"] == "connection.refused"]
        assert without_port(line["reason"]) == f"TLS from 127.0.0.1:40000: {reason}"


@on_each_loop
async def test_plain_text_on_a_tls_port(root: Authority) -> None:
    async with called(root) as (server, port, lines):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request())
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        await until(lambda: server.layer.refused.total() == 1)
        [line] = [line for line in lines if line["event"] == "connection.refused"]
        assert without_port(line["reason"]) == (
            "TLS from 127.0.0.1:40000: it speaks plain text on a TLS port: use TLS there, or our "
            "TCP port"
        )
        assert server.inbox.empty()


@on_each_loop
async def test_a_probe_that_says_nothing_is_no_event(root: Authority) -> None:
    """Load balancers connect and hang up all day."""
    async with called(root) as (server, port, lines):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        await until(lambda: server.layer.open_connections == 1)
        writer.close()
        await until(lambda: server.layer.open_connections == 0)
        assert not server.layer.refused
        assert lines == []


@on_each_loop
async def test_garbage_after_the_first_byte(root: Authority) -> None:
    async with called(root) as (server, port, _):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\x16\x03\x01\x00\x05hello" + b"\0" * 500)
        await until(lambda: server.layer.refused.total() == 1)
        writer.close()
        assert list(server.layer.refused) == ["protocol"]


@pytest.mark.parametrize(
    ("days", "event"), [(-2, "tls.expired"), (2, "tls.expires-soon"), (20, None)]
)
async def test_a_certificate_of_ours_that_nobody_will_accept(
    root: Authority, days: int, event: str | None
) -> None:
    node = Node()
    async with running(node):
        with capture_logs() as lines:
            await node.layer.listen(ANY, tls=ServerTls(root.issue(NAME, days=(-9, days))))
        warnings = [line for line in lines if line["log_level"] == "warning"]
        if event is None:
            assert warnings == []
        else:
            assert warnings[0]["event"] == event
            assert warnings[0]["until"] == date(days)


@on_each_loop
async def test_an_ended_connection_frees_itself(root: Authority) -> None:
    """Without the garbage collector, which is kept out of calls."""
    gc.collect()
    gc.disable()
    try:
        async with serving(ServerTls(root.issue(NAME)), ClientTls(ca=root.bundle)) as sides:
            server, caller, target = sides
            flow = caller.layer.flow_to(target)
            flow.send(request())
            _, arrived = await server.take()
            await caller.take()
            traces = [weakref.ref(flow), weakref.ref(arrived)]
            flow.abort()
            assert await caller.loses() is flow
            assert await server.loses() is arrived
            del flow, arrived
            await asyncio.sleep(0.05)
            assert [trace() for trace in traces] == [None, None]
    finally:
        gc.enable()


async def test_a_tls_listener_needs_a_certificate() -> None:
    node = Node()
    with pytest.raises(OSError, match=r"needs a certificate: set sip\.tls\.certificate"):
        await node.layer.listen(ANY)
