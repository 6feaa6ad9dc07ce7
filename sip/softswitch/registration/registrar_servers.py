"""Where our REGISTER goes: the configured registrar, its servers, and redirections from there."""

from sip.core.message import Response
from sip.core.registration import redirected_to
from sip.core.uri import Uri
from sip.transport.endpoint import Endpoint, Target
from sip.transport.servers.resolver import Resolver

#: Seconds that a server is put last which did not answer, or said 503.
PENALTY_S = 60.0
#: Redirections that are followed for one request (RFC 3261 8.1.3.4 leaves the number open).
MAX_REDIRECTS = 3


class RegistrarServers:
    """Finds the servers of one registrar and remembers which failed and which has our binding."""

    def __init__(self, resolver: Resolver, registrar: Uri, proxy: Uri | None) -> None:
        self._resolver = resolver
        self._configured = registrar, proxy
        self._moved: Uri | None = None
        self._targets: list[Target] = []
        self._home: Endpoint | None = None
        self._redirects = 0
        self.registrar, self.proxy = registrar, proxy
        #: the servers that the name stood for when it was last looked up, and the one reached
        self.endpoints: frozenset[Endpoint] = frozenset()

    def begin(self) -> None:
        """A new request: from the configured registrar on, unless a 301 said otherwise."""
        self.registrar, self.proxy = self._configured
        if self._moved is not None:
            self.registrar, self.proxy = self._moved, None
        self._targets = []
        self._redirects = 0

    async def next(self) -> Target:
        """The server to ask (RFC 3263). Raises ResolveError."""
        if not self._targets:
            found = await self._resolver.resolve(self.proxy or self.registrar)
            # a registrar of several servers is asked where our binding is (RFC 5626 4.4)
            self._targets = sorted(found, key=lambda target: target.endpoint != self._home)
            self.endpoints = frozenset(target.endpoint for target in found)
        return self._targets[0]

    def succeeded(self, remote: Endpoint) -> None:
        """The server granted a binding; `remote` is where it was reached."""
        self._home = remote
        self.endpoints |= {remote}
        if self._targets:
            self._resolver.forgive(self._targets[0].endpoint)

    def failed(self, penalty_s: float | None) -> bool:
        """The server did not do it; whether there is another. `penalty_s`: its Retry-After."""
        self._home = None
        if self._targets:
            target = self._targets.pop(0)
            self._resolver.penalize(target.endpoint, penalty_s or PENALTY_S)
        if not self._targets:
            self._moved = None
        return bool(self._targets)

    def redirect(self, response: Response) -> bool:
        """Follow a 3xx; False where it leads nowhere, or the redirections take no end."""
        to = redirected_to(response)
        self._redirects += 1
        if to is None or self._redirects > MAX_REDIRECTS:
            return False
        to = to.replace(user=None, password=None, headers="")
        if response.status == 305:  # RFC 3261 21.3.4: the same request, through that proxy
            self.proxy = to
        else:
            self.registrar, self.proxy = to, None
            if response.status == 301:
                self._moved = to
        self._targets = []
        return True
