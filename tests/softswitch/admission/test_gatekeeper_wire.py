"""Proof on the wire: secret headers, client certificates, connections of those who show nothing."""

import asyncio
import ssl
from contextlib import suppress
from pathlib import Path

from config.values import Source
from sip.core.digest import answer_challenges
from sip.core.message import Request, Response
from sip.core.parser import parse_message
from sip.softswitch.listeners import ListenerSpec
from sip.softswitch.trunks.trunk import Trunk
from sip.transport.endpoint import Endpoint
from sip.transport.tls.contexts import ServerTls
from tests.hostile import corpus
from tests.hostile.parties import Caller
from tests.ladder import DID, Ladder, make_ladder
from tests.transport.tls.authority import Authority
from tests.virtual import virtual_time

SHARED, ELSEWHERE = "127.0.0.40", "127.0.0.41"


def invite(ladder: Ladder, us: str, *lines: str, transport: str = "UDP") -> Request:
    """An INVITE without credentials; `lines` are added."""
    data = corpus.request("INVITE", str(ladder.peer("carrier").gateway.hostport), us)
    text = data.decode().replace("SIP/2.0/UDP", f"SIP/2.0/{transport}")
    head, _, body = text.partition("\r\n\r\n")
    kept = [line for line in head.split("\r\n") if "Authorization" not in line]
    message = parse_message(("\r\n".join([*kept, *lines]) + "\r\n\r\n" + body).encode())
    assert isinstance(message, Request)
    return message


@virtual_time
async def test_a_token_tells_two_trunks_at_one_address_apart_and_goes_no_further() -> None:
    """As with a carrier all of whose customers call from the same addresses."""
    trunks = [
        Trunk(name=name, sources=(Source.parse(SHARED),), secret_headers={"x-telnyx-token": token})
        for name, token in (("one", "token-of-one-1234"), ("two", "token-of-two-1234"))
    ]
    async with make_ladder(trunks=trunks) as ladder:
        gateway = ladder.peer("carrier").gateway
        async with Caller(SHARED, (gateway.host, gateway.port)) as caller:
            shown = invite(ladder, caller.name, "X-Telnyx-Token: token-of-two-1234", "X-Kept: yes")
            assert (await caller.transact(shown)).status == 404  # as the application has it
            caller.send(invite(ladder, caller.name, "X-Telnyx-Token: guess").to_bytes())
            caller.send(invite(ladder, caller.name).to_bytes())
            await asyncio.sleep(1)
            [session] = ladder.app.told("session:new")
        assert session["data"]["originating_sip_trunk_name"] == "two"
        assert "token-of-two" not in str(session)
        assert session["data"]["sip"]["headers"]["X-Kept"] == "yes"
        assert ladder.switch.refused["proof-missing"] == 2
        await ladder.settled()


@virtual_time
async def test_a_client_certificate_is_proof_and_its_want_is_silence(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    tls = ServerTls(
        authority.issue("gateway.example.com"),
        client_ca=authority.bundle,
        client_certificates="optional",
    )
    trunks = [
        Trunk(name="teams", certificates=("sip.pstnhub.example.com",)),
        Trunk(name="other", certificates=("other.example.com",)),
    ]
    async with make_ladder(trunks=trunks) as ladder:
        at = Endpoint("tls", "127.0.0.1", 0)
        await ladder.switch.listen([ListenerSpec(endpoint=at, tls=tls)])
        proven = authority.issue("sip.pstnhub.example.com")
        status = await _status(ladder, authority, proven)
        assert status == b"SIP/2.0 100 Trying"
        assert await _status(ladder, authority, None) == b""
        assert await _status(ladder, authority, authority.issue("www.example.com")) == b""
        [session] = ladder.app.told("session:new")
        assert session["data"]["originating_sip_trunk_name"] == "teams"
        await ladder.settled()


async def _status(ladder: Ladder, authority: Authority, certificate: Path | None) -> bytes:
    """The first line that an INVITE over TLS is answered with; nothing where it is cut off."""
    [tls] = [one for one in ladder.switch.ua.listening if one.transport == "tls"]
    context = ssl.create_default_context(cafile=str(authority.bundle))
    if certificate is not None:
        context.load_cert_chain(certificate)
    reader, writer = await asyncio.open_connection(
        tls.host,
        tls.port,
        ssl=context,
        server_hostname="gateway.example.com",
        local_addr=(ELSEWHERE, 0),
    )
    try:
        writer.write(invite(ladder, f"{ELSEWHERE}:5061", transport="TLS").to_bytes())
        async with asyncio.timeout(5):
            with suppress(ConnectionError):
                return (await reader.readline()).strip()
        return b""
    finally:
        writer.transport.abort()


@virtual_time
async def test_who_shows_nothing_is_cut_off_over_tcp_and_banned_by_and_by() -> None:
    """Where a login may come from anywhere, anybody may connect, but not go on."""
    trunk = Trunk(name="pbx", login=("pbx-7Qm2vX", "s3cret"))
    async with make_ladder(trunks=[trunk]) as ladder:
        await ladder.switch.listen([Endpoint("tcp", "127.0.0.1", 0)])
        for number in range(25):
            answer = await _over_tcp(ladder, invite(ladder, "1.1.1.1:5060", transport="TCP"))
            assert answer == b"", number
        assert ladder.switch.ua.dropped["unknown source"] == 20
        assert ladder.switch.turned_away_by_reason["banned"] == 5
        await ladder.settled()


@virtual_time
async def test_a_login_from_anywhere_proves_itself_over_tcp() -> None:
    trunk = Trunk(name="pbx", login=("pbx-7Qm2vX", "s3cret"))
    async with make_ladder(trunks=[trunk]) as ladder:
        await ladder.switch.listen([Endpoint("tcp", "127.0.0.1", 0)])
        request = invite(ladder, "10.0.0.1:5060", transport="TCP")
        request.headers.set("contact", "<sip:pbx-7Qm2vX@10.0.0.1>")
        challenge = parse_message(await _over_tcp(ladder, request))
        assert isinstance(challenge, Response)
        assert challenge.status == 407
        proof = answer_challenges(
            challenge.headers.get_all("proxy-authenticate"),
            method="INVITE",
            uri=request.uri,
            username="pbx-7Qm2vX",
            password="s3cret",
            cnonce="c0ffee",
        )
        assert proof is not None
        proven = invite(ladder, "10.0.0.1:5060", f"Proxy-Authorization: {proof}", transport="TCP")
        assert b"SIP/2.0 100" in await _over_tcp(ladder, proven)
        await ladder.app.until(lambda: ladder.app.told("session:new"))
        [session] = ladder.app.told("session:new")
        assert session["data"]["originating_sip_trunk_name"] == "pbx"
        assert session["data"]["sip"]["headers"]["X-Authenticated-User"].startswith("pbx-7Qm2vX@")
        assert DID in session["data"]["to"]
        await ladder.settled(120)


async def _over_tcp(ladder: Ladder, request: Request) -> bytes:
    """What the first answer on a connection of its own is; nothing where it is cut off."""
    [tcp] = [one for one in ladder.switch.ua.listening if one.transport == "tcp"]
    reader, writer = await asyncio.open_connection(tcp.host, tcp.port, local_addr=(ELSEWHERE, 0))
    try:
        writer.write(request.to_bytes())
        async with asyncio.timeout(5):
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                return await reader.readuntil(b"\r\n\r\n")
        return b""
    finally:
        writer.transport.abort()
