"""Peers that a trunk of ours registers with: bare sockets that answer REGISTER as they are told."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from config.settings import RegistrationSettings
from sip.clock import Clock, LoopClock
from sip.core.digest import DigestServer, Outcome
from sip.core.digest_client import Credentials
from sip.core.header_values import NameAddr
from sip.core.message import Request
from sip.core.uri import Uri
from sip.ids import Ids
from sip.softswitch.registration.registration import RegistrationView
from sip.softswitch.registration.registrations import Registrations
from sip.softswitch.trunks.trunk import Trunk
from sip.transport.endpoint import Endpoint, Target
from sip.transport.servers.resolver import Resolver
from sip.ua.user_agent import UserAgent
from tests.ladder import Peer
from tests.virtual import virtual_time

USER, PASSWORD = "1234567t0", "s3cret-of-the-line"
KEEPALIVE_S = 30.0


class RegistrarPeer(Peer):
    """A registrar that grants, challenges and refuses as the story says."""

    def __init__(self, name: str, gateway: Endpoint) -> None:
        super().__init__(name, gateway)
        self.pings = 0
        self.digest = DigestServer("registrar.test", b"secret", nonce_lifetime_s=60)
        self._now = 0.0

    async def _read(self) -> bytes:
        """Keepalives are counted, not shown."""
        while True:
            data = await super()._read()
            if data.strip(b"\r\n"):
                return data
            self.pings += 1

    async def asked(self, within_s: float = 40.0) -> Request:
        """The next REGISTER."""
        request: Request = await self.expect("REGISTER", within_s=within_s)
        return request

    async def grant(
        self, expires_s: int | None = 3600, *, header_s: int | None = None, **more: Any
    ) -> None:
        """200 with our Contact: `expires_s` at the Contact, `header_s` in Expires."""
        register = self._received["REGISTER"]
        headers: list[tuple[str, str]] = []
        assert register.contact is not None
        if expires_s is not None:
            contact = NameAddr(None, register.contact.uri).with_param("expires", str(expires_s))
            headers.append(("Contact", str(contact)))
        if header_s is not None:
            headers.append(("Expires", str(header_s)))
        await self.answer(200, headers=(*headers, *more.pop("headers", ())), **more)

    async def answer(self, status: int, **more: Any) -> None:
        await self.send(status, answering="REGISTER", **more)

    async def challenge(self, status: int = 401, *, stale: bool = False) -> None:
        """Ask for a digest, SHA-256 first."""
        self._now += 1
        name = "WWW-Authenticate" if status == 401 else "Proxy-Authenticate"
        values = self.digest.challenge(self._now, stale=stale)
        await self.answer(status, headers=tuple((name, value) for value in values))

    def proven(self, request: Request, name: str = "authorization") -> bool:
        """Whether it shows the right password for the newest challenge."""
        result = self.digest.verify(
            request.headers.get_all(name), "REGISTER", {USER: PASSWORD}, self._now, request.uri
        )
        return result.outcome is Outcome.OK


class FakeResolver(Resolver):
    """Knows the names that a test gives it; remembers who was penalised."""

    def __init__(self, clock: Clock, ids: Ids) -> None:
        super().__init__(clock, ids)
        self.names: dict[str, list[Endpoint]] = {}
        self.penalties: dict[Endpoint, float] = {}

    def known(self, uri: Uri) -> tuple[Target, ...] | None:
        if uri.host not in self.names:
            return super().known(uri)
        return tuple(Target(endpoint, uri.host) for endpoint in self.names[uri.host])

    def penalize(self, endpoint: Endpoint, seconds: float) -> None:
        self.penalties[endpoint] = seconds

    def forgive(self, endpoint: Endpoint) -> None:
        self.penalties.pop(endpoint, None)


@dataclass
class Stage:
    """A user agent that registers, and two registrars of its."""

    ua: UserAgent
    resolver: FakeResolver
    registrar: RegistrarPeer
    second: RegistrarPeer
    gateway: Endpoint
    registrations: Registrations = field(init=False)

    def trunk(self, name: str = "carrier", **more: Any) -> Trunk:
        """A trunk that registers with the first registrar unless told otherwise."""
        wanted: dict[str, Any] = {
            "gateways": (Uri.parse(f"sip:127.0.0.1:{self.registrar.port}"),),
            "credentials": Credentials(USER, PASSWORD),
            "registers": True,
        }
        return Trunk(name=name, **(wanted | more))

    def start(self, *trunks: Trunk) -> None:
        self.registrations = Registrations(self.ua, trunks or (self.trunk(),), KEEPALIVE_S)
        self.registrations.start()

    @property
    def state(self) -> RegistrationView:
        [state] = self.registrations.states()
        return state


def registration(**keys: Any) -> RegistrationSettings:
    return RegistrationSettings.model_validate(keys)


@asynccontextmanager
async def make_stage() -> AsyncIterator[Stage]:
    """The user agent listens over UDP; it must be left with nothing open."""
    clock, ids = LoopClock(), Ids()
    resolver = FakeResolver(clock, ids)
    ua = UserAgent(clock=clock, ids=ids, on_request=lambda transaction: None, resolver=resolver)
    gateway = await ua.listen(Endpoint("udp", "127.0.0.1", 0))
    registrar, second = RegistrarPeer("registrar", gateway), RegistrarPeer("second", gateway)
    try:
        yield Stage(ua, resolver, registrar, second, gateway)
    finally:
        await ua.close()
        await registrar.close()
        await second.close()


def stage_test(
    test: Callable[[Stage], Coroutine[Any, Any, None]],
) -> Callable[[], None]:
    """Run a story on virtual time."""

    async def run() -> None:
        async with make_stage() as stage:
            await test(stage)

    run.__doc__ = test.__doc__
    run.__name__ = test.__name__
    return virtual_time(run)
