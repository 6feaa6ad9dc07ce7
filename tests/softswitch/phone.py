"""A PBX or phone that registers with the gateway, and calls and is called like any peer."""

from sip.core.digest import answer_challenges
from sip.core.message import Headers, Request, Response
from sip.transport.endpoint import Endpoint
from tests.ladder import Peer

USER, PASSWORD = "pbx", "a-long-secret"


class Phone(Peer):
    """A peer with an account at the gateway."""

    def __init__(self, name: str, gateway: Endpoint) -> None:
        super().__init__(name, gateway)
        self.call_id = f"{self.tag}@phone"
        self.cseq = 0
        self.pings = 0

    async def _read(self) -> bytes:
        """Keepalives are counted, not shown."""
        while True:
            data = await super()._read()
            if data.strip(b"\r\n"):
                return data
            self.pings += 1

    @property
    def contact(self) -> str:
        """Where it is, with the parameter that 3CX tells its registrations apart by."""
        return f"<sip:{USER}@127.0.0.1:{self.port};rinstance=5cAE21%5B1%5D>"

    def request(
        self,
        *contacts: str,
        expires: int | None = None,
        user: str = USER,
        proof: tuple[str, str] | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> Request:
        """A REGISTER, each with the next CSeq."""
        self.cseq += 1
        fields = Headers()
        branch = f"z9hG4bK-{self.tag}-register-{self.cseq}"
        fields.add("via", f"SIP/2.0/UDP 127.0.0.1:{self.port};branch={branch};rport")
        fields.add("max-forwards", "70")
        fields.add("from", f"<sip:{user}@{self.gateway.host}>;tag={self.tag}")
        fields.add("to", f"<sip:{user}@{self.gateway.host}>")
        fields.add("call-id", self.call_id)
        fields.add("cseq", f"{self.cseq} REGISTER")
        fields.add("user-agent", "Test PBX 1.0")
        for contact in contacts:
            fields.add("contact", contact)
        if expires is not None:
            fields.add("expires", str(expires))
        for name, value in headers:
            fields.add(name, value)
        if proof is not None:
            fields.add(*proof)
        return Request("REGISTER", f"sip:{self.gateway.hostport}", fields)

    def proof(
        self, challenge: Response, *, login: str = USER, password: str = PASSWORD
    ) -> tuple[str, str]:
        """The Authorization that answers a 401."""
        value = answer_challenges(
            challenge.headers.get_all("www-authenticate"),
            method="REGISTER",
            uri=f"sip:{self.gateway.hostport}",
            username=login,
            password=password,
            cnonce=f"{self.tag}-{self.cseq}",
        )
        assert value is not None
        return ("Authorization", value)

    async def register(
        self,
        *contacts: str,
        login: str = USER,
        password: str = PASSWORD,
        expires: int | None = None,
        user: str = USER,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> Response:
        """REGISTER, 401, REGISTER with credentials; the final response to either."""
        first = self.request(*contacts, expires=expires, user=user, headers=headers)
        await self.transmit(first.to_bytes())
        challenge = await self.next()
        assert isinstance(challenge, Response)
        if challenge.status != 401:
            return challenge
        proof = self.proof(challenge, login=login, password=password)
        again = self.request(*contacts, expires=expires, user=user, headers=headers, proof=proof)
        await self.transmit(again.to_bytes())
        response = await self.next()
        assert isinstance(response, Response)
        return response
