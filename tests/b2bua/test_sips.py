"""Calls to sips URIs over TLS: our Contact is one too (RFC 3261 8.1.1.8, 12.1.1)."""

import asyncio
import ssl
from pathlib import Path

import pytest

from sip.core.dialog import is_secure
from sip.core.message import Request, Response
from sip.core.parser import parse_message
from sip.softswitch.listeners import ListenerSpec
from sip.softswitch.trunks.trunk import Trunk
from sip.transport.endpoint import Endpoint
from sip.transport.tls.contexts import ServerTls
from tests.ladder import DID, PCMU, make_ladder
from tests.transport.tls.authority import Authority
from tests.virtual import virtual_time

NAME = "gateway.example.com"


@pytest.mark.parametrize(
    ("uri", "field", "secure"),
    [
        ("sips:a@example.com", None, True),
        ("sip:a@example.com", None, False),
        ("sip:a@example.com", ("Contact", "<sips:b@example.com>"), True),
        ("sip:a@example.com", ("Record-Route", "<sips:p.example.com;lr>, <sip:q;lr>"), True),
        ("sip:a@example.com", ("Record-Route", "<sip:p.example.com;lr>, <sips:q;lr>"), False),
        ("sip:a@example.com", ("Route", "<sips:p.example.com;lr>"), True),
    ],
)
def test_what_makes_a_dialog_secure(uri: str, field: tuple[str, str] | None, secure: bool) -> None:
    request = Request("INVITE", uri)
    if field is not None:
        request.headers.add(*field)
    assert is_secure(request) is secure


@pytest.mark.parametrize("scheme", ["sips", "sip"])
def test_our_contact_is_of_the_scheme_that_was_called(scheme: str, tmp_path: Path) -> None:
    @virtual_time
    async def story() -> None:
        authority = Authority(tmp_path)
        trunk = Trunk(name="phone", certificates=("phone.example.com",))
        async with make_ladder(trunks=[trunk]) as ladder:
            tls = ServerTls(
                authority.issue(NAME), client_ca=authority.bundle, client_certificates="optional"
            )
            at = Endpoint("tls", "127.0.0.1", 0)
            await ladder.switch.listen([ListenerSpec(endpoint=at, tls=tls)])
            [listening] = [e for e in ladder.switch.ua.listening if e.transport == "tls"]
            context = ssl.create_default_context(cafile=str(authority.bundle))
            context.load_cert_chain(authority.issue("phone.example.com"))
            reader, writer = await asyncio.open_connection(
                listening.host, listening.port, ssl=context, server_hostname=NAME
            )
            invite = ladder.peer("carrier")._request("INVITE", DID, (), PCMU, False)
            invite.uri = f"{scheme}:{DID}@{NAME}"
            invite.headers.set("via", "SIP/2.0/TLS 127.0.0.1:5061;branch=z9hG4bKsips")
            ladder.app.verbs = lambda _: [{"verb": "answer"}]
            writer.write(invite.to_bytes())
            answer = Response(100, "Trying")
            while answer.status < 200:
                head = await reader.readuntil(b"\r\n\r\n")
                size = int(head.rpartition(b"Content-Length: ")[2])
                found = parse_message(head + await reader.readexactly(size))
                assert isinstance(found, Response)
                answer = found
            transport = "" if scheme == "sips" else ";transport=tls"
            expected = f"<{scheme}:127.0.0.1:{listening.port}{transport}>"
            assert answer.headers.get("contact") == expected
            writer.transport.abort()

    story()
